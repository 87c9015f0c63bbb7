package secrets_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
)

// The audit trail says why a secret was refused, with the code that the person read, so that support can tell a used
// code from an old one; what was never ours leaves nothing there.
func TestRefusedSecretAuditEvents(t *testing.T) {
	t.Parallel()
	apitest.EachSecretKind(t, func(t *testing.T, o *apitest.MailHarness, k apitest.SecretKind, ada apitest.Person) {
		p := ada.Portal
		recorded := func(code string) string {
			t.Helper()
			return o.QueryValue(t, "SELECT COUNT(*) FROM audit_events WHERE code = ? AND outcome = 'failure' AND account_id = ? AND email_digest = "+
				"(SELECT email_digest FROM audit_events WHERE type = 'account.created' AND account_id = ?)", code, ada.ID, ada.ID)
		}
		older := o.RequestSecret(t, p, k.Path, ada.Email)
		o.Clock.Advance(apitest.ResendInterval)
		newer := o.RequestSecret(t, p, k.Path, ada.Email)
		o.Verify(t, p, k.Path, newer.WrongCode(ada.Email)).Problem(http.StatusBadRequest, "token_invalid")
		require.Equal(t, "1", recorded("token_invalid"))
		o.Verify(t, p, k.Path, older.ByLink()).Problem(http.StatusGone, "token_superseded")
		o.Redeem(t, p, k.Path, older.ByCode(ada.Email)).Problem(http.StatusGone, "token_superseded")
		require.Equal(t, "2", recorded("token_superseded"))
		o.Clock.Advance(k.TTL)
		o.Redeem(t, p, k.Path, newer.ByLink()).Problem(http.StatusGone, "token_expired")
		require.Equal(t, "1", recorded("token_expired"))
		o.Redeem(t, p, k.Path, o.RequestSecret(t, p, k.Path, ada.Email).ByLink()).Status(http.StatusOK)

		all := o.CountRows(t, "audit_events")
		for _, none := range []apitest.Object{{"token": newer.Token + "A"}, {"token": "x"}, {"email": ada.Email, "code": "12345"}} {
			o.Redeem(t, p, k.Path, none).Problem(http.StatusBadRequest, "token_invalid")
		}
		require.Equal(t, all, o.CountRows(t, "audit_events"))
	})
}
