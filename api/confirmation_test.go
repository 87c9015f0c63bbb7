package api_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// What comes after a confirmation is what the lookup says then.
func TestWhatComesAfterAConfirmation(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		for _, tt := range []struct {
			slug    string
			portal  object
			members object
			next    string
		}{
			{"with-password", object{}, object{}, "password"},
			{"without-password", object{}, object{"password": nil}, "set_password"},
			{"with-codes", object{"login_methods": []string{"email_code"}}, object{}, "login_code"},
		} {
			p := o.portal(t, object{"slug": tt.slug}, tt.portal)
			ada := o.account(t, p, object{"confirmed": false}, tt.members)
			mail := o.asks(t, p, confirmations, ada.email)
			o.redeem(t, p, confirmations, mail.byLink()).status(http.StatusOK).is("next", tt.next)
			o.get(t, ada.admin, asOperator).status(http.StatusOK).is("confirmed", true)
			o.post(t, p.front+"/lookup", object{"email": ada.email}).status(http.StatusOK).is("next", tt.next)
		}
	})
}

// Confirming ends nothing: a person who is logged in stays so, and a lock stays a lock.
func TestConfirmingTouchesNothingElse(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t, object{"require_confirmation": false})
		ada := o.account(t, p, object{"confirmed": false})
		in := o.logIn(t, ada)
		mail := o.asks(t, p, confirmations, ada.email)
		reset := o.asks(t, p, resets, ada.email)
		for range 5 {
			o.wrongly(t, p, ada.email)
		}
		o.redeem(t, p, confirmations, mail.byLink()).status(http.StatusOK)
		o.alive(t, p, in.access, true)
		o.refreshed(t, p, in.refresh)
		o.post(t, p.front+"/login", ada.credentials()).problem(http.StatusLocked, "account_locked")
		o.verify(t, p, resets, reset.byLink()).status(http.StatusOK)
		require.Equal(t, "0", o.sql(t, "SELECT COUNT(*) FROM deliveries WHERE kind = 'password_changed'"))
	})
}

// The audit trail says what was asked for, what was refused and what was proved.
func TestConfirmationsAreRecorded(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t)
		_, mail := o.registers(t, p)
		o.post(t, p.front+"/confirmations", object{"email": newcomer}).problem(http.StatusTooManyRequests, "resend_too_soon")
		o.redeem(t, p, confirmations, mail.byLink()).status(http.StatusOK)
		id := o.sql(t, "SELECT id FROM accounts")
		for what, outcome := range map[string]string{
			"registration": "", "confirmation.requested": "resend_too_soon", "confirmation": "",
		} {
			require.Equal(t, "1", o.sql(t, "SELECT COUNT(*) FROM audit_events WHERE type = ? AND code = ? AND account_id = ?",
				what, outcome, id), what)
		}
	})
}
