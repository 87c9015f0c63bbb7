package apitest

import (
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// SecretKind is one of the kinds of secrets that mails carry, which behave alike.
type SecretKind struct {
	Path   string // below the portal's
	Remedy string // that asks for another one
	TTL    time.Duration
	Long   bool // every code is
}

// SecretKinds are all of them.
var SecretKinds = []SecretKind{
	{Path: Confirmations, Remedy: "resend_confirmation", TTL: 24 * time.Hour},
	{Path: PasswordResets, Remedy: "reset_password", TTL: 15 * time.Minute, Long: true},
}

// EachSecretKind runs a test for every kind on both databases: with a portal, and a person who has a password and is not
// confirmed, whom every kind of secret may be sent to.
func EachSecretKind(t *testing.T, run func(t *testing.T, o *MailHarness, k SecretKind, ada Person)) {
	t.Helper()
	for _, k := range SecretKinds {
		t.Run(k.Path, func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, db *database.DB) {
				o := NewWithMail(t, db)
				run(t, o, k, o.Account(t, o.Portal(t), Object{"confirmed": false}))
			})
		})
	}
}

// Refusal wants an answer to be a problem of a status and code.
func Refusal(status int, code string) func(*Answer) {
	return func(a *Answer) { a.T.Helper(); a.Problem(status, code) }
}

// RequireRefused wants a secret to be refused by verify and by redeem alike.
func (o *MailHarness) RequireRefused(t testing.TB, p Portal, k SecretKind, secret Object, refused func(*Answer)) {
	t.Helper()
	refused(o.Verify(t, p, k.Path, secret))
	refused(o.Redeem(t, p, k.Path, secret))
}
