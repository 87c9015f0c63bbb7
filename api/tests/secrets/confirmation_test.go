package secrets_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// What comes after a confirmation is what the lookup says then.
func TestNextStepAfterConfirmation(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		for _, tt := range []struct {
			slug    string
			portal  apitest.Object
			members apitest.Object
			next    string
		}{
			{"with-password", apitest.Object{}, apitest.Object{}, "password"},
			{"without-password", apitest.Object{}, apitest.Object{"password": nil}, "set_password"},
			{"with-codes", apitest.Object{"login_methods": []string{"email_code"}}, apitest.Object{}, "login_code"},
		} {
			p := o.Portal(t, apitest.Object{"slug": tt.slug}, tt.portal)
			ada := o.Account(t, p, apitest.Object{"confirmed": false}, tt.members)
			mail := o.RequestSecret(t, p, apitest.Confirmations, ada.Email)
			o.Redeem(t, p, apitest.Confirmations, mail.ByLink()).Status(http.StatusOK).Is("next", tt.next)
			o.Get(t, ada.Admin, apitest.AsOperator).Status(http.StatusOK).Is("confirmed", true)
			o.Post(t, p.Front+"/lookup", apitest.Object{"email": ada.Email}).Status(http.StatusOK).Is("next", tt.next)
		}
	})
}

// Confirming ends nothing: a person who is logged in stays so, and a lock stays a lock.
func TestConfirmationKeepsSessionsAndLocks(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t, apitest.Object{"require_confirmation": false})
		ada := o.Account(t, p, apitest.Object{"confirmed": false})
		in := o.LogIn(t, ada)
		mail := o.RequestSecret(t, p, apitest.Confirmations, ada.Email)
		reset := o.RequestSecret(t, p, apitest.PasswordResets, ada.Email)
		for range 5 {
			o.LogInWrong(t, p, ada.Email)
		}
		o.Redeem(t, p, apitest.Confirmations, mail.ByLink()).Status(http.StatusOK)
		o.RequireAccess(t, p, in.Access, true)
		o.MustRefresh(t, p, in.Refresh)
		o.Post(t, p.Front+"/login", ada.Credentials()).Problem(http.StatusLocked, "account_locked")
		o.Verify(t, p, apitest.PasswordResets, reset.ByLink()).Status(http.StatusOK)
		require.Equal(t, "0", o.QueryValue(t, "SELECT COUNT(*) FROM deliveries WHERE kind = 'password_changed'"))
	})
}

// The audit trail says what was asked for, what was refused and what was proved.
func TestConfirmationAuditEvents(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t)
		_, mail := o.Register(t, p)
		o.Post(t, p.Front+"/confirmations", apitest.Object{"email": apitest.Newcomer}).Problem(http.StatusTooManyRequests, "resend_too_soon")
		o.Redeem(t, p, apitest.Confirmations, mail.ByLink()).Status(http.StatusOK)
		id := o.QueryValue(t, "SELECT id FROM accounts")
		for what, outcome := range map[string]string{
			"registration": "", "confirmation.requested": "resend_too_soon", "confirmation": "",
		} {
			require.Equal(t, "1", o.QueryValue(t, "SELECT COUNT(*) FROM audit_events WHERE type = ? AND code = ? AND account_id = ?",
				what, outcome, id), what)
		}
	})
}
