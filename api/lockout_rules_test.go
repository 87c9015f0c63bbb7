package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// eachLocked runs a test for an address that has an account and for one that has none, each at a portal of its own:
// locking does not tell them apart.
func eachLocked(t *testing.T, settings object, run func(t *testing.T, h *harness, p portal, email string)) {
	t.Helper()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		for _, email := range []string{"ada@example.com", "nobody@example.com"} {
			name, _, _ := strings.Cut(email, "@")
			p := h.portal(t, settings, object{"slug": name})
			h.account(t, p)
			run(t, h, p, email)
		}
	})
}

// right tries the password of the account, which nobody@example.com has none of.
func (h *harness) right(t testing.TB, p portal, email string) *answer {
	t.Helper()
	return h.post(t, p.front+"/login", object{"email": email, "password": goodPassword})
}

// lockRow is what the count of logins rests on.
func (h *harness) lockRow(t testing.TB, p portal) string {
	t.Helper()
	return h.sql(t, `SELECT failures || ' ' || CAST(in_a_row AS TEXT) || ' ' || CAST(locked_at AS TEXT) || ' ' ||
		CAST(locked_until AS TEXT) || ' ' || CAST(lock_length AS TEXT) || ' ' || CAST(updated_at AS TEXT)
		FROM lockouts WHERE kind = 'login' AND portal_id = ?`, p.id)
}

func TestAnAddressWithoutAnAccountLocksAlike(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		ada, nobody := h.account(t, p).email, "bob@example.com"
		for step := range 8 {
			for _, try := range []func(email string) *answer{
				func(email string) *answer { return h.lockoutStatus(t, p, email) },
				func(email string) *answer { return h.wrong(t, p, email) },
				func(email string) *answer { return h.wrong(t, p, strings.ToUpper(email)) },
			} {
				require.Equal(t, shape(try(ada), ada), shape(try(nobody), nobody), "step %d", step)
			}
			h.clock.advance(3 * time.Minute)
		}
	})
}

func TestFailuresCountForAWindow(t *testing.T) {
	t.Parallel()
	eachLocked(t, object{"lockout": object{"window": 600}}, func(t *testing.T, h *harness, p portal, email string) {
		for i, after := range []time.Duration{0, 200 * time.Second, 200 * time.Second, 199 * time.Second} {
			h.clock.advance(after)
			h.wrong(t, p, email).is("attempts_remaining", 4-i)
		}
		h.lockoutStatus(t, p, email).is("failed_attempts", 4).is("attempts_remaining", 1).is("threshold", 5).
			is("locked_until", nil).is("retry_after_seconds", 0)
		h.clock.advance(time.Second + time.Millisecond) // the first has left the window, by a millisecond
		h.lockoutStatus(t, p, email).is("failed_attempts", 3).is("attempts_remaining", 2)
		h.wrong(t, p, email).problem(http.StatusUnauthorized, "incorrect_credentials").is("attempts_remaining", 1)
		h.clock.advance(200*time.Second - time.Millisecond) // the second is about to
		h.wrong(t, p, email).problem(http.StatusUnauthorized, "incorrect_credentials").is("attempts_remaining", 0)
		h.wrong(t, p, email).problem(http.StatusLocked, "account_locked")
	})
}

func TestALockEndsWhenItSays(t *testing.T) {
	t.Parallel()
	eachLocked(t, nil, func(t *testing.T, h *harness, p portal, email string) {
		until := h.lock(t, p, email, 5)
		require.Equal(t, 15*time.Minute, until.Sub(h.clock.now()))
		h.wrong(t, p, email).problem(http.StatusLocked, "account_locked").sets("Retry-After", "900").
			remedies("wait", "reset_password", "contact_support").lacks("attempts_remaining").lacks("hints")
		h.lockoutStatus(t, p, email).is("locked", true).is("retry_after_seconds", 900).is("failed_attempts", 5).
			is("attempts_remaining", 0)
		h.clock.advance(15*time.Minute - time.Millisecond)
		h.right(t, p, email).problem(http.StatusLocked, "account_locked").sets("Retry-After", "1")
		h.lockoutStatus(t, p, email).is("locked", true).is("retry_after_seconds", 1)
		h.clock.advance(time.Millisecond)
		h.lockoutStatus(t, p, email).is("locked", false).is("locked_until", nil).is("retry_after_seconds", 0).
			is("failed_attempts", 0).is("attempts_remaining", 5)
		h.wrong(t, p, email).problem(http.StatusUnauthorized, "incorrect_credentials").is("attempts_remaining", 4)
		if email == "ada@example.com" {
			h.right(t, p, email).status(http.StatusOK)
		}
	})
}

