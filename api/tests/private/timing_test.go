package private_test

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/password"
)

// soonest is how soon a private portal may answer that a login failed.
const soonest = 500 * time.Millisecond

func took(work func()) time.Duration {
	begun := time.Now()
	work()
	return time.Since(begun)
}

// At a private portal a login that fails takes a while, whatever it fails by; one that succeeds does not, nor does any at
// an open portal.
// It does not run beside the other tests, because it measures time.
func TestLoginFailuresTakeMinimumTime(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{"slug": "private", "enumeration": "private"})
		bringAll(t, h, p)
		ends := make(chan string, 2*len(standings))
		for _, s := range standings {
			for _, secret := range []string{apitest.WrongPassword, apitest.GoodPassword} {
				r := h.Prepare(t, http.MethodPost, p.Front+"/login", typing(secret)(s.email()))
				go func() {
					var a *apitest.Answer
					time := took(func() { a = h.Send(t, r.Request) })
					if a.HTTPStatus != http.StatusOK && time < soonest {
						ends <- s.name + ": " + time.String()
						return
					}
					ends <- ""
				}()
			}
		}
		for range 2 * len(standings) {
			require.Empty(t, <-ends)
		}

		open := h.Portal(t)
		ada, bob := h.Account(t, open), h.Account(t, p, apitest.Object{"email": "bob@example.com"})
		fastest := func(do func()) time.Duration {
			return slices.Min([]time.Duration{took(do), took(do), took(do), took(do)})
		}
		require.Less(t, fastest(func() { h.LogIn(t, bob) }), soonest, "a success")
		require.Less(t, fastest(func() { h.LogInWrong(t, open, ada.Email) }), soonest, "a failure at an open portal")
		require.Less(t, fastest(func() { h.LockoutStatus(t, p, bob.Email) }), soonest, "another operation")
	})
}

// What the server could not decide says nothing of anybody and is told at once; who leaves is not waited for.
// It does not run beside the other tests, because it measures time.
func TestUndecidedLoginsAreNotDelayed(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		pool := password.NewPool(1, time.Millisecond, password.Cheapest)
		h := apitest.New(t, db, apitest.HashingIn(pool))
		p := h.Portal(t, apitest.Object{"enumeration": "private"})
		wait := apitest.OccupyHashing(t, pool)
		require.Less(t, took(func() {
			h.LogInWrong(t, p, "nobody@example.com").Problem(http.StatusServiceUnavailable, "overloaded")
		}), soonest)
		wait()
		ctx, leave := context.WithCancel(context.Background())
		defer leave()
		r := h.Prepare(t, http.MethodPost, p.Front+"/login", typing(apitest.WrongPassword)("nobody@example.com"), apitest.InContext(ctx))
		require.Less(t, took(func() {
			answered := make(chan *apitest.Answer, 1)
			go func() { answered <- h.Send(t, r.Request) }()
			require.Eventually(t, func() bool { return h.QueryValue(t, "SELECT COUNT(*) FROM lockouts") == "1" }, 5*time.Second, time.Millisecond)
			leave()
			<-answered
		}), soonest)
		h.LogInWrong(t, p, "nobody@example.com").Is("attempts_remaining", nil)
		require.Equal(t, "2", h.QueryValue(t, "SELECT in_a_row FROM lockouts")) // the earlier try was counted
	})
}

// medians are of what each of several things took, done in turn so that all meet the same machine; between them,
// reset is not measured.
func medians(b *testing.B, reset func(), work ...func()) []time.Duration {
	b.Helper()
	samples := make([][]time.Duration, len(work))
	for b.Loop() {
		for i, do := range work {
			reset()
			samples[i] = append(samples[i], took(do))
		}
	}
	middle := make([]time.Duration, len(work))
	for i, of := range samples {
		slices.Sort(of)
		middle[i] = of[len(of)/2]
	}
	return middle
}
