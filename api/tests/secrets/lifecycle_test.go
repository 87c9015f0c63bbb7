package secrets_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
)

// requireGood wants verify to take a secret.
func requireGood(t testing.TB, o *apitest.MailHarness, p apitest.Portal, k apitest.SecretKind, secret apitest.Object) {
	t.Helper()
	o.Verify(t, p, k.Path, secret).Status(http.StatusOK)
}

func TestNewestSecretCounts(t *testing.T) {
	t.Parallel()
	apitest.EachSecretKind(t, func(t *testing.T, o *apitest.MailHarness, k apitest.SecretKind, ada apitest.Person) {
		p := ada.Portal
		a := o.Post(t, p.Front+"/"+k.Path, apitest.Object{"email": ada.Email}).Status(http.StatusAccepted).
			Is("resend_after_seconds", 60).Is("expires_in", k.TTL.Seconds()).Is("delivery.to", "a•••@example.com").
			Is("delivery.status", "queued")
		first := o.Mail(t, a)
		o.Clock.Advance(apitest.ResendInterval)
		second := o.RequestSecret(t, p, k.Path, ada.Email)
		for _, secret := range []apitest.Object{first.ByLink(), first.ByCode(ada.Email)} {
			o.RequireRefused(t, p, k, secret, apitest.Refusal(http.StatusGone, "token_superseded"))
			o.Verify(t, p, k.Path, secret).Remedies("check_spam", k.Remedy).Is("remedies.1.href", p.Front+"/"+k.Path)
		}
		requireGood(t, o, p, k, second.ByLink())

		// The page for an expired link has a button: the old token in place of the address.
		again := apitest.Object{"token": first.Token}
		o.Post(t, p.Front+"/"+k.Path, again).Problem(http.StatusTooManyRequests, "resend_too_soon").HasHeader("Retry-After", "60").
			Is("remedies.0.action", "wait")
		o.Clock.Advance(apitest.ResendInterval)
		third := o.Mail(t, o.Post(t, p.Front+"/"+k.Path, again).Status(http.StatusAccepted))
		require.Equal(t, []string{ada.Email}, third.To)
		o.RequireRefused(t, p, k, second.ByLink(), apitest.Refusal(http.StatusGone, "token_superseded"))

		// Two faces of one secret: who redeems one uses up the other.
		o.Redeem(t, p, k.Path, third.ByCode(ada.Email)).Status(http.StatusOK).Is("next", "password").Lacks("access_token")
		for _, secret := range []apitest.Object{third.ByLink(), third.ByCode(ada.Email)} {
			o.RequireRefused(t, p, k, secret, apitest.Refusal(http.StatusGone, "token_used"))
			o.Redeem(t, p, k.Path, secret).Remedies("log_in", k.Remedy)
		}
		o.RequireRefused(t, p, k, first.ByLink(), apitest.Refusal(http.StatusGone, "token_superseded"))
		o.Clock.Advance(apitest.ResendInterval)
		anew := o.Post(t, p.Front+"/"+k.Path, apitest.Object{"token": third.Token})
		if k.Path == apitest.PasswordResets {
			o.Clock.Advance(apitest.ResendInterval)
			fourth := o.Mail(t, anew.Status(http.StatusAccepted))
			o.RequireRefused(t, p, k, third.ByLink(), apitest.Refusal(http.StatusGone, "token_used"))
			o.Redeem(t, p, k.Path, fourth.ByLink()).Status(http.StatusOK)
			return
		}
		anew.Problem(http.StatusConflict, "email_already_confirmed").Remedies("log_in")
		o.Post(t, p.Front+"/"+k.Path, apitest.Object{"email": ada.Email}).Problem(http.StatusConflict, "email_already_confirmed")
	})
}

func TestSecretExpiry(t *testing.T) {
	t.Parallel()
	apitest.EachSecretKind(t, func(t *testing.T, o *apitest.MailHarness, k apitest.SecretKind, ada apitest.Person) {
		p := ada.Portal
		mail := o.RequestSecret(t, p, k.Path, ada.Email)
		o.Clock.Advance(k.TTL - 2*time.Millisecond) // the clock of the tables counts milliseconds
		requireGood(t, o, p, k, mail.ByLink())
		requireGood(t, o, p, k, mail.ByCode(ada.Email))
		o.Clock.Advance(2 * time.Millisecond)
		for _, secret := range []apitest.Object{mail.ByLink(), mail.ByCode(ada.Email)} {
			o.RequireRefused(t, p, k, secret, apitest.Refusal(http.StatusGone, "token_expired"))
		}
		o.Verify(t, p, k.Path, mail.ByLink()).Remedies(k.Remedy).Is("remedies.0.body.token", mail.Token)
		next := o.Mail(t, o.Post(t, p.Front+"/"+k.Path, apitest.Object{"token": mail.Token}).Status(http.StatusAccepted))
		o.Redeem(t, p, k.Path, next.ByLink()).Status(http.StatusOK)
	})
}