// A try while locked moves nothing, whatever it brings.
func TestATryWhileLockedChangesNothing(t *testing.T) {
	t.Parallel()
	eachLocked(t, nil, func(t *testing.T, h *harness, p portal, email string) {
		until := h.lock(t, p, email, 5)
		row := h.lockRow(t, p)
		for range 4 {
			h.clock.advance(3 * time.Minute)
			require.Equal(t, until, h.lockedUntil(t, p, email))
			h.right(t, p, email).problem(http.StatusLocked, "account_locked").
				is("locked_until", until.Format("2006-01-02T15:04:05.000Z"))
			require.Equal(t, row, h.lockRow(t, p))
		}
		require.Equal(t, "0", h.sql(t, "SELECT COUNT(*) FROM sessions"))
	})
}

// A further lock within a day is twice as long, as far as the portal lets it be; a day later the first length is back.
func TestLocksDouble(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		for slug, tt := range map[string]struct {
			lockout object
			minutes []int
		}{
			"default": {object{}, []int{15, 30, 30, 30}},
			"longer":  {object{"max_duration": 6000}, []int{15, 30, 60, 100, 100}},
			"never":   {object{"max_duration": 900}, []int{15, 15, 15}},
		} {
			p := h.portal(t, object{"slug": slug, "lockout": tt.lockout})
			email := h.account(t, p).email
			lasts := func(minutes int) {
				t.Helper()
				require.Equal(t, time.Duration(minutes)*time.Minute, h.lock(t, p, email, 5).Sub(h.clock.now()))
			}
			for _, minutes := range tt.minutes {
				lasts(minutes)
				h.clock.advance(time.Duration(minutes) * time.Minute)
			}
			last := tt.minutes[len(tt.minutes)-1]
			h.clock.advance(24*time.Hour - time.Duration(last)*time.Minute - time.Millisecond)
			lasts(last) // a day has not gone by since the last began
			h.clock.advance(24 * time.Hour)
			lasts(15)
		}
	})
}

func TestSuccessClearsTheCountAndNotTheDoubling(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		ada := h.account(t, p)
		h.lock(t, p, ada.email, 5)
		h.clock.advance(15 * time.Minute)
		for range 2 {
			h.wrong(t, p, ada.email).is("attempts_remaining", 4)
			h.wrong(t, p, ada.email).is("attempts_remaining", 3)
			h.logIn(t, ada)
			h.lockoutStatus(t, p, ada.email).is("failed_attempts", 0).is("attempts_remaining", 5)
		}
		require.Equal(t, 30*time.Minute, h.lock(t, p, ada.email, 5).Sub(h.clock.now()))

		// What is refused though the password was right is no success, and no failure either.
		bob := h.account(t, p, object{"email": "bob@example.com", "confirmed": false})
		h.wrong(t, p, bob.email).is("attempts_remaining", 4)
		for range 6 {
			h.right(t, p, bob.email).problem(http.StatusForbidden, "email_not_confirmed")
		}
		h.lockoutStatus(t, p, bob.email).is("failed_attempts", 1)
	})
}

// An administrator forgets the doubling too, and a count that has not locked yet.
func TestUnlockForgetsEverything(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		ada := h.account(t, p)
		unlock := func() {
			t.Helper()
			h.post(t, ada.admin+"/unlock", nil, asOperator).status(http.StatusOK).is("locked_until", nil)
			h.lockoutStatus(t, p, ada.email).is("locked", false).is("failed_attempts", 0).is("attempts_remaining", 5)
		}
		for range 3 {
			require.Equal(t, 15*time.Minute, h.lock(t, p, ada.email, 5).Sub(h.clock.now()))
			unlock()
			h.wrong(t, p, ada.email).is("attempts_remaining", 4)
			unlock()
		}
		h.logIn(t, ada)
	})
}

