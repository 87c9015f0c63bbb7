package private_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/password"
)

// BenchmarkPrivate tells what a stranger's clock sees at a private portal, of an address that has an account beside one
// that has none, hashed as in production. The login is also done at an open portal: the floor of 500 ms hides what
// differs in its work.
func BenchmarkPrivate(b *testing.B) {
	for _, d := range databasetest.Dialects() {
		h := apitest.New(b, databasetest.Open(b, d), apitest.HashingIn(password.NewPool(2, 30*time.Second, password.Default)))
		private := h.Portal(b, apitest.Object{"enumeration": "private"})
		open := h.Portal(b, apitest.Object{"slug": "open"})
		for _, bm := range []struct {
			name, path string
			at         apitest.Portal
			body       func(email string) apitest.Object
			known      bringer
		}{
			{"lookup", "/lookup", private, naming, account(nil)},
			{"login", "/login", private, typing(apitest.WrongPassword), account(nil)},
			{"login without the floor", "/login", open, typing(apitest.WrongPassword), account(nil)},
			{"invitations/resend", "/invitations/resend", private, naming, asked},
		} {
			b.Run(string(d)+"/"+bm.name, func(b *testing.B) {
				h.Exec(b, "DELETE FROM accounts")
				bm.known(b, h, bm.at, apitest.Invitee)
				call := func(email string) func() {
					text := apitest.Encode(b, bm.body(email))
					return func() { h.Send(b, h.Request(b, http.MethodPost, bm.at.Front+bm.path, text)) }
				}
				unlock := func() { h.Exec(b, "DELETE FROM lockouts"); h.Exec(b, "DELETE FROM onetime_secrets") }
				m := medians(b, unlock, call(apitest.Invitee), call("bob@example.com"))
				b.ReportMetric(0, "ns/op") // of both together: it says nothing
				b.ReportMetric(float64(m[0].Microseconds()), "known-µs")
				b.ReportMetric(float64(m[1].Microseconds()), "unknown-µs")
			})
		}
	}
}
