package races_test

import (
	"context"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/password"
)

func TestWrongCurrentPasswordsAtOnce(t *testing.T) {
	t.Parallel()
	apitest.EachFleet(t, func(t *testing.T, f apitest.Fleet) {
		h := f[0]
		p := h.Portal(t)
		ada := h.Account(t, p)
		first, second := h.LogIn(t, ada), h.LogIn(t, ada)
		var tries []apitest.PreparedRequest
		for range 16 {
			for _, in := range []apitest.Tokens{first, second} {
				tries = append(tries, passwordChange(t, h, p, in, [2]string{apitest.WrongPassword, apitest.OtherPassword}))
			}
		}
		want := map[string]int{"423 account_locked": 27}
		for left := range 5 {
			want["403 current_password_incorrect "+strconv.Itoa(left)] = 1
		}
		require.Equal(t, want, apitest.Tally(f.SendAtOnce(t, tries...)))
		h.LogIn(t, ada)
	})
}

// passwordChange prepares a change of password, from the first to the second.
func passwordChange(
	t testing.TB, h *apitest.Harness, p apitest.Portal, in apitest.Tokens, passwords [2]string,
) apitest.PreparedRequest {
	t.Helper()
	body := apitest.Object{"current_password": passwords[0], "new_password": passwords[1]}
	return h.Prepare(t, http.MethodPost, p.Front+"/me/password", body, apitest.Bearer(in.Access))
}

// If the fifth wrong password locks the account while a right current one is hashed, the lock is answered and nothing
// changes.
func TestLockDuringPasswordChange(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		ada := h.Account(t, p)
		in := h.LogIn(t, ada)
		for range 4 {
			h.ChangePassword(t, p, in, apitest.WrongPassword, apitest.OtherPassword).Status(http.StatusForbidden)
		}
		h.ChangeDuring(t, passwordChange(t, h, p, in, [2]string{ada.Password, apitest.OtherPassword}), func(ctx context.Context) {
			h.ExecIn(ctx, t, "UPDATE lockouts SET locked_until = ?, failures = '' WHERE kind = 'current_password'",
				h.Clock.Now().UnixMilli()+900_000)
		}).Problem(http.StatusLocked, "account_locked").HasHeader("Retry-After", "900")
		h.Get(t, p.Front+"/me", apitest.Bearer(in.Access)).Status(http.StatusOK)
		h.LogIn(t, ada)
	})
}

// One that another change overtook has the wrong current password by now. That change kept the session, unless it was an
// administrator's.
func TestPasswordChangedDuringChange(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		ada := h.Account(t, p)
		in := h.LogIn(t, ada)
		hash, err := password.NewPool(1, time.Minute, password.Cheapest).For(ids.Portal{}).Hash(context.Background(), apitest.OtherPassword)
		require.NoError(t, err)
		change := func(sessions string) *apitest.Answer {
			stamp := uuid.New()
			return h.ChangeDuring(t, passwordChange(t, h, p, in, [2]string{ada.Password, apitest.OtherPassword}), func(ctx context.Context) {
				h.ExecIn(ctx, t, "UPDATE accounts SET password_hash = ?, security_stamp = ? WHERE id = ?", hash, stamp, ada.ID)
				if sessions == "kept" {
					h.ExecIn(ctx, t, "UPDATE sessions SET security_stamp = ? WHERE account_id = ?", stamp, ada.ID)
				}
			})
		}
		change("kept").Problem(http.StatusForbidden, "current_password_incorrect").Is("attempts_remaining", 4)
		h.Get(t, p.Front+"/me", apitest.Bearer(in.Access)).Status(http.StatusOK)
		ada.Password = apitest.OtherPassword
		change("ended").Problem(http.StatusUnauthorized, "access_token_invalid")
	})
}

// What breaks while a password is changed is no reason to think that the session has ended.
func TestPasswordChangeError(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		ada := h.Account(t, p)
		in := h.LogIn(t, ada)
		h.ChangePassword(t, p, in, apitest.WrongPassword, apitest.OtherPassword).Status(http.StatusForbidden)
		if db.Dialect() == database.SQLite {
			h.Exec(t, "CREATE TRIGGER broken BEFORE UPDATE ON lockouts BEGIN SELECT RAISE(ABORT, 'broken'); END")
		} else {
			h.Exec(t, "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''broken''; END'")
			h.Exec(t, "CREATE TRIGGER broken BEFORE UPDATE ON lockouts FOR EACH ROW EXECUTE FUNCTION broken()")
		}
		h.ChangePassword(t, p, in, ada.Password, apitest.OtherPassword).Problem(http.StatusInternalServerError, "internal")
		h.Get(t, p.Front+"/me", apitest.Bearer(in.Access)).Status(http.StatusOK)
		h.LogIn(t, ada)
	})
}

// Of password changes at once one is done; the others' current password is no longer the current one, and the session
// that they all come from goes on.
func TestPasswordChangesAtOnce(t *testing.T) {
	t.Parallel()
	apitest.EachFleet(t, func(t *testing.T, f apitest.Fleet) {
		h := f[0]
		p := h.Portal(t)
		ada := h.Account(t, p)
		in, other := h.LogIn(t, ada), h.LogIn(t, ada)
		var requests []apitest.PreparedRequest
		for _, next := range []string{apitest.OtherPassword, "a third good passphrase", "a fourth good passphrase", "a fifth good passphrase"} {
			requests = append(requests, passwordChange(t, h, p, in, [2]string{ada.Password, next}))
		}
		done := 0
		for i, a := range f.SendAtOnce(t, requests...) {
			if a.HTTPStatus == http.StatusNoContent {
				done++
				var said struct {
					NewPassword string `json:"new_password"`
				}
				(&apitest.Answer{T: t, Body: requests[i].Body}).Decode(&said)
				ada.Password = said.NewPassword
				continue
			}
			a.Problem(http.StatusForbidden, "current_password_incorrect")
		}
		require.Equal(t, 1, done)
		h.LogIn(t, ada)
		h.Get(t, p.Front+"/me", apitest.Bearer(in.Access)).Status(http.StatusOK)
		f.RequireSessionDead(t, p, other)
	})
}