// After a hundred failures in a row, tries while locked apart, the password is off for good.
func TestAHundredInARow(t *testing.T) {
	t.Parallel()
	eachLocked(t, object{"lockout": object{"threshold": 7}}, func(t *testing.T, h *harness, p portal, email string) {
		for range 14 {
			h.lock(t, p, email, 7) // and one try while locked
			h.clock.advance(31 * time.Minute)
		}
		h.wrong(t, p, email).problem(http.StatusUnauthorized, "incorrect_credentials").is("attempts_remaining", 1)
		h.wrong(t, p, email).problem(http.StatusUnauthorized, "incorrect_credentials").is("attempts_remaining", 0)
		off := func() {
			t.Helper()
			row := h.lockRow(t, p)
			h.wrong(t, p, email).problem(http.StatusForbidden, "password_reset_required").
				remedies("reset_password", "contact_support").lacks("attempts_remaining").sets("Retry-After", "")
			h.right(t, p, email).problem(http.StatusForbidden, "password_reset_required")
			h.lockoutStatus(t, p, email).is("locked", false).is("attempts_remaining", 0)
			require.Equal(t, row, h.lockRow(t, p))
		}
		off()
		h.clock.advance(60 * 24 * time.Hour)
		off()
	})
}

// A hundred failures with a success among them are not in a row; where the hundredth locks, the lock is told first.
func TestInARow(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		ada := h.account(t, p)
		fail := func(locks int) {
			t.Helper()
			for range locks {
				h.lock(t, p, ada.email, 5)
				h.clock.advance(31 * time.Minute)
			}
		}
		fail(19)
		h.logIn(t, ada)
		fail(19)
		h.lock(t, p, ada.email, 5) // the hundredth
		h.right(t, p, ada.email).problem(http.StatusLocked, "account_locked")
		h.clock.advance(31 * time.Minute)
		h.right(t, p, ada.email).problem(http.StatusForbidden, "password_reset_required")
		h.post(t, ada.admin+"/unlock", nil, asOperator).status(http.StatusOK)
		h.logIn(t, ada)
	})
}

func TestThresholds(t *testing.T) {
	t.Parallel()
	eachFleet(t, func(t *testing.T, f fleet) {
		h := f[0]
		once := h.portal(t, object{"slug": "once", "lockout": object{"threshold": 1}})
		ada := h.account(t, once)
		require.Equal(t, map[string]int{"401 incorrect_credentials 0": 1, "423 account_locked": 15},
			tally(f.atOnce(t, h.wrongTries(t, once, ada.email, 16)...)))
		h.clock.advance(15 * time.Minute)
		h.logIn(t, ada)
		require.Equal(t, 30*time.Minute, h.lock(t, once, ada.email, 1).Sub(h.clock.now()))

		twice := h.portal(t, object{"slug": "twice", "lockout": object{"threshold": 2}})
		require.Equal(t, map[string]int{"401 incorrect_credentials 1": 1, "401 incorrect_credentials 0": 1, "423 account_locked": 14},
			tally(f.atOnce(t, h.wrongTries(t, twice, "nobody@example.com", 16)...)))

		often := h.portal(t, object{"slug": "often", "lockout": object{"threshold": 100}})
		counts := tally(f.race(t, h.wrongTries(t, often, "nobody@example.com", 110)...))
		require.Equal(t, 10, counts["423 account_locked"], counts)
		require.Len(t, counts, 101)
		h.clock.advance(time.Hour)
		h.wrong(t, often, "nobody@example.com").problem(http.StatusForbidden, "password_reset_required")
	})
}

// Settings count from the next try on; a lock that stands keeps its end.
func TestLockoutSettingsChange(t *testing.T) {
	t.Parallel()
	eachLocked(t, object{"lockout": object{"threshold": 10}}, func(t *testing.T, h *harness, p portal, email string) {
		for left := 9; left >= 3; left-- {
			h.wrong(t, p, email).is("attempts_remaining", left)
		}
		h.patch(t, p.admin, object{"lockout": object{"threshold": 5}}, asOperator).status(http.StatusOK)
		h.lockoutStatus(t, p, email).is("locked", false).is("failed_attempts", 5).is("attempts_remaining", 0)
		h.wrong(t, p, email).problem(http.StatusUnauthorized, "incorrect_credentials").is("attempts_remaining", 0)
		until := h.lockedUntil(t, p, email)
		h.patch(t, p.admin, object{"lockout": object{"duration": 60, "threshold": 100}}, asOperator).status(http.StatusOK)
		require.Equal(t, until, h.lockedUntil(t, p, email))
		h.lockoutStatus(t, p, email).is("failed_attempts", 100).is("threshold", 100)
	})
}
