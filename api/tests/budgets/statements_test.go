package budgets_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// The statements of each path, BEGIN and COMMIT apart, with the portal and the keys in the cache.
func TestStatementBudgets(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		ada := h.Account(t, p)
		h.Invite(t, p, apitest.Object{"email": "invited@example.com"})
		in := h.LogIn(t, ada)
		wrong := apitest.Object{"password": "not the right one"}
		for _, tt := range []struct {
			name   string
			budget int
			call   func(apitest.Option) *apitest.Answer
			status int
		}{
			{"lookup", 1, func(counted apitest.Option) *apitest.Answer {
				return h.Post(t, p.Front+"/lookup", apitest.Object{"email": ada.Email}, counted)
			}, http.StatusOK},
			{"lookup of nobody", 1, func(counted apitest.Option) *apitest.Answer {
				return h.Post(t, p.Front+"/lookup", apitest.Object{"email": "nobody@example.com"}, counted)
			}, http.StatusNotFound},
			{"lookup of who is invited", 1, func(counted apitest.Option) *apitest.Answer {
				return h.Post(t, p.Front+"/lookup", apitest.Object{"email": "invited@example.com"}, counted)
			}, http.StatusOK},
			{"login, right: read, session, audit", 3, func(counted apitest.Option) *apitest.Answer {
				return h.Post(t, p.Front+"/login", ada.Credentials(), counted)
			}, http.StatusOK},
			{"login, wrong: read, count, audit", 3, func(counted apitest.Option) *apitest.Answer {
				return h.Post(t, p.Front+"/login", ada.Credentials(wrong), counted)
			}, http.StatusUnauthorized},
			{"login of nobody: read, count, audit", 3, func(counted apitest.Option) *apitest.Answer {
				return h.Post(t, p.Front+"/login", apitest.Object{"email": "nobody@example.com", "password": apitest.GoodPassword}, counted)
			}, http.StatusUnauthorized},
			{"me", 1, func(counted apitest.Option) *apitest.Answer {
				return h.Get(t, p.Front+"/me", apitest.Bearer(in.Access), counted)
			}, http.StatusOK},
			{"me, with a forged token", 0, func(counted apitest.Option) *apitest.Answer {
				return h.Get(t, p.Front+"/me", apitest.Bearer(in.Access+"A"), counted)
			}, http.StatusUnauthorized},
			{"refresh", 1, func(counted apitest.Option) *apitest.Answer {
				return h.Post(t, p.Front+"/sessions/refresh", apitest.Object{"refresh_token": in.Refresh}, counted)
			}, http.StatusOK},
			{"refresh, answered again within the grace", 1, func(counted apitest.Option) *apitest.Answer {
				return h.Post(t, p.Front+"/sessions/refresh", apitest.Object{"refresh_token": in.Refresh}, counted)
			}, http.StatusOK},
			{"refresh with a forged token", 0, func(counted apitest.Option) *apitest.Answer {
				return h.Post(t, p.Front+"/sessions/refresh", apitest.Object{"refresh_token": in.Refresh + "A"}, counted)
			}, http.StatusUnauthorized},
			{"lockout-status", 1, func(counted apitest.Option) *apitest.Answer {
				return h.Post(t, p.Front+"/lockout-status", apitest.Object{"email": ada.Email}, counted)
			}, http.StatusOK},
			{"login, right after a wrong one: read, session, count, audit", 4, func(counted apitest.Option) *apitest.Answer {
				return h.Post(t, p.Front+"/login", ada.Credentials(), counted)
			}, http.StatusOK},
			{"login, right again: read, session, audit", 3, func(counted apitest.Option) *apitest.Answer {
				return h.Post(t, p.Front+"/login", ada.Credentials(), counted)
			}, http.StatusOK},
			{"logout with a forged token", 0, func(counted apitest.Option) *apitest.Answer {
				return h.Post(t, p.Front+"/logout", apitest.Object{"refresh_token": in.Refresh + "A"}, counted)
			}, http.StatusNoContent},
			{"the portal's face", 0, func(counted apitest.Option) *apitest.Answer { return h.Get(t, p.Front, counted) }, http.StatusOK},
		} {
			h.Get(t, p.Front).Status(http.StatusOK) // the cache is warm, and not about to be read again
			h.Patch(t, p.Admin, apitest.Object{}, apitest.AsOperator).Status(http.StatusOK)
			ctx, counter := databasetest.CountStatements(context.Background())
			tt.call(apitest.InContext(ctx)).Status(tt.status)
			require.EqualValues(t, tt.budget, counter.N(), "%s: %q", tt.name, counter.Texts())
		}
	})
}
