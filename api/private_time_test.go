package api_test

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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
func TestFailuresAtAPrivatePortalTakeAWhile(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, object{"slug": "private", "enumeration": "private"})
		bringAll(t, h, p)
		ends := make(chan string, 2*len(standings))
		for _, s := range standings {
			for _, secret := range []string{wrongPassword, goodPassword} {
				r := h.prepare(t, http.MethodPost, p.front+"/login", typing(secret)(s.email()))
				go func() {
					var a *answer
					time := took(func() { a = h.send(t, r.Request) })
					if a.httpStatus != http.StatusOK && time < soonest {
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

		open := h.portal(t)
		ada, bob := h.account(t, open), h.account(t, p, object{"email": "bob@example.com"})
		fastest := func(do func()) time.Duration {
			return slices.Min([]time.Duration{took(do), took(do), took(do), took(do)})
		}
		require.Less(t, fastest(func() { h.logIn(t, bob) }), soonest, "a success")
		require.Less(t, fastest(func() { h.wrong(t, open, ada.email) }), soonest, "a failure at an open portal")
		require.Less(t, fastest(func() { h.lockoutStatus(t, p, bob.email) }), soonest, "another operation")
	})
}

// What the server could not decide says nothing of anybody and is told at once; who leaves is not waited for.
func TestWhatIsNoFailureTakesNoWhile(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		pool := password.NewPool(1, time.Millisecond, password.Cheapest)
		h := newHarness(t, db, func(o *options) { o.App.Passwords = pool })
		p := h.portal(t, object{"enumeration": "private"})
		wait := busy(t, pool)
		require.Less(t, took(func() {
			h.wrong(t, p, "nobody@example.com").problem(http.StatusServiceUnavailable, "overloaded")
		}), soonest)
		wait()
		ctx, leave := context.WithCancel(context.Background())
		defer leave()
		r := h.prepare(t, http.MethodPost, p.front+"/login", typing(wrongPassword)("nobody@example.com"), inContext(ctx))
		require.Less(t, took(func() {
			answered := make(chan *answer, 1)
			go func() { answered <- h.send(t, r.Request) }()
			require.Eventually(t, func() bool { return h.sql(t, "SELECT COUNT(*) FROM lockouts") == "1" }, 5*time.Second, time.Millisecond)
			leave()
			<-answered
		}), soonest)
		h.wrong(t, p, "nobody@example.com").is("attempts_remaining", 3) // he was counted
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

// BenchmarkPrivate tells what a stranger's clock sees at a private portal, of an address that has an account beside one
// that has none, hashed as in production. The login is also done at an open portal: the floor of 500 ms hides what
// differs in its work.
func BenchmarkPrivate(b *testing.B) {
	for _, d := range databasetest.Dialects() {
		h := newHarness(b, databasetest.Open(b, d), func(o *options) {
			o.App.Passwords = password.NewPool(2, 30*time.Second, password.Default)
		})
		private := h.portal(b, object{"enumeration": "private"})
		open := h.portal(b, object{"slug": "open"})
		for _, bm := range []struct {
			name, path string
			at         portal
			body       func(email string) object
			known      bringer
		}{
			{"lookup", "/lookup", private, naming, account(nil)},
			{"login", "/login", private, typing(wrongPassword), account(nil)},
			{"login without the floor", "/login", open, typing(wrongPassword), account(nil)},
			{"invitations/resend", "/invitations/resend", private, naming, asked},
		} {
			b.Run(string(d)+"/"+bm.name, func(b *testing.B) {
				h.exec(b, "DELETE FROM accounts")
				bm.known(b, h, bm.at, invitee)
				call := func(email string) func() {
					text := encoded(b, bm.body(email))
					return func() { h.send(b, h.request(b, http.MethodPost, bm.at.front+bm.path, text)) }
				}
				unlock := func() { h.exec(b, "DELETE FROM lockouts"); h.exec(b, "DELETE FROM onetime_secrets") }
				m := medians(b, unlock, call(invitee), call("bob@example.com"))
				b.ReportMetric(0, "ns/op") // of both together: it says nothing
				b.ReportMetric(float64(m[0].Microseconds()), "known-µs")
				b.ReportMetric(float64(m[1].Microseconds()), "unknown-µs")
			})
		}
	}
}
