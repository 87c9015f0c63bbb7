package races_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/password"
)

// endings are changes that end every session of an account, and the answer to a later login with the old password.
var endings = []struct {
	name       string
	end        func(t testing.TB, f apitest.Fleet, who apitest.Person) apitest.PreparedRequest
	afterwards string
}{
	{"password", func(t testing.TB, f apitest.Fleet, who apitest.Person) apitest.PreparedRequest {
		return f[0].Prepare(t, http.MethodPatch, who.Admin, apitest.Object{"password": apitest.OtherPassword}, apitest.AsOperator)
	}, "401 incorrect_credentials"},
	{"disabled", func(t testing.TB, f apitest.Fleet, who apitest.Person) apitest.PreparedRequest {
		return f[0].Prepare(t, http.MethodPatch, who.Admin, apitest.Object{"disabled": true}, apitest.AsOperator)
	}, "403 account_disabled"},
	{"email", func(t testing.TB, f apitest.Fleet, who apitest.Person) apitest.PreparedRequest {
		return f[0].Prepare(t, http.MethodPatch, who.Admin, apitest.Object{"email": "now." + who.Email}, apitest.AsOperator)
	}, "401 incorrect_credentials"},
	{"deleted", func(t testing.TB, f apitest.Fleet, who apitest.Person) apitest.PreparedRequest {
		return f[0].Prepare(t, http.MethodDelete, who.Admin, nil, apitest.AsOperator)
	}, "401 incorrect_credentials"},
}

// A login that races what ends sessions leaves none: it was before, and its session has ended, or it is refused.
func TestLoginWhileSessionsEnd(t *testing.T) {
	t.Parallel()
	apitest.EachFleet(t, func(t *testing.T, f apitest.Fleet) {
		h := f[0]
		p := h.Portal(t)
		for _, ending := range endings {
			in := 0
			for round := range apitest.Rounds / 2 {
				who := h.Account(t, p, apitest.Object{"email": fmt.Sprintf("%s%d@example.com", ending.name, round)})
				requests := make([]apitest.PreparedRequest, 5)
				for i := range requests {
					requests[i] = f[0].Prepare(t, http.MethodPost, p.Front+"/login", who.Credentials())
				}
				requests[round%5] = ending.end(t, f, who)
				for i, a := range f.SendUnchecked(t, requests...) {
					switch {
					case i == round%5:
						require.Less(t, a.HTTPStatus, 300, "%s", a.Body)
					case a.HTTPStatus == http.StatusOK:
						in++
						f.RequireSessionDead(t, p, apitest.TokensOf(a))
					default:
						require.True(t, strings.HasPrefix(a.Outcome(), ending.afterwards), "%s: %s", ending.name, a.Body)
					}
				}
			}
			t.Logf("%s: %d of %d logins came before", ending.name, in, 4*(apitest.Rounds/2))
		}
	})
}

// What had been read is no longer so when the session is to begin.
func TestLoginAccountChangesMeanwhile(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		for name, tt := range map[string]struct {
			failures int
			change   func(ctx context.Context, who apitest.Person)
			outcome  string // of the login
		}{
			"by a deletion": {0, func(ctx context.Context, who apitest.Person) {
				h.ExecIn(ctx, t, "DELETE FROM accounts WHERE id = ?", who.ID)
			}, "401 incorrect_credentials 4"},
			"by a deletion, with failures to clear": {2, func(ctx context.Context, who apitest.Person) {
				h.ExecIn(ctx, t, "DELETE FROM accounts WHERE id = ?", who.ID)
			}, "401 incorrect_credentials 2"},
			"by the fifth failure": {4, func(ctx context.Context, who apitest.Person) {
				h.ExecIn(ctx, t, "UPDATE lockouts SET locked_until = ?, failures = '' WHERE kind = 'login' AND locked_until = 0 AND in_a_row = 4",
					h.Clock.Now().UnixMilli()+900_000)
			}, "423 account_locked"},
			"by an unlock": {3, func(ctx context.Context, who apitest.Person) {
				h.ExecIn(ctx, t, "DELETE FROM lockouts WHERE in_a_row = 3")
			}, "200"},
			"by another success": {1, func(ctx context.Context, who apitest.Person) {
				h.ExecIn(ctx, t, "UPDATE lockouts SET failures = '', in_a_row = 0 WHERE in_a_row = 1")
			}, "200"},
		} {
			who := h.Account(t, p, apitest.Object{"email": strings.NewReplacer(" ", ".", ",", "").Replace(name) + "@example.com"})
			for range tt.failures {
				h.LogInWrong(t, p, who.Email).Status(http.StatusUnauthorized)
			}
			a := h.ChangeDuring(t, h.Prepare(t, http.MethodPost, p.Front+"/login", who.Credentials()),
				func(ctx context.Context) { tt.change(ctx, who) })
			require.Equal(t, tt.outcome, a.Outcome(), "%s: %s", name, a.Body)
		}
		require.NotContains(t, h.Log.String(), "internal error")
	})
}

