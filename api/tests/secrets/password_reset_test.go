package secrets_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

const passwordChanged = "Your password for Acme was changed"

// A redeemed reset sets the password, confirms, unlocks, ends every session, says so, and signs nobody in.
func TestPasswordReset(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t, apitest.Object{"require_confirmation": false, "access_token_ttl": 3600})
		ada := o.Account(t, p, apitest.Object{"confirmed": false, "given_name": "Ada"})
		sessions := []apitest.Tokens{o.LogIn(t, ada), o.LogIn(t, ada)}
		confirmation := o.RequestSecret(t, p, apitest.Confirmations, ada.Email)
		for range 5 {
			o.LogInWrong(t, p, ada.Email)
		}
		o.Post(t, p.Front+"/login", ada.Credentials()).Problem(http.StatusLocked, "account_locked").
			Is("remedies.1.action", "reset_password").Is("remedies.1.href", p.Front+"/password-resets").
			Is("remedies.1.body.email", ada.Email)
		a := o.Post(t, p.Front+"/password-resets", apitest.Object{"email": ada.Email}).Status(http.StatusAccepted).Is("expires_in", 900)
		mail := o.Mail(t, a)
		require.Equal(t, "Reset your password for Acme", mail.Subject())
		require.Contains(t, mail.Text, apitest.ResetPage+mail.Token+"\n")
		require.Contains(t, mail.HTML, `href="`+apitest.ResetPage+mail.Token+`"`)
		for range 3 {
			o.Verify(t, p, apitest.PasswordResets, mail.ByCode(ada.Email)).Status(http.StatusOK).Is("email", "a•••@example.com").
				Is("purpose", "reset").Is("expires_at", o.TimeAfter(15*time.Minute))
		}
		answered := o.Redeem(t, p, apitest.PasswordResets, mail.ByLink()).Status(http.StatusOK).HasHeader("Set-Cookie", "")
		require.JSONEq(t, `{"next":"password"}`, string(answered.Body), "it does not sign in")

		told := o.MailTo(t, ada.Email, passwordChanged)
		require.Contains(t, told.Text, "192.0.2.77")
		require.Empty(t, told.Token+told.Code)
		require.NotContains(t, told.Text, apitest.ConfirmPage)
		for _, in := range sessions {
			o.RequireAccess(t, p, in.Access, false)
			o.RequireSessionOver(t, p, in.Refresh)
		}
		o.Redeem(t, p, apitest.Confirmations, confirmation.ByLink()).Problem(http.StatusGone, "token_expired")
		o.Get(t, ada.Admin, apitest.AsOperator).Is("confirmed", true).Is("locked_until", nil)
		o.Post(t, p.Front+"/lockout-status", apitest.Object{"email": ada.Email}).Status(http.StatusOK).Is("locked", false).
			Is("failed_attempts", 0).Is("attempts_remaining", 5)
		o.Post(t, p.Front+"/login", ada.Credentials()).Problem(http.StatusUnauthorized, "incorrect_credentials")
		ada.Password = apitest.OtherPassword
		o.LogIn(t, ada)
		require.Equal(t, "1", o.QueryValue(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'password_reset' AND account_id = ?", ada.ID))
	})
}

// A reset ends what only a reset ends, and forgets the doubling of locks.
func TestResetReopensDisabledPassword(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t, apitest.Object{"lockout": apitest.Object{"threshold": 50, "window": 3600, "duration": 60}})
		ada := o.Account(t, p)
		for range 2 {
			for range 50 {
				o.LogInWrong(t, p, ada.Email).Problem(http.StatusUnauthorized, "incorrect_credentials")
			}
			o.Clock.Advance(time.Hour)
		}
		o.Post(t, p.Front+"/login", ada.Credentials()).Problem(http.StatusForbidden, "password_reset_required").
			Is("remedies.0.action", "reset_password")
		mail := o.RequestSecret(t, p, apitest.PasswordResets, ada.Email)
		o.Redeem(t, p, apitest.PasswordResets, mail.ByCode(ada.Email)).Status(http.StatusOK)
		ada.Password = apitest.OtherPassword
		o.LogIn(t, ada)
		for range 50 {
			o.LogInWrong(t, p, ada.Email)
		}
		o.Post(t, p.Front+"/login", ada.Credentials()).Problem(http.StatusLocked, "account_locked").HasHeader("Retry-After", "60")
	})
}

// A password that may not be set consumes nothing.
func TestRejectedPasswordKeepsReset(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t)
		ada := o.Account(t, p)
		in := o.LogIn(t, ada)
		mail := o.RequestSecret(t, p, apitest.PasswordResets, ada.Email)
		for n, secret := range []apitest.Object{mail.ByLink(), mail.ByCode(ada.Email), mail.ByLink(), mail.ByCode(ada.Email)} {
			secret["password"] = []string{"short", "passwordpassword", "ada@example.com", "Acme Acme Acme"}[n]
			a := o.Redeem(t, p, apitest.PasswordResets, secret).Problem(http.StatusUnprocessableEntity, "password_rejected").Remedies("retry")
			require.NotEmpty(t, a.List("reasons", "code"))
			o.Verify(t, p, apitest.PasswordResets, mail.ByCode(ada.Email)).Status(http.StatusOK)
		}
		o.Redeem(t, p, apitest.PasswordResets, apitest.Object{"token": mail.Token, "password": "a\tb"}).
			Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/password", "control_character")
		o.Redeem(t, p, apitest.PasswordResets, apitest.Object{"token": mail.Token, "password": ""}).
			Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/password", "required")
		o.RequireAccess(t, p, in.Access, true)
		o.LogIn(t, ada)
		require.Equal(t, 1, o.AwaitAllSent(t), "nobody is told of a change that was none")
		// A wrong secret is reported before a bad password.
		o.Redeem(t, p, apitest.PasswordResets, apitest.Object{"token": mail.Token + "A", "password": "short"}).Problem(http.StatusBadRequest, "token_invalid")
		o.Redeem(t, p, apitest.PasswordResets, mail.ByLink()).Status(http.StatusOK)
	})
}

