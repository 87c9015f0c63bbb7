package private_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// The form of a code tells a stranger nothing: whatever they type, and whatever the owner of an account does meanwhile,
// the answers are those of an address that has none.
func TestTheFormOfCodesHidesAccounts(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t, apitest.Object{"enumeration": "private"})
		owner := o.Account(t, p, apitest.Object{"email": "owner@example.com", "confirmed": false})
		addresses := []string{"nobody@example.com", owner.Email}
		// same wants every address to be answered alike.
		same := func(path string, body apitest.Object) (first string) {
			t.Helper()
			for _, email := range addresses {
				body["email"] = email
				said := told(t, o.Post(t, p.Front+path, body), email)
				if first == "" {
					first = said
				}
				require.Equal(t, first, said, "%s for %s", path, email)
			}
			return first
		}
		for _, kind := range []string{apitest.Confirmations, apitest.PasswordResets} {
			code := func(typed string) apitest.Object { return apitest.Object{"code": typed} }
			guesses := func() {
				t.Helper()
				for _, typed := range []string{"000000", "ZZZZ-ZZZZ", "000001", "000002", "ZZZZ-ZZZ0", "000003", "000004", "000005"} {
					same("/"+kind+"/verify", code(typed))
				}
			}
			guesses() // before anything was issued
			for range 4 {
				same("/"+kind, apitest.Object{})
				guesses()
				o.Clock.Advance(apitest.ResendInterval)
			}
			require.Contains(t, same("/"+kind+"/verify", code("000000")), "token_invalid", "the newest code is long")

			o.Clock.Advance(time.Hour)
			mail := o.RequestSecret(t, p, kind, owner.Email)
			o.Redeem(t, p, kind, mail.ByCode(owner.Email)).Status(http.StatusOK)
			if kind == apitest.PasswordResets {
				owner.Password = apitest.OtherPassword
			}
			o.LogIn(t, owner)
			o.Clock.Advance(apitest.ResendInterval)
			for range 2 {
				same("/"+kind, apitest.Object{})
				guesses()
				o.Clock.Advance(apitest.ResendInterval)
			}
		}
	})
}