// Whatever a right password would be told: a lock that comes while it is hashed comes first, or tries at once would tell
// it however many of them are wrong.
func TestLockDuringHashing(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		pool := password.NewPool(1, 30*time.Second, password.Cheapest)
		h := apitest.New(t, db, apitest.HashingIn(pool))
		p := h.Portal(t)
		for name, tt := range map[string]struct {
			account, login apitest.Object
			failures       int
		}{
			"granted":     {nil, nil, 0},
			"with.count":  {nil, nil, 1},
			"not.granted": {nil, apitest.Object{"resource": "reports"}, 0},
			"disabled":    {apitest.Object{"disabled": true}, nil, 1},
			"unconfirmed": {apitest.Object{"confirmed": false}, nil, 0},
		} {
			who := h.Account(t, p, tt.account, apitest.Object{"email": name + "@example.com"})
			h.SetPasswordHash(t, who, apitest.ForeignHash(who.Password, 12))
			for range tt.failures {
				h.LogInWrong(t, p, who.Email).Is("attempts_remaining", 4)
			}
			answered := h.SendInBackground(t, h.Prepare(t, http.MethodPost, p.Front+"/login", who.Credentials(tt.login)))
			require.Eventually(t, func() bool { return pool.Stats().Running == 1 }, 5*time.Second, 100*time.Microsecond)
			h.PutLock(t, p, who.Email, 5, h.Clock.Now().UnixMilli()+900_000)
			a := answered()
			require.Equal(t, "423 account_locked", a.Outcome(), "%s: %s", name, a.Body)
		}
		require.Equal(t, "0", h.QueryValue(t, "SELECT COUNT(*) FROM sessions"))
	})
}

// A wrong password that was overtaken by a success is the first of a new count.
func TestFailureAfterSuccessStartsNewCount(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		for range 4 {
			h.LogInWrong(t, p, "nobody@example.com")
		}
		h.ChangeDuring(t, h.PrepareWrongLogin(t, p, "nobody@example.com"), func(ctx context.Context) {
			h.ExecIn(ctx, t, "UPDATE lockouts SET failures = '', in_a_row = 0")
		}).Problem(http.StatusUnauthorized, "incorrect_credentials").Is("attempts_remaining", 4)
	})
}

// A session created between a password change and the end of the sessions is refused.
func TestSessionOfFormerStamp(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		for name, change := range map[string]string{
			"password": "UPDATE accounts SET security_stamp = ? WHERE id = ?",
			"disabled": "UPDATE accounts SET security_stamp = ?, disabled_at = 1 WHERE id = ?",
		} {
			who := h.Account(t, p, apitest.Object{"email": name + "@example.com"})
			in := h.LogIn(t, who)
			h.Exec(t, change, uuid.New(), who.ID) // as if the login had come before and its row after
			apitest.Fleet{h}.RequireSessionDead(t, p, in)
		}
	})
}
