package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

const passwordChanged = "Your password for Acme was changed"

// A redeemed reset sets the password, confirms, unlocks, ends every session, says so, and signs nobody in.
func TestResettingAPassword(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t, object{"require_confirmation": false, "access_token_ttl": 3600})
		ada := o.account(t, p, object{"confirmed": false, "given_name": "Ada"})
		sessions := []tokens{o.logIn(t, ada), o.logIn(t, ada)}
		confirmation := o.asks(t, p, confirmations, ada.email)
		for range 5 {
			o.wrongly(t, p, ada.email)
		}
		o.post(t, p.front+"/login", ada.credentials()).problem(http.StatusLocked, "account_locked").
			is("remedies.1.action", "reset_password").is("remedies.1.href", p.front+"/password-resets").
			is("remedies.1.body.email", ada.email)
		a := o.post(t, p.front+"/password-resets", object{"email": ada.email}).status(http.StatusAccepted).is("expires_in", 900)
		mail := o.mail(t, a)
		require.Equal(t, "Reset your password for Acme", mail.Subject())
		require.Contains(t, mail.Text, resetPage+mail.token+"\n")
		require.Contains(t, mail.HTML, `href="`+resetPage+mail.token+`"`)
		for range 3 {
			o.verify(t, p, resets, mail.byCode(ada.email)).status(http.StatusOK).is("email", "a•••@example.com").
				is("purpose", "reset").is("expires_at", o.stamp(15*time.Minute))
		}
		answered := o.redeem(t, p, resets, mail.byLink()).status(http.StatusOK).sets("Set-Cookie", "")
		require.JSONEq(t, `{"next":"password"}`, string(answered.body), "it does not sign in")

		told := o.mailOn(t, ada.email, passwordChanged)
		require.Contains(t, told.Text, "192.0.2.77")
		require.Empty(t, told.token+told.code)
		require.NotContains(t, told.Text, confirmPage)
		for _, in := range sessions {
			o.alive(t, p, in.access, false)
			o.over(t, p, in.refresh)
		}
		o.redeem(t, p, confirmations, confirmation.byLink()).problem(http.StatusGone, "token_expired")
		o.get(t, ada.admin, asOperator).is("confirmed", true).is("locked_until", nil)
		o.post(t, p.front+"/lockout-status", object{"email": ada.email}).status(http.StatusOK).is("locked", false).
			is("failed_attempts", 0).is("attempts_remaining", 5)
		o.post(t, p.front+"/login", ada.credentials()).problem(http.StatusUnauthorized, "incorrect_credentials")
		ada.password = newPassword
		o.logIn(t, ada)
		require.Equal(t, "1", o.sql(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'password_reset' AND account_id = ?", ada.id))
	})
}

// A reset ends what only a reset ends, and forgets the doubling of locks.
func TestAResetOpensAPasswordThatIsOff(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t, object{"lockout": object{"threshold": 50, "window": 3600, "duration": 60}})
		ada := o.account(t, p)
		for range 2 {
			for range 50 {
				o.wrongly(t, p, ada.email).problem(http.StatusUnauthorized, "incorrect_credentials")
			}
			o.clock.advance(time.Hour)
		}
		o.post(t, p.front+"/login", ada.credentials()).problem(http.StatusForbidden, "password_reset_required").
			is("remedies.0.action", "reset_password")
		mail := o.asks(t, p, resets, ada.email)
		o.redeem(t, p, resets, mail.byCode(ada.email)).status(http.StatusOK)
		ada.password = newPassword
		o.logIn(t, ada)
		for range 50 {
			o.wrongly(t, p, ada.email)
		}
		o.post(t, p.front+"/login", ada.credentials()).problem(http.StatusLocked, "account_locked").sets("Retry-After", "60")
	})
}

// A password that may not be set consumes nothing.
func TestAPasswordThatIsRejectedAtReset(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t)
		ada := o.account(t, p)
		in := o.logIn(t, ada)
		mail := o.asks(t, p, resets, ada.email)
		for n, secret := range []object{mail.byLink(), mail.byCode(ada.email), mail.byLink(), mail.byCode(ada.email)} {
			secret["password"] = []string{"short", "passwordpassword", "ada@example.com", "Acme Acme Acme"}[n]
			a := o.redeem(t, p, resets, secret).problem(http.StatusUnprocessableEntity, "password_rejected").remedies("retry")
			require.NotEmpty(t, a.list("reasons", "code"))
			o.verify(t, p, resets, mail.byCode(ada.email)).status(http.StatusOK)
		}
		o.redeem(t, p, resets, object{"token": mail.token, "password": "a\tb"}).
			problem(http.StatusUnprocessableEntity, "validation_failed").field("/password", "control_character")
		o.redeem(t, p, resets, object{"token": mail.token, "password": ""}).
			problem(http.StatusUnprocessableEntity, "validation_failed").field("/password", "required")
		o.alive(t, p, in.access, true)
		o.logIn(t, ada)
		require.Equal(t, 1, o.quiet(t), "nobody is told of a change that was none")
		// A wrong secret is told before a bad password is.
		o.redeem(t, p, resets, object{"token": mail.token + "A", "password": "short"}).problem(http.StatusBadRequest, "token_invalid")
		o.redeem(t, p, resets, mail.byLink()).status(http.StatusOK)
	})
}

