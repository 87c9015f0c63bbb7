package secrets_test

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// A run's database and log hold nothing that opens anything.
func TestSecretsAreNotStoredOrLogged(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t)
		_, first := o.Register(t, p)
		o.Verify(t, p, apitest.Confirmations, first.WrongCode(apitest.Newcomer)).Problem(http.StatusBadRequest, "token_invalid")
		o.Verify(t, p, apitest.Confirmations, first.ByCode(apitest.Newcomer)).Status(http.StatusOK)
		o.Redeem(t, p, apitest.Confirmations, first.ByLink()).Status(http.StatusOK)
		grace := apitest.Person{Portal: p, Email: apitest.Newcomer, Password: apitest.GoodPassword}
		in := o.LogIn(t, grace)
		reset := o.RequestSecret(t, p, apitest.PasswordResets, apitest.Newcomer)
		o.Redeem(t, p, apitest.PasswordResets, reset.ByCode(apitest.Newcomer)).Status(http.StatusOK)
		o.Redeem(t, p, apitest.PasswordResets, reset.ByLink()).Problem(http.StatusGone, "token_used")
		o.MailTo(t, apitest.Newcomer, passwordChanged)
		o.Clock.Advance(apitest.ResendInterval)
		outstanding := o.RequestSecret(t, p, apitest.PasswordResets, apitest.Newcomer) // good as the dump is taken
		o.Account(t, p, apitest.Object{"password": nil})
		set := o.Mail(t, o.Post(t, p.Front+"/lookup", apitest.Object{"email": "ada@example.com"}).Status(http.StatusOK))
		o.AwaitAllSent(t)

		dump := o.Dump(t)
		require.Contains(t, dump, apitest.Newcomer, "it is a dump")
		logged := o.Log.String()
		for _, mail := range []apitest.Mail{first, reset, outstanding, set} {
			require.NotEmpty(t, mail.Token)
			for name, text := range map[string]string{"database": dump, "log": logged} {
				require.NotContains(t, text, mail.Token, name)
				require.NotContains(t, text, mail.Token[len(mail.Token)-16:], "%s: the MAC", name)
				require.NotRegexp(t, `(^|[^0-9A-Za-z.+-])`+mail.Code+`($|[^0-9A-Za-z])`, text, name)
			}
			octets, err := base64.RawURLEncoding.DecodeString(mail.Token)
			require.NoError(t, err)
			mac := hex.EncodeToString(octets)
			require.NotContains(t, strings.ToLower(dump), mac[len(mac)-24:], "the MAC, as octets")
		}
		for _, secret := range []string{apitest.GoodPassword, apitest.OtherPassword, in.Access, in.Refresh} {
			require.NotContains(t, dump, secret)
			require.NotContains(t, logged, secret)
		}
	})
}
