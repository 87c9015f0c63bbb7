package api_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/password"
)

func (h *harness) passwordChange(t testing.TB, p portal, in tokens, current, next string) sent {
	t.Helper()
	return h.prepare(t, http.MethodPost, p.front+"/me/password", object{"current_password": current, "new_password": next}, bearer(in.access))
}

// A right current password that the fifth wrong one overtook is told of the lock, and changes nothing.
func TestAPasswordChangeThatALockOvertakes(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		ada := h.account(t, p)
		in := h.logIn(t, ada)
		for range 4 {
			h.changePassword(t, p, in, wrongPassword, newPassword).status(http.StatusForbidden)
		}
		h.between(t, h.passwordChange(t, p, in, ada.password, newPassword), func(ctx context.Context) {
			h.do(ctx, t, "UPDATE lockouts SET locked_until = ?, failures = '' WHERE kind = 'current_password'",
				h.clock.now().UnixMilli()+900_000)
		}).problem(http.StatusLocked, "account_locked").sets("Retry-After", "900")
		h.get(t, p.front+"/me", bearer(in.access)).status(http.StatusOK)
		h.logIn(t, ada)
	})
}

// One that another change overtook has the wrong current password by now. That change kept the session, unless it was an
// administrator's.
func TestAPasswordChangeThatAnotherOvertakes(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		ada := h.account(t, p)
		in := h.logIn(t, ada)
		hash, err := password.NewPool(1, time.Minute, password.Cheapest).Hash(context.Background(), newPassword)
		require.NoError(t, err)
		change := func(sessions string) *answer {
			stamp := uuid.New()
			return h.between(t, h.passwordChange(t, p, in, ada.password, newPassword), func(ctx context.Context) {
				h.do(ctx, t, "UPDATE accounts SET password_hash = ?, security_stamp = ? WHERE id = ?", hash, stamp, ada.id)
				if sessions == "kept" {
					h.do(ctx, t, "UPDATE sessions SET security_stamp = ? WHERE account_id = ?", stamp, ada.id)
				}
			})
		}
		change("kept").problem(http.StatusForbidden, "current_password_incorrect").is("attempts_remaining", 4)
		h.get(t, p.front+"/me", bearer(in.access)).status(http.StatusOK)
		ada.password = newPassword
		change("ended").problem(http.StatusUnauthorized, "access_token_invalid")
	})
}

// What breaks while a password is changed is no reason to think that the session has ended.
func TestAPasswordChangeThatBreaks(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		ada := h.account(t, p)
		in := h.logIn(t, ada)
		h.changePassword(t, p, in, wrongPassword, newPassword).status(http.StatusForbidden)
		if db.Dialect() == database.SQLite {
			h.exec(t, "CREATE TRIGGER broken BEFORE UPDATE ON lockouts BEGIN SELECT RAISE(ABORT, 'broken'); END")
		} else {
			h.exec(t, "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''broken''; END'")
			h.exec(t, "CREATE TRIGGER broken BEFORE UPDATE ON lockouts FOR EACH ROW EXECUTE FUNCTION broken()")
		}
		h.changePassword(t, p, in, ada.password, newPassword).problem(http.StatusInternalServerError, "internal")
		h.get(t, p.front+"/me", bearer(in.access)).status(http.StatusOK)
		h.logIn(t, ada)
	})
}

// Of password changes at once one is done; the others' current password is no longer the current one, and the session
// that they all come from goes on.
func TestPasswordChangesAtOnce(t *testing.T) {
	t.Parallel()
	eachFleet(t, func(t *testing.T, f fleet) {
		h := f[0]
		p := h.portal(t)
		ada := h.account(t, p)
		in, other := h.logIn(t, ada), h.logIn(t, ada)
		var requests []sent
		for _, next := range []string{newPassword, "a third good passphrase", "a fourth good passphrase", "a fifth good passphrase"} {
			requests = append(requests, h.passwordChange(t, p, in, ada.password, next))
		}
		done := 0
		for i, a := range f.atOnce(t, requests...) {
			if a.httpStatus == http.StatusNoContent {
				done++
				var said struct {
					NewPassword string `json:"new_password"`
				}
				(&answer{t: t, body: requests[i].body}).into(&said)
				ada.password = said.NewPassword
				continue
			}
			a.problem(http.StatusForbidden, "current_password_incorrect")
		}
		require.Equal(t, 1, done)
		h.logIn(t, ada)
		h.get(t, p.front+"/me", bearer(in.access)).status(http.StatusOK)
		f.dead(t, p, other)
	})
}