// Who has no password yet is mailed by itself, once: by the lookup, or by the login.
func TestSetPasswordMail(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t)
		ada := o.Account(t, p, apitest.Object{"password": nil, "confirmed": false})
		look := func() *apitest.Answer {
			t.Helper()
			return o.Post(t, p.Front+"/lookup", apitest.Object{"email": ada.Email}).Status(http.StatusOK).Is("next", "set_password")
		}
		first := look().Is("delivery.status", "queued").Is("delivery.to", "a•••@example.com")
		mail := o.Mail(t, first)
		require.Equal(t, "Set your password for Acme", mail.Subject())
		o.AwaitAllSent(t)
		id := first.Text("delivery.id")
		for range 3 {
			look().Is("delivery.id", id).Is("delivery.status", "sent")
			o.Post(t, p.Front+"/login", apitest.Object{"email": ada.Email, "password": apitest.GoodPassword}).
				Problem(http.StatusForbidden, "password_not_set").Is("delivery.id", id).Is("delivery.status", "sent").
				Remedies("set_password", "check_spam").Is("remedies.0.href", p.Front+"/password-resets").
				Is("remedies.0.body.email", ada.Email)
			o.Clock.Advance(5 * time.Hour)
		}
		require.Equal(t, 1, o.AwaitAllSent(t))
		o.Verify(t, p, apitest.PasswordResets, mail.ByLink()).Status(http.StatusOK).Is("purpose", "set").Is("expires_at", o.TimeAfter(9*time.Hour))

		o.Clock.Advance(9 * time.Hour)
		o.Verify(t, p, apitest.PasswordResets, mail.ByLink()).Problem(http.StatusGone, "token_expired")
		refused := o.Post(t, p.Front+"/login", apitest.Object{"email": ada.Email, "password": apitest.GoodPassword}).
			Problem(http.StatusForbidden, "password_not_set").Is("delivery.status", "queued")
		require.NotEqual(t, id, refused.Text("delivery.id"))
		second := o.Mail(t, refused)

		// Asked for, it is the same kind of secret, for as long; the newest counts.
		o.Clock.Advance(apitest.ResendInterval)
		a := o.Post(t, p.Front+"/password-resets", apitest.Object{"email": ada.Email}).Status(http.StatusAccepted).Is("expires_in", 86400)
		third := o.Mail(t, a)
		o.Verify(t, p, apitest.PasswordResets, second.ByLink()).Problem(http.StatusGone, "token_superseded")
		o.Verify(t, p, apitest.PasswordResets, third.ByCode(ada.Email)).Status(http.StatusOK).Is("purpose", "set")
		o.Redeem(t, p, apitest.PasswordResets, third.ByLink()).Status(http.StatusOK).Is("next", "password")
		o.Get(t, ada.Admin, apitest.AsOperator).Is("confirmed", true).Is("has_password", true)
		ada.Password = apitest.OtherPassword
		o.LogIn(t, ada)
		o.Clock.Advance(apitest.ResendInterval)
		fourth := o.RequestSecret(t, p, apitest.PasswordResets, ada.Email)
		o.Verify(t, p, apitest.PasswordResets, fourth.ByLink()).Status(http.StatusOK).Is("purpose", "reset")
	})
}

// Where no mail may be sent, the answer still says what comes next.
func TestSetPasswordMailNotSent(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t, apitest.Object{"set_password_ttl": 60})
		ada := o.Account(t, p, apitest.Object{"password": nil})
		for range 5 { // an hour's worth, each of which is used up by its end
			o.Post(t, p.Front+"/lookup", apitest.Object{"email": ada.Email}).Status(http.StatusOK).Is("delivery.status", "queued")
			o.Clock.Advance(apitest.ResendInterval)
		}
		o.Post(t, p.Front+"/lookup", apitest.Object{"email": ada.Email}).Status(http.StatusOK).Is("next", "set_password").Lacks("delivery")
		o.Post(t, p.Front+"/login", apitest.Object{"email": ada.Email, "password": apitest.GoodPassword}).
			Problem(http.StatusForbidden, "password_not_set").Lacks("delivery")
		o.Clock.Advance(time.Hour)
		o.Patch(t, ada.Admin, apitest.Object{"disabled": true}, apitest.AsOperator).Status(http.StatusOK)
		o.Post(t, p.Front+"/lookup", apitest.Object{"email": ada.Email}).Status(http.StatusOK).Is("next", "set_password").Lacks("delivery")
		require.Equal(t, "5", o.QueryValue(t, "SELECT COUNT(*) FROM deliveries"))

		codes := o.Portal(t, apitest.Object{"slug": "codes", "login_methods": []string{"email_code"}})
		o.Account(t, codes, apitest.Object{"password": nil})
		o.Post(t, codes.Front+"/lookup", apitest.Object{"email": ada.Email}).Status(http.StatusOK).Is("next", "login_code").Lacks("delivery")
	})
}
