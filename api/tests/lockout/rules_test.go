package lockout_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// eachLocked runs a test for an address that has an account and for one that has none, each at a portal of its own:
// locking does not tell them apart.
func eachLocked(t *testing.T, settings apitest.Object, run func(t *testing.T, h *apitest.Harness, p apitest.Portal, email string)) {
	t.Helper()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		for _, email := range []string{"ada@example.com", "nobody@example.com"} {
			name, _, _ := strings.Cut(email, "@")
			p := h.Portal(t, settings, apitest.Object{"slug": name})
			h.Account(t, p)
			run(t, h, p, email)
		}
	})
}

// lockRow is what the count of logins rests on.
func lockRow(t testing.TB, h *apitest.Harness, p apitest.Portal) string {
	t.Helper()
	return h.QueryValue(t, `SELECT failures || ' ' || CAST(in_a_row AS TEXT) || ' ' || CAST(locked_at AS TEXT) || ' ' ||
		CAST(locked_until AS TEXT) || ' ' || CAST(lock_length AS TEXT) || ' ' || CAST(updated_at AS TEXT)
		FROM lockouts WHERE kind = 'login' AND portal_id = ?`, p.ID)
}

func TestUnknownAddressLocksAlike(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		ada, nobody := h.Account(t, p).Email, "bob@example.com"
		for step := range 8 {
			for _, try := range []func(email string) *apitest.Answer{
				func(email string) *apitest.Answer { return h.LockoutStatus(t, p, email) },
				func(email string) *apitest.Answer { return h.LogInWrong(t, p, email) },
				func(email string) *apitest.Answer { return h.LogInWrong(t, p, strings.ToUpper(email)) },
			} {
				require.Equal(t, apitest.VisibleAnswer(try(ada), ada), apitest.VisibleAnswer(try(nobody), nobody), "step %d", step)
			}
			h.Clock.Advance(3 * time.Minute)
		}
	})
}

func TestFailureWindow(t *testing.T) {
	t.Parallel()
	eachLocked(t, apitest.Object{"lockout": apitest.Object{"window": 600}}, func(t *testing.T, h *apitest.Harness, p apitest.Portal, email string) {
		for i, after := range []time.Duration{0, 200 * time.Second, 200 * time.Second, 199 * time.Second} {
			h.Clock.Advance(after)
			h.LogInWrong(t, p, email).Is("attempts_remaining", 4-i)
		}
		h.LockoutStatus(t, p, email).Is("failed_attempts", 4).Is("attempts_remaining", 1).Is("threshold", 5).
			Is("locked_until", nil).Is("retry_after_seconds", 0)
		h.Clock.Advance(time.Second + time.Millisecond) // the first has left the window, by a millisecond
		h.LockoutStatus(t, p, email).Is("failed_attempts", 3).Is("attempts_remaining", 2)
		h.LogInWrong(t, p, email).Problem(http.StatusUnauthorized, "incorrect_credentials").Is("attempts_remaining", 1)
		h.Clock.Advance(200*time.Second - time.Millisecond) // the second is about to
		h.LogInWrong(t, p, email).Problem(http.StatusUnauthorized, "incorrect_credentials").Is("attempts_remaining", 0)
		h.LogInWrong(t, p, email).Problem(http.StatusLocked, "account_locked")
	})
}

func TestLockEnd(t *testing.T) {
	t.Parallel()
	eachLocked(t, nil, func(t *testing.T, h *apitest.Harness, p apitest.Portal, email string) {
		until := lock(t, h, p, email, 5)
		require.Equal(t, 15*time.Minute, until.Sub(h.Clock.Now()))
		h.LogInWrong(t, p, email).Problem(http.StatusLocked, "account_locked").HasHeader("Retry-After", "900").
			Remedies("wait", "reset_password", "contact_support").Lacks("attempts_remaining").Lacks("hints")
		h.LockoutStatus(t, p, email).Is("locked", true).Is("retry_after_seconds", 900).Is("failed_attempts", 5).
			Is("attempts_remaining", 0)
		h.Clock.Advance(15*time.Minute - time.Millisecond)
		h.LogInRight(t, p, email).Problem(http.StatusLocked, "account_locked").HasHeader("Retry-After", "1")
		h.LockoutStatus(t, p, email).Is("locked", true).Is("retry_after_seconds", 1)
		h.Clock.Advance(time.Millisecond)
		h.LockoutStatus(t, p, email).Is("locked", false).Is("locked_until", nil).Is("retry_after_seconds", 0).
			Is("failed_attempts", 0).Is("attempts_remaining", 5)
		h.LogInWrong(t, p, email).Problem(http.StatusUnauthorized, "incorrect_credentials").Is("attempts_remaining", 4)
		if email == "ada@example.com" {
			h.LogInRight(t, p, email).Status(http.StatusOK)
		}
	})
}