// What was never issued is invalid: mistyped, changed, of another kind, portal or person.
func TestForgedSecret(t *testing.T) {
	t.Parallel()
	apitest.EachSecretKind(t, func(t *testing.T, o *apitest.MailHarness, k apitest.SecretKind, ada apitest.Person) {
		p := ada.Portal
		other := o.Portal(t, apitest.Object{"slug": "other"})
		o.Account(t, other, apitest.Object{"confirmed": false})
		mail := o.RequestSecret(t, p, k.Path, ada.Email)
		otherKind := map[string]string{apitest.Confirmations: apitest.PasswordResets, apitest.PasswordResets: apitest.Confirmations}[k.Path]
		foreign := []string{o.RequestSecret(t, p, otherKind, ada.Email).Token, o.RequestSecret(t, other, k.Path, ada.Email).Token}
		forged := append(foreign, "x", mail.Token+"A", mail.Token+"=", " "+mail.Token, mail.Token[:len(mail.Token)-1], strings.ToUpper(mail.Token),
			mail.Token+mail.Token, "e30", strings.Repeat("A", len(mail.Token)), "' OR 1=1 --", strings.Repeat("A", 512))
		for at := range mail.Token {
			for _, other := range []string{"A", "B", "z", "_"} {
				if changed := mail.Token[:at] + other + mail.Token[at+1:]; changed != mail.Token {
					forged = append(forged, changed)
				}
			}
		}
		before := o.RowCounts(t)
		for _, token := range forged {
			o.RequireRefused(t, p, k, apitest.Object{"token": token}, apitest.Refusal(http.StatusBadRequest, "token_invalid"))
		}
		for _, token := range append(foreign, mail.Token+"A") {
			o.Post(t, p.Front+"/"+k.Path, apitest.Object{"token": token}).Problem(http.StatusBadRequest, "token_invalid").
				Remedies("retry", k.Remedy).Lacks("remedies.1.body")
		}
		o.RequireRefused(t, other, k, mail.ByLink(), apitest.Refusal(http.StatusBadRequest, "token_invalid"))
		require.Equal(t, before, o.RowCounts(t))
		o.Verify(t, p, k.Path, mail.ByCode("eve@example.com")).Problem(http.StatusBadRequest, "token_invalid")
		after := o.RowCounts(t)
		for _, table := range []string{"onetime_secrets", "audit_events"} { // a stranger's wrong code is counted and recorded
			delete(before, table)
			delete(after, table)
		}
		require.Equal(t, before, after)
		o.Redeem(t, p, k.Path, mail.ByLink()).Status(http.StatusOK)
	})
}

// One a minute, five an hour, twenty a day: whichever spelling, whichever server.
func TestResendInterval(t *testing.T) {
	t.Parallel()
	apitest.EachSecretKind(t, func(t *testing.T, o *apitest.MailHarness, k apitest.SecretKind, ada apitest.Person) {
		p := ada.Portal
		both := []*apitest.MailHarness{o, o.Calling(o.NewServer(t, o.DB))}
		ask := func(n int) *apitest.Answer {
			t.Helper()
			return both[n%2].Post(t, p.Front+"/"+k.Path, apitest.Object{"email": []string{ada.Email, " ADA@Example.COM ", "ada＠example.com"}[n%3]})
		}
		sent := 0
		for hour := range 4 {
			for n := range 5 {
				wait := 60
				switch {
				case hour == 3 && n == 4:
					wait = 86400 - 3*3600 - 4*60 // until the day has room again
				case n == 4:
					wait = 3600 - 4*60
				}
				ask(n).Status(http.StatusAccepted).Is("resend_after_seconds", wait)
				sent++
				ask(n+1).Problem(http.StatusTooManyRequests, "resend_too_soon").Is("remedies.0.action", "wait")
				o.Clock.Advance(apitest.ResendInterval)
			}
			ask(0).Problem(http.StatusTooManyRequests, "resend_too_soon")
			o.Clock.Advance(55 * time.Minute)
		}
		ask(1).Problem(http.StatusTooManyRequests, "resend_too_soon").HasHeader("Retry-After", "72000")
		o.Clock.Advance(20 * time.Hour)
		ask(2).Status(http.StatusAccepted)
		require.Equal(t, "21", o.QueryValue(t, "SELECT COUNT(*) FROM deliveries"), "%d and one", sent)
	})
}

