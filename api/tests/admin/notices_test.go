package admin_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// Whatever an administrator does to an account's address, password or confirmation, its owner hears of it at the address
// that the account had before. The notice carries no link, and its row no address once it is sent.
func TestOwnerIsNotifiedOfAdministratorsChanges(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t)
		const before, after, phrase = "ada@example.com", "mallory@elsewhere.example", "what mallory thinks of it"
		from := apitest.FromAddress("198.51.100.9:1")
		for _, c := range []struct {
			change   apitest.Object
			subjects []string
			confirm  bool
		}{
			{apitest.Object{"email": after}, []string{"The email address of your account for Acme was changed"}, true},
			{apitest.Object{"email": after, "confirmed": true, "password": phrase}, []string{
				"The email address of your account for Acme was changed", "Your password for Acme was changed",
			}, false},
			{apitest.Object{"password": phrase}, []string{"Your password for Acme was changed"}, false},
			{apitest.Object{"confirmed": false}, []string{"The confirmation of your email address for Acme was changed"}, false},
			{apitest.Object{"email": "ADA@example.com", "roles": []string{"x"}, "disabled": true}, nil, false},
		} {
			ada := o.Account(t, p, apitest.Object{"email": before})
			sent := o.AwaitAllSent(t)
			o.Patch(t, ada.Admin, c.change, apitest.AsOperator, from).Status(http.StatusOK)
			for _, subject := range c.subjects {
				notice := o.MailTo(t, before, subject)
				require.NotContains(t, notice.Text, "http")
				require.Contains(t, notice.Text, "198.51.100.9")
			}
			wanted := len(c.subjects)
			if c.confirm {
				wanted++
				confirmation := o.MailTo(t, after, "Confirm your email address for Acme")
				o.Redeem(t, p, apitest.Confirmations, confirmation.ByLink()).Status(http.StatusOK)
			}
			require.Equal(t, sent+wanted, o.AwaitAllSent(t), c.change)
			o.Delete(t, ada.Admin, apitest.AsOperator, from).Status(http.StatusNoContent)
			last := before
			if c.change["email"] == after {
				last = after
			}
			deleted := o.MailTo(t, last, "Your account for Acme was deleted")
			require.Contains(t, deleted.Text, "198.51.100.9")
			require.NotContains(t, deleted.Text, "http")
			o.AwaitAllSent(t)
			require.Equal(t, "0", o.QueryValue(t, "SELECT COUNT(*) FROM deliveries WHERE recipient IS NOT NULL"))
			o.Clock.Advance(apitest.ResendInterval)
		}
	})
}