// A try while locked moves nothing, whatever it brings.
func TestLockedTriesChangeNothing(t *testing.T) {
	t.Parallel()
	eachLocked(t, nil, func(t *testing.T, h *apitest.Harness, p apitest.Portal, email string) {
		until := lock(t, h, p, email, 5)
		row := lockRow(t, h, p)
		for range 4 {
			h.Clock.Advance(3 * time.Minute)
			require.Equal(t, until, lockedUntil(t, h, p, email))
			h.LogInRight(t, p, email).Problem(http.StatusLocked, "account_locked").
				Is("locked_until", until.Format("2006-01-02T15:04:05.000Z"))
			require.Equal(t, row, lockRow(t, h, p))
		}
		require.Equal(t, "0", h.QueryValue(t, "SELECT COUNT(*) FROM sessions"))
	})
}

// A further lock within a day is twice as long, as far as the portal lets it be; a day later the first length is back.
func TestLockDoubling(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		for slug, tt := range map[string]struct {
			lockout apitest.Object
			minutes []int
		}{
			"default": {apitest.Object{}, []int{15, 30, 30, 30}},
			"longer":  {apitest.Object{"max_duration": 6000}, []int{15, 30, 60, 100, 100}},
			"never":   {apitest.Object{"max_duration": 900}, []int{15, 15, 15}},
		} {
			p := h.Portal(t, apitest.Object{"slug": slug, "lockout": tt.lockout})
			email := h.Account(t, p).Email
			lasts := func(minutes int) {
				t.Helper()
				require.Equal(t, time.Duration(minutes)*time.Minute, lock(t, h, p, email, 5).Sub(h.Clock.Now()))
			}
			for _, minutes := range tt.minutes {
				lasts(minutes)
				h.Clock.Advance(time.Duration(minutes) * time.Minute)
			}
			last := tt.minutes[len(tt.minutes)-1]
			h.Clock.Advance(24*time.Hour - time.Duration(last)*time.Minute - time.Millisecond)
			lasts(last) // a day has not gone by since the last began
			h.Clock.Advance(24 * time.Hour)
			lasts(15)
		}
	})
}

func TestSuccessClearsCountOnly(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		ada := h.Account(t, p)
		lock(t, h, p, ada.Email, 5)
		h.Clock.Advance(15 * time.Minute)
		for range 2 {
			h.LogInWrong(t, p, ada.Email).Is("attempts_remaining", 4)
			h.LogInWrong(t, p, ada.Email).Is("attempts_remaining", 3)
			h.LogIn(t, ada)
			h.LockoutStatus(t, p, ada.Email).Is("failed_attempts", 0).Is("attempts_remaining", 5)
		}
		require.Equal(t, 30*time.Minute, lock(t, h, p, ada.Email, 5).Sub(h.Clock.Now()))

		// What is refused though the password was right is no success, and no failure either.
		bob := h.Account(t, p, apitest.Object{"email": "bob@example.com", "confirmed": false})
		h.LogInWrong(t, p, bob.Email).Is("attempts_remaining", 4)
		for range 6 {
			h.LogInRight(t, p, bob.Email).Problem(http.StatusForbidden, "email_not_confirmed")
		}
		h.LockoutStatus(t, p, bob.Email).Is("failed_attempts", 1)
	})
}

// An administrator forgets the doubling too, and a count that has not locked yet.
func TestUnlockClearsEverything(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		ada := h.Account(t, p)
		unlock := func() {
			t.Helper()
			h.Post(t, ada.Admin+"/unlock", nil, apitest.AsOperator).Status(http.StatusOK).Is("locked_until", nil)
			h.LockoutStatus(t, p, ada.Email).Is("locked", false).Is("failed_attempts", 0).Is("attempts_remaining", 5)
		}
		for range 3 {
			require.Equal(t, 15*time.Minute, lock(t, h, p, ada.Email, 5).Sub(h.Clock.Now()))
			unlock()
			h.LogInWrong(t, p, ada.Email).Is("attempts_remaining", 4)
			unlock()
		}
		h.LogIn(t, ada)
	})
}