// A secret dies with the facts that it rests on.
func TestSecretEndsWithAccountChange(t *testing.T) {
	t.Parallel()
	apitest.EachSecretKind(t, func(t *testing.T, o *apitest.MailHarness, k apitest.SecretKind, ada apitest.Person) {
		p := ada.Portal
		set := func(members apitest.Object) {
			t.Helper()
			o.Patch(t, ada.Admin, members, apitest.AsOperator).Status(http.StatusOK)
		}
		fresh := func() apitest.Mail {
			t.Helper()
			o.Clock.Advance(13 * time.Minute)
			return o.RequestSecret(t, p, k.Path, ada.Email)
		}
		dead := func(mail apitest.Mail) {
			t.Helper()
			o.RequireRefused(t, p, k, mail.ByLink(), apitest.Refusal(http.StatusGone, "token_expired"))
			o.RequireRefused(t, p, k, mail.ByCode(ada.Email), apitest.Refusal(http.StatusGone, "token_expired"))
		}
		mail := fresh()
		set(apitest.Object{"given_name": "Ada", "roles": []string{"editor"}, "locale": "de"})
		requireGood(t, o, p, k, mail.ByLink())
		set(apitest.Object{"disabled": true})
		for _, secret := range []apitest.Object{mail.ByLink(), mail.ByCode(ada.Email)} {
			o.RequireRefused(t, p, k, secret, apitest.Refusal(http.StatusForbidden, "account_disabled"))
		}
		o.Verify(t, p, k.Path, mail.ByLink()).Remedies("contact_administrator")
		for _, who := range []apitest.Object{{"email": ada.Email}, {"token": mail.Token}} {
			o.Post(t, p.Front+"/"+k.Path, who).Problem(http.StatusForbidden, "account_disabled")
		}
		set(apitest.Object{"disabled": false})
		dead(mail)

		mail = fresh()
		set(apitest.Object{"password": apitest.OtherPassword})
		dead(mail)

		mail = fresh()
		set(apitest.Object{"email": "lovelace@example.com"})
		o.RequireRefused(t, p, k, mail.ByLink(), apitest.Refusal(http.StatusGone, "token_expired"))
		before := o.AwaitAllSent(t)
		o.Clock.Advance(apitest.ResendInterval)
		o.Post(t, p.Front+"/"+k.Path, apitest.Object{"token": mail.Token}).Problem(http.StatusGone, "token_expired").Remedies(k.Remedy)
		o.Post(t, p.Front+"/"+k.Path, apitest.Object{"email": ada.Email}).Problem(http.StatusNotFound, "email_not_found")
		require.Equal(t, before, o.AwaitAllSent(t))
		set(apitest.Object{"email": ada.Email, "confirmed": false})
		if k.Path == apitest.Confirmations { // the correction mailed a newer one
			o.RequireRefused(t, p, k, mail.ByLink(), apitest.Refusal(http.StatusGone, "token_superseded"))
		} else {
			dead(mail)
		}

		mail = fresh()
		o.Delete(t, ada.Admin, apitest.AsOperator).Status(http.StatusNoContent)
		dead(mail)
		o.Clock.Advance(apitest.ResendInterval)
		o.Post(t, p.Front+"/"+k.Path, apitest.Object{"token": mail.Token}).Problem(http.StatusGone, "token_expired")
		o.Account(t, p, apitest.Object{"confirmed": false})
		dead(mail)
	})
}

// What has to be there, and what must not be together.
func TestSecretForm(t *testing.T) {
	t.Parallel()
	apitest.EachSecretKind(t, func(t *testing.T, o *apitest.MailHarness, k apitest.SecretKind, ada apitest.Person) {
		p := ada.Portal
		mail := o.RequestSecret(t, p, k.Path, ada.Email)
		for _, tt := range []struct {
			body          apitest.Object
			pointer, code string
		}{
			{apitest.Object{}, "/token", "required"},
			{apitest.Object{"token": ""}, "/token", "required"},
			{apitest.Object{"code": mail.Code}, "/email", "required"},
			{apitest.Object{"email": ada.Email}, "/code", "required"},
			{apitest.Object{"email": ada.Email, "code": " "}, "/code", "required"},
			{apitest.Object{"token": mail.Token, "email": ada.Email, "code": mail.Code}, "/token", "conflict"},
			{apitest.Object{"token": mail.Token, "email": ada.Email}, "/token", "conflict"},
			{apitest.Object{"email": "ada", "code": mail.Code}, "/email", "invalid_email"},
		} {
			o.Verify(t, p, k.Path, tt.body).Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError(tt.pointer, tt.code)
			o.Redeem(t, p, k.Path, tt.body).Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError(tt.pointer, tt.code)
		}
		for pointer, body := range map[string]apitest.Object{
			"/email": {}, "/token": {"token": ""}, "/token ": {"email": ada.Email, "token": mail.Token},
		} {
			a := o.Post(t, p.Front+"/"+k.Path, body).Problem(http.StatusUnprocessableEntity, "validation_failed")
			a.Is("errors.0.pointer", strings.TrimSpace(pointer))
		}
		for _, unknown := range []string{"nobody@example.com", "ada@gmial.com"} {
			o.Post(t, p.Front+"/"+k.Path, apitest.Object{"email": unknown}).Problem(http.StatusNotFound, "email_not_found").
				Remedies("correct_email", "contact_administrator")
		}
	})
}
