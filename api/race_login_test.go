package api_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/password"
)

// endings are what ends every session of an account, and what a login with the password of before is told afterwards.
var endings = []struct {
	name       string
	end        func(t testing.TB, f fleet, who person) sent
	afterwards string
}{
	{"password", func(t testing.TB, f fleet, who person) sent {
		return f[0].prepare(t, http.MethodPatch, who.admin, object{"password": newPassword}, asOperator)
	}, "401 incorrect_credentials"},
	{"disabled", func(t testing.TB, f fleet, who person) sent {
		return f[0].prepare(t, http.MethodPatch, who.admin, object{"disabled": true}, asOperator)
	}, "403 account_disabled"},
	{"email", func(t testing.TB, f fleet, who person) sent {
		return f[0].prepare(t, http.MethodPatch, who.admin, object{"email": "now." + who.email}, asOperator)
	}, "401 incorrect_credentials"},
	{"deleted", func(t testing.TB, f fleet, who person) sent {
		return f[0].prepare(t, http.MethodDelete, who.admin, nil, asOperator)
	}, "401 incorrect_credentials"},
}

// A login that races what ends sessions leaves none: it was before, and its session has ended, or it is refused.
func TestLoginsThatRaceTheEndOfSessions(t *testing.T) {
	t.Parallel()
	eachFleet(t, func(t *testing.T, f fleet) {
		h := f[0]
		p := h.portal(t)
		for _, ending := range endings {
			in := 0
			for round := range rounds / 2 {
				who := h.account(t, p, object{"email": fmt.Sprintf("%s%d@example.com", ending.name, round)})
				requests := make([]sent, 5)
				for i := range requests {
					requests[i] = f[0].prepare(t, http.MethodPost, p.front+"/login", who.credentials())
				}
				requests[round%5] = ending.end(t, f, who)
				for i, a := range f.race(t, requests...) {
					switch {
					case i == round%5:
						require.Less(t, a.httpStatus, 300, "%s", a.body)
					case a.httpStatus == http.StatusOK:
						in++
						f.dead(t, p, tokensOf(a))
					default:
						require.True(t, strings.HasPrefix(a.outcome(), ending.afterwards), "%s: %s", ending.name, a.body)
					}
				}
			}
			t.Logf("%s: %d of %d logins came before", ending.name, in, 4*(rounds/2))
		}
	})
}

// What had been read is no longer so when the session is to begin.
func TestLoginsThatAreOvertaken(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		for name, tt := range map[string]struct {
			failures int
			change   func(ctx context.Context, who person)
			outcome  string // of the login
		}{
			"by a deletion": {0, func(ctx context.Context, who person) {
				h.do(ctx, t, "DELETE FROM accounts WHERE id = ?", who.id)
			}, "401 incorrect_credentials 4"},
			"by a deletion, with failures to clear": {2, func(ctx context.Context, who person) {
				h.do(ctx, t, "DELETE FROM accounts WHERE id = ?", who.id)
			}, "401 incorrect_credentials 2"},
			"by the fifth failure": {4, func(ctx context.Context, who person) {
				h.do(ctx, t, "UPDATE lockouts SET locked_until = ?, failures = '' WHERE kind = 'login' AND locked_until = 0 AND in_a_row = 4",
					h.clock.now().UnixMilli()+900_000)
			}, "423 account_locked"},
			"by an unlock": {3, func(ctx context.Context, who person) {
				h.do(ctx, t, "DELETE FROM lockouts WHERE in_a_row = 3")
			}, "200"},
			"by another success": {1, func(ctx context.Context, who person) {
				h.do(ctx, t, "UPDATE lockouts SET failures = '', in_a_row = 0 WHERE in_a_row = 1")
			}, "200"},
		} {
			who := h.account(t, p, object{"email": strings.NewReplacer(" ", ".", ",", "").Replace(name) + "@example.com"})
			for range tt.failures {
				h.wrong(t, p, who.email).status(http.StatusUnauthorized)
			}
			a := h.between(t, h.prepare(t, http.MethodPost, p.front+"/login", who.credentials()),
				func(ctx context.Context) { tt.change(ctx, who) })
			require.Equal(t, tt.outcome, a.outcome(), "%s: %s", name, a.body)
		}
		require.NotContains(t, h.log.String(), "internal error")
	})
}

// Whatever a right password would be told: a lock that comes while it is hashed comes first, or tries at once would tell
// it however many of them are wrong.
func TestALockThatComesWhileThePasswordIsHashed(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		pool := password.NewPool(1, 30*time.Second, password.Cheapest)
		h := newHarness(t, db, func(o *options) { o.App.Passwords = pool })
		p := h.portal(t)
		for name, tt := range map[string]struct {
			account, login object
			failures       int
		}{
			"granted":     {nil, nil, 0},
			"with.count":  {nil, nil, 1},
			"not.granted": {nil, object{"resource": "reports"}, 0},
			"disabled":    {object{"disabled": true}, nil, 1},
			"unconfirmed": {object{"confirmed": false}, nil, 0},
		} {
			who := h.account(t, p, tt.account, object{"email": name + "@example.com"})
			h.setHash(t, who, foreignHash(who.password, 12))
			for range tt.failures {
				h.wrong(t, p, who.email).is("attempts_remaining", 4)
			}
			answered := h.underWay(t, h.prepare(t, http.MethodPost, p.front+"/login", who.credentials(tt.login)))
			require.Eventually(t, func() bool { return pool.Stats().Running == 1 }, 5*time.Second, 100*time.Microsecond)
			h.putLock(t, p, who.email, 5, h.clock.now().UnixMilli()+900_000)
			a := answered()
			require.Equal(t, "423 account_locked", a.outcome(), "%s: %s", name, a.body)
		}
		require.Equal(t, "0", h.sql(t, "SELECT COUNT(*) FROM sessions"))
	})
}

// A wrong password that was overtaken by a success is the first of a new count.
func TestFailuresThatAreOvertaken(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		for range 4 {
			h.wrong(t, p, "nobody@example.com")
		}
		h.between(t, h.wrongTry(t, p, "nobody@example.com"), func(ctx context.Context) {
			h.do(ctx, t, "UPDATE lockouts SET failures = '', in_a_row = 0")
		}).problem(http.StatusUnauthorized, "incorrect_credentials").is("attempts_remaining", 4)
	})
}

// A session that slips in between a change of the password and the ending of sessions is dead on arrival.
func TestASessionOfTheStampBefore(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		for name, change := range map[string]string{
			"password": "UPDATE accounts SET security_stamp = ? WHERE id = ?",
			"disabled": "UPDATE accounts SET security_stamp = ?, disabled_at = 1 WHERE id = ?",
		} {
			who := h.account(t, p, object{"email": name + "@example.com"})
			in := h.logIn(t, who)
			h.exec(t, change, uuid.New(), who.id) // as if the login had come before and its row after
			fleet{h}.dead(t, p, in)
		}
	})
}
