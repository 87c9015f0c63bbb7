package api_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// Why a secret was refused stands in the audit trail in the words that the person read, so that support can tell a used
// code from an old one; what was never ours leaves nothing there.
func TestRefusedSecretsAreRecorded(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, o *office, k secretKind, ada person) {
		p := ada.portal
		recorded := func(code string) string {
			t.Helper()
			return o.sql(t, "SELECT COUNT(*) FROM audit_events WHERE code = ? AND outcome = 'failure' AND account_id = ? AND email_digest = "+
				"(SELECT email_digest FROM audit_events WHERE type = 'account.created' AND account_id = ?)", code, ada.id, ada.id)
		}
		older := o.asks(t, p, k.path, ada.email)
		o.clock.advance(nextAsk)
		newer := o.asks(t, p, k.path, ada.email)
		o.verify(t, p, k.path, newer.wrongCode(ada.email)).problem(http.StatusBadRequest, "token_invalid")
		require.Equal(t, "1", recorded("token_invalid"))
		o.verify(t, p, k.path, older.byLink()).problem(http.StatusGone, "token_superseded")
		o.redeem(t, p, k.path, older.byCode(ada.email)).problem(http.StatusGone, "token_superseded")
		require.Equal(t, "2", recorded("token_superseded"))
		o.clock.advance(k.ttl)
		o.redeem(t, p, k.path, newer.byLink()).problem(http.StatusGone, "token_expired")
		require.Equal(t, "1", recorded("token_expired"))
		o.redeem(t, p, k.path, o.asks(t, p, k.path, ada.email).byLink()).status(http.StatusOK)

		all := o.rows(t, "audit_events")
		for _, none := range []object{{"token": newer.token + "A"}, {"token": "x"}, {"email": ada.email, "code": "12345"}} {
			o.redeem(t, p, k.path, none).problem(http.StatusBadRequest, "token_invalid")
		}
		require.Equal(t, all, o.rows(t, "audit_events"))
	})
}
