package api_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// The statements of each path, BEGIN and COMMIT apart, with the portal and the keys in the cache: design §5.
func TestStatementBudgets(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		ada := h.account(t, p)
		h.invite(t, p, object{"email": "invited@example.com"})
		in := h.logIn(t, ada)
		wrong := object{"password": "not the right one"}
		for _, tt := range []struct {
			name   string
			budget int
			call   func(option) *answer
			status int
		}{
			{"lookup", 1, func(counted option) *answer {
				return h.post(t, p.front+"/lookup", object{"email": ada.email}, counted)
			}, http.StatusOK},
			{"lookup of nobody", 1, func(counted option) *answer {
				return h.post(t, p.front+"/lookup", object{"email": "nobody@example.com"}, counted)
			}, http.StatusNotFound},
			{"lookup of who is invited", 1, func(counted option) *answer {
				return h.post(t, p.front+"/lookup", object{"email": "invited@example.com"}, counted)
			}, http.StatusOK},
			{"login, right: read, session, audit", 3, func(counted option) *answer {
				return h.post(t, p.front+"/login", ada.credentials(), counted)
			}, http.StatusOK},
			{"login, wrong: read, count, audit", 3, func(counted option) *answer {
				return h.post(t, p.front+"/login", ada.credentials(wrong), counted)
			}, http.StatusUnauthorized},
			{"login of nobody: read, count, audit", 3, func(counted option) *answer {
				return h.post(t, p.front+"/login", object{"email": "nobody@example.com", "password": goodPassword}, counted)
			}, http.StatusUnauthorized},
			{"me", 1, func(counted option) *answer {
				return h.get(t, p.front+"/me", bearer(in.access), counted)
			}, http.StatusOK},
			{"me, with a forged token", 0, func(counted option) *answer {
				return h.get(t, p.front+"/me", bearer(in.access+"A"), counted)
			}, http.StatusUnauthorized},
			{"refresh", 1, func(counted option) *answer {
				return h.post(t, p.front+"/sessions/refresh", object{"refresh_token": in.refresh}, counted)
			}, http.StatusOK},
			{"refresh, answered again within the grace", 1, func(counted option) *answer {
				return h.post(t, p.front+"/sessions/refresh", object{"refresh_token": in.refresh}, counted)
			}, http.StatusOK},
			{"refresh with a forged token", 0, func(counted option) *answer {
				return h.post(t, p.front+"/sessions/refresh", object{"refresh_token": in.refresh + "A"}, counted)
			}, http.StatusUnauthorized},
			{"lockout-status", 1, func(counted option) *answer {
				return h.post(t, p.front+"/lockout-status", object{"email": ada.email}, counted)
			}, http.StatusOK},
			{"login, right after a wrong one: read, session, count, audit", 4, func(counted option) *answer {
				return h.post(t, p.front+"/login", ada.credentials(), counted)
			}, http.StatusOK},
			{"login, right again: read, session, audit", 3, func(counted option) *answer {
				return h.post(t, p.front+"/login", ada.credentials(), counted)
			}, http.StatusOK},
			{"logout with a forged token", 0, func(counted option) *answer {
				return h.post(t, p.front+"/logout", object{"refresh_token": in.refresh + "A"}, counted)
			}, http.StatusNoContent},
			{"the portal's face", 0, func(counted option) *answer { return h.get(t, p.front, counted) }, http.StatusOK},
		} {
			h.get(t, p.front).status(http.StatusOK) // the cache is warm, and not about to be read again
			h.patch(t, p.admin, object{}, asOperator).status(http.StatusOK)
			ctx, counter := databasetest.CountStatements(context.Background())
			tt.call(inContext(ctx)).status(tt.status)
			require.EqualValues(t, tt.budget, counter.N(), "%s: %q", tt.name, counter.Texts())
		}
	})
}