// Who has no password yet is mailed by itself, once: by the lookup, or by the login.
func TestTheSetPasswordMail(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t)
		ada := o.account(t, p, object{"password": nil, "confirmed": false})
		look := func() *answer {
			t.Helper()
			return o.post(t, p.front+"/lookup", object{"email": ada.email}).status(http.StatusOK).is("next", "set_password")
		}
		first := look().is("delivery.status", "queued").is("delivery.to", "a•••@example.com")
		mail := o.mail(t, first)
		require.Equal(t, "Set your password for Acme", mail.Subject())
		o.quiet(t)
		id := first.text("delivery.id")
		for range 3 {
			look().is("delivery.id", id).is("delivery.status", "sent")
			o.post(t, p.front+"/login", object{"email": ada.email, "password": goodPassword}).
				problem(http.StatusForbidden, "password_not_set").is("delivery.id", id).is("delivery.status", "sent").
				remedies("set_password", "check_spam").is("remedies.0.href", p.front+"/password-resets").
				is("remedies.0.body.email", ada.email)
			o.clock.advance(5 * time.Hour)
		}
		require.Equal(t, 1, o.quiet(t))
		o.verify(t, p, resets, mail.byLink()).status(http.StatusOK).is("purpose", "set").is("expires_at", o.stamp(9*time.Hour))

		o.clock.advance(9 * time.Hour)
		o.verify(t, p, resets, mail.byLink()).problem(http.StatusGone, "token_expired")
		refused := o.post(t, p.front+"/login", object{"email": ada.email, "password": goodPassword}).
			problem(http.StatusForbidden, "password_not_set").is("delivery.status", "queued")
		require.NotEqual(t, id, refused.text("delivery.id"))
		second := o.mail(t, refused)

		// Asked for, it is the same kind of secret, for as long; the newest counts.
		o.clock.advance(nextAsk)
		a := o.post(t, p.front+"/password-resets", object{"email": ada.email}).status(http.StatusAccepted).is("expires_in", 86400)
		third := o.mail(t, a)
		o.verify(t, p, resets, second.byLink()).problem(http.StatusGone, "token_superseded")
		o.verify(t, p, resets, third.byCode(ada.email)).status(http.StatusOK).is("purpose", "set")
		o.redeem(t, p, resets, third.byLink()).status(http.StatusOK).is("next", "password")
		o.get(t, ada.admin, asOperator).is("confirmed", true).is("has_password", true)
		ada.password = newPassword
		o.logIn(t, ada)
		o.clock.advance(nextAsk)
		fourth := o.asks(t, p, resets, ada.email)
		o.verify(t, p, resets, fourth.byLink()).status(http.StatusOK).is("purpose", "reset")
	})
}

// Where no mail may go out none does, and the page is told what comes next all the same.
func TestNoSetPasswordMail(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t, object{"set_password_ttl": 60})
		ada := o.account(t, p, object{"password": nil})
		for range 5 { // an hour's worth, each of which is used up by its end
			o.post(t, p.front+"/lookup", object{"email": ada.email}).status(http.StatusOK).is("delivery.status", "queued")
			o.clock.advance(nextAsk)
		}
		o.post(t, p.front+"/lookup", object{"email": ada.email}).status(http.StatusOK).is("next", "set_password").lacks("delivery")
		o.post(t, p.front+"/login", object{"email": ada.email, "password": goodPassword}).
			problem(http.StatusForbidden, "password_not_set").lacks("delivery")
		o.clock.advance(time.Hour)
		o.patch(t, ada.admin, object{"disabled": true}, asOperator).status(http.StatusOK)
		o.post(t, p.front+"/lookup", object{"email": ada.email}).status(http.StatusOK).is("next", "set_password").lacks("delivery")
		require.Equal(t, "5", o.sql(t, "SELECT COUNT(*) FROM deliveries"))

		codes := o.portal(t, object{"slug": "codes", "login_methods": []string{"email_code"}})
		o.account(t, codes, object{"password": nil})
		o.post(t, codes.front+"/lookup", object{"email": ada.email}).status(http.StatusOK).is("next", "login_code").lacks("delivery")
	})
}