// After a hundred failures in a row, tries while locked apart, the password is off for good.
func TestHundredFailuresInARow(t *testing.T) {
	t.Parallel()
	eachLocked(t, apitest.Object{"lockout": apitest.Object{"threshold": 7}}, func(t *testing.T, h *apitest.Harness, p apitest.Portal, email string) {
		for range 14 {
			lock(t, h, p, email, 7) // and one try while locked
			h.Clock.Advance(31 * time.Minute)
		}
		h.LogInWrong(t, p, email).Problem(http.StatusUnauthorized, "incorrect_credentials").Is("attempts_remaining", 1)
		h.LogInWrong(t, p, email).Problem(http.StatusUnauthorized, "incorrect_credentials").Is("attempts_remaining", 0)
		off := func() {
			t.Helper()
			row := lockRow(t, h, p)
			h.LogInWrong(t, p, email).Problem(http.StatusForbidden, "password_reset_required").
				Remedies("reset_password", "contact_support").Lacks("attempts_remaining").HasHeader("Retry-After", "")
			h.LogInRight(t, p, email).Problem(http.StatusForbidden, "password_reset_required")
			h.LockoutStatus(t, p, email).Is("locked", false).Is("attempts_remaining", 0)
			require.Equal(t, row, lockRow(t, h, p))
		}
		off()
		h.Clock.Advance(60 * 24 * time.Hour)
		off()
	})
}

// A hundred failures with a success among them are not in a row; where the hundredth locks, the lock is told first.
func TestWhatCountsAsInARow(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		ada := h.Account(t, p)
		fail := func(locks int) {
			t.Helper()
			for range locks {
				lock(t, h, p, ada.Email, 5)
				h.Clock.Advance(31 * time.Minute)
			}
		}
		fail(19)
		h.LogIn(t, ada)
		fail(19)
		lock(t, h, p, ada.Email, 5) // the hundredth
		h.LogInRight(t, p, ada.Email).Problem(http.StatusLocked, "account_locked")
		h.Clock.Advance(31 * time.Minute)
		h.LogInRight(t, p, ada.Email).Problem(http.StatusForbidden, "password_reset_required")
		h.Post(t, ada.Admin+"/unlock", nil, apitest.AsOperator).Status(http.StatusOK)
		h.LogIn(t, ada)
	})
}

func TestThresholds(t *testing.T) {
	t.Parallel()
	apitest.EachFleet(t, func(t *testing.T, f apitest.Fleet) {
		h := f[0]
		once := h.Portal(t, apitest.Object{"slug": "once", "lockout": apitest.Object{"threshold": 1}})
		ada := h.Account(t, once)
		require.Equal(t, map[string]int{"401 incorrect_credentials 0": 1, "423 account_locked": 15},
			apitest.Tally(f.SendAtOnce(t, wrongTries(t, h, once, ada.Email, 16)...)))
		h.Clock.Advance(15 * time.Minute)
		h.LogIn(t, ada)
		require.Equal(t, 30*time.Minute, lock(t, h, once, ada.Email, 1).Sub(h.Clock.Now()))

		twice := h.Portal(t, apitest.Object{"slug": "twice", "lockout": apitest.Object{"threshold": 2}})
		require.Equal(t, map[string]int{"401 incorrect_credentials 1": 1, "401 incorrect_credentials 0": 1, "423 account_locked": 14},
			apitest.Tally(f.SendAtOnce(t, wrongTries(t, h, twice, "nobody@example.com", 16)...)))

		often := h.Portal(t, apitest.Object{"slug": "often", "lockout": apitest.Object{"threshold": 100}})
		counts := apitest.Tally(f.SendUnchecked(t, wrongTries(t, h, often, "nobody@example.com", 110)...))
		require.Equal(t, 10, counts["423 account_locked"], counts)
		require.Len(t, counts, 101)
		h.Clock.Advance(time.Hour)
		h.LogInWrong(t, often, "nobody@example.com").Problem(http.StatusForbidden, "password_reset_required")
	})
}

// Settings apply from the next try on; an existing lock keeps its end.
func TestLockoutSettingsChange(t *testing.T) {
	t.Parallel()
	eachLocked(t, apitest.Object{"lockout": apitest.Object{"threshold": 10}}, func(t *testing.T, h *apitest.Harness, p apitest.Portal, email string) {
		for left := 9; left >= 3; left-- {
			h.LogInWrong(t, p, email).Is("attempts_remaining", left)
		}
		h.Patch(t, p.Admin, apitest.Object{"lockout": apitest.Object{"threshold": 5}}, apitest.AsOperator).Status(http.StatusOK)
		h.LockoutStatus(t, p, email).Is("locked", false).Is("failed_attempts", 5).Is("attempts_remaining", 0)
		h.LogInWrong(t, p, email).Problem(http.StatusUnauthorized, "incorrect_credentials").Is("attempts_remaining", 0)
		until := lockedUntil(t, h, p, email)
		h.Patch(t, p.Admin, apitest.Object{"lockout": apitest.Object{"duration": 60, "threshold": 100}}, apitest.AsOperator).Status(http.StatusOK)
		require.Equal(t, until, lockedUntil(t, h, p, email))
		h.LockoutStatus(t, p, email).Is("failed_attempts", 100).Is("threshold", 100)
	})
}
