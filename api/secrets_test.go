package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// secretKind is one of the kinds of secrets that mails carry, which behave alike.
type secretKind struct {
	path   string // below the portal's
	remedy string // that asks for another one
	ttl    time.Duration
}

var secretKinds = []secretKind{
	{confirmations, "resend_confirmation", 24 * time.Hour}, {resets, "reset_password", 15 * time.Minute},
}

// eachKind runs a test for every kind on both databases: with a portal, and a person who has a password and is not
// confirmed, whom every kind of secret may be sent to.
func eachKind(t *testing.T, run func(t *testing.T, o *office, k secretKind, ada person)) {
	t.Helper()
	for _, k := range secretKinds {
		t.Run(k.path, func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, db *database.DB) {
				o := newOffice(t, db)
				run(t, o, k, o.account(t, o.portal(t), object{"confirmed": false}))
			})
		})
	}
}

// bad wants a secret to be refused by verify and by redeem alike.
func (o *office) bad(t testing.TB, p portal, k secretKind, secret object, status int, code string) {
	t.Helper()
	o.verify(t, p, k.path, secret).problem(status, code)
	o.redeem(t, p, k.path, secret).problem(status, code)
}

// good wants verify to take a secret.
func (o *office) good(t testing.TB, p portal, k secretKind, secret object) {
	t.Helper()
	o.verify(t, p, k.path, secret).status(http.StatusOK)
}

func TestOnlyTheNewestCounts(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, o *office, k secretKind, ada person) {
		p := ada.portal
		a := o.post(t, p.front+"/"+k.path, object{"email": ada.email}).status(http.StatusAccepted).
			is("resend_after_seconds", 60).is("expires_in", k.ttl.Seconds()).is("delivery.to", "a•••@example.com").
			is("delivery.status", "queued")
		first := o.mail(t, a)
		o.clock.advance(nextAsk)
		second := o.asks(t, p, k.path, ada.email)
		for _, secret := range []object{first.byLink(), first.byCode(ada.email)} {
			o.bad(t, p, k, secret, http.StatusGone, "token_superseded")
			o.verify(t, p, k.path, secret).remedies("check_spam", k.remedy).is("remedies.1.href", p.front+"/"+k.path)
		}
		o.good(t, p, k, second.byLink())

		// The page for an expired link has a button: the old token in place of the address.
		again := object{"token": first.token}
		o.post(t, p.front+"/"+k.path, again).problem(http.StatusTooManyRequests, "resend_too_soon").sets("Retry-After", "60").
			is("remedies.0.action", "wait")
		o.clock.advance(nextAsk)
		third := o.mail(t, o.post(t, p.front+"/"+k.path, again).status(http.StatusAccepted))
		require.Equal(t, []string{ada.email}, third.To)
		o.bad(t, p, k, second.byLink(), http.StatusGone, "token_superseded")

		// Two faces of one secret: who redeems one uses up the other.
		o.redeem(t, p, k.path, third.byCode(ada.email)).status(http.StatusOK).is("next", "password").lacks("access_token")
		for _, secret := range []object{third.byLink(), third.byCode(ada.email)} {
			o.bad(t, p, k, secret, http.StatusGone, "token_used")
			o.redeem(t, p, k.path, secret).remedies("log_in", k.remedy)
		}
		o.bad(t, p, k, first.byLink(), http.StatusGone, "token_superseded")
		o.clock.advance(nextAsk)
		anew := o.post(t, p.front+"/"+k.path, object{"token": third.token})
		if k.path == resets {
			o.clock.advance(nextAsk)
			fourth := o.mail(t, anew.status(http.StatusAccepted))
			o.bad(t, p, k, third.byLink(), http.StatusGone, "token_used")
			o.redeem(t, p, k.path, fourth.byLink()).status(http.StatusOK)
			return
		}
		anew.problem(http.StatusConflict, "email_already_confirmed").remedies("log_in")
		o.post(t, p.front+"/"+k.path, object{"email": ada.email}).problem(http.StatusConflict, "email_already_confirmed")
	})
}

func TestASecretExpires(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, o *office, k secretKind, ada person) {
		p := ada.portal
		mail := o.asks(t, p, k.path, ada.email)
		o.clock.advance(k.ttl - 2*time.Millisecond) // the clock of the tables counts milliseconds
		o.good(t, p, k, mail.byLink())
		o.good(t, p, k, mail.byCode(ada.email))
		o.clock.advance(2 * time.Millisecond)
		for _, secret := range []object{mail.byLink(), mail.byCode(ada.email)} {
			o.bad(t, p, k, secret, http.StatusGone, "token_expired")
		}
		o.verify(t, p, k.path, mail.byLink()).remedies(k.remedy).is("remedies.0.body.token", mail.token)
		next := o.mail(t, o.post(t, p.front+"/"+k.path, object{"token": mail.token}).status(http.StatusAccepted))
		o.redeem(t, p, k.path, next.byLink()).status(http.StatusOK)
	})
}

// What was never issued is invalid: mistyped, changed, of another kind, portal or person.
func TestAForgedSecret(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, o *office, k secretKind, ada person) {
		p := ada.portal
		other := o.portal(t, object{"slug": "other"})
		o.account(t, other, object{"confirmed": false})
		mail := o.asks(t, p, k.path, ada.email)
		otherKind := map[string]string{confirmations: resets, resets: confirmations}[k.path]
		foreign := []string{o.asks(t, p, otherKind, ada.email).token, o.asks(t, other, k.path, ada.email).token}
		forged := append(foreign, "x", mail.token+"A", mail.token+"=", " "+mail.token, mail.token[:len(mail.token)-1], strings.ToUpper(mail.token),
			mail.token+mail.token, "e30", strings.Repeat("A", len(mail.token)), "' OR 1=1 --", strings.Repeat("A", 512))
		for at := range mail.token {
			for _, other := range []string{"A", "B", "z", "_"} {
				if changed := mail.token[:at] + other + mail.token[at+1:]; changed != mail.token {
					forged = append(forged, changed)
				}
			}
		}
		before := o.counts(t)
		for _, token := range forged {
			o.bad(t, p, k, object{"token": token}, http.StatusBadRequest, "token_invalid")
		}
		for _, token := range append(foreign, mail.token+"A") {
			o.post(t, p.front+"/"+k.path, object{"token": token}).problem(http.StatusBadRequest, "token_invalid").
				remedies("retry", k.remedy).lacks("remedies.1.body")
		}
		o.bad(t, other, k, mail.byLink(), http.StatusBadRequest, "token_invalid")
		require.Equal(t, before, o.counts(t))
		o.verify(t, p, k.path, mail.byCode("eve@example.com")).problem(http.StatusBadRequest, "token_invalid")
		after := o.counts(t)
		for _, table := range []string{"onetime_secrets", "audit_events"} { // a stranger's wrong code is counted and recorded
			delete(before, table)
			delete(after, table)
		}
		require.Equal(t, before, after)
		o.redeem(t, p, k.path, mail.byLink()).status(http.StatusOK)
	})
}

// Five wrong codes are heard for each secret, then none, and the link of the same secret stays good.
func TestWrongCodes(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, o *office, k secretKind, ada person) {
		p := ada.portal
		mail := o.asks(t, p, k.path, ada.email)
		for _, typed := range []string{"12345", "1234567", "abcdef", mail.code[:3], "१२३४५६"} {
			o.verify(t, p, k.path, object{"email": ada.email, "code": typed}).problem(http.StatusBadRequest, "token_invalid").
				lacks("attempts_remaining")
		}
		for left := 4; left >= 0; left-- {
			call := o.verify
			if left%2 == 0 {
				call = o.redeem
			}
			o.good(t, p, k, mail.byCode(ada.email))
			call(t, p, k.path, mail.wrongCode(ada.email)).problem(http.StatusBadRequest, "token_invalid").
				is("attempts_remaining", left).remedies("retry", k.remedy)
		}
		for _, secret := range []object{mail.wrongCode(ada.email), mail.byCode(ada.email)} {
			o.bad(t, p, k, secret, http.StatusTooManyRequests, "code_attempts_exhausted")
			o.verify(t, p, k.path, secret).sets("Retry-After", "60").remedies(k.remedy, "check_spam")
		}
		o.good(t, p, k, mail.byLink())
		o.clock.advance(nextAsk)
		o.bad(t, p, k, mail.byCode(ada.email), http.StatusTooManyRequests, "code_attempts_exhausted")

		// A fresh code has tries of its own, but 15 wrong ones an hour are all that is heard.
		for range 2 {
			mail = o.asks(t, p, k.path, ada.email)
			for range 5 {
				o.redeem(t, p, k.path, mail.wrongCode(ada.email)).problem(http.StatusBadRequest, "token_invalid")
			}
			o.clock.advance(nextAsk)
		}
		mail = o.asks(t, p, k.path, ada.email)
		o.verify(t, p, k.path, mail.byCode(ada.email)).problem(http.StatusTooManyRequests, "code_attempts_exhausted").
			sets("Retry-After", "3420") // an hour after the first of them
		o.redeem(t, p, k.path, mail.byLink()).status(http.StatusOK)
	})
}

// One a minute, five an hour, twenty a day: whichever spelling, whichever server.
func TestCoolDown(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, o *office, k secretKind, ada person) {
		p := ada.portal
		both := []*office{o, o.calling(o.another(t, o.db))}
		ask := func(n int) *answer {
			t.Helper()
			return both[n%2].post(t, p.front+"/"+k.path, object{"email": []string{ada.email, " ADA@Example.COM ", "ada＠example.com"}[n%3]})
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
				ask(n).status(http.StatusAccepted).is("resend_after_seconds", wait)
				sent++
				ask(n+1).problem(http.StatusTooManyRequests, "resend_too_soon").is("remedies.0.action", "wait")
				o.clock.advance(nextAsk)
			}
			ask(0).problem(http.StatusTooManyRequests, "resend_too_soon")
			o.clock.advance(55 * time.Minute)
		}
		ask(1).problem(http.StatusTooManyRequests, "resend_too_soon").sets("Retry-After", "72000")
		o.clock.advance(20 * time.Hour)
		ask(2).status(http.StatusAccepted)
		require.Equal(t, "21", o.sql(t, "SELECT COUNT(*) FROM deliveries"), "%d and one", sent)
	})
}

// A secret dies with the facts that it rests on.
func TestSecretsDieWithTheirFacts(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, o *office, k secretKind, ada person) {
		p := ada.portal
		set := func(members object) { t.Helper(); o.patch(t, ada.admin, members, asOperator).status(http.StatusOK) }
		fresh := func() letter { t.Helper(); o.clock.advance(13 * time.Minute); return o.asks(t, p, k.path, ada.email) }
		dead := func(mail letter) {
			t.Helper()
			o.bad(t, p, k, mail.byLink(), http.StatusGone, "token_expired")
			o.bad(t, p, k, mail.byCode(ada.email), http.StatusGone, "token_expired")
		}
		mail := fresh()
		set(object{"given_name": "Ada", "roles": []string{"editor"}, "locale": "de"})
		o.good(t, p, k, mail.byLink())
		set(object{"disabled": true})
		for _, secret := range []object{mail.byLink(), mail.byCode(ada.email)} {
			o.bad(t, p, k, secret, http.StatusForbidden, "account_disabled")
		}
		o.verify(t, p, k.path, mail.byLink()).remedies("contact_administrator")
		for _, who := range []object{{"email": ada.email}, {"token": mail.token}} {
			o.post(t, p.front+"/"+k.path, who).problem(http.StatusForbidden, "account_disabled")
		}
		set(object{"disabled": false})
		dead(mail)

		mail = fresh()
		set(object{"password": newPassword})
		dead(mail)

		mail = fresh()
		set(object{"email": "lovelace@example.com"})
		o.bad(t, p, k, mail.byLink(), http.StatusGone, "token_expired")
		before := o.quiet(t)
		o.clock.advance(nextAsk)
		o.post(t, p.front+"/"+k.path, object{"token": mail.token}).problem(http.StatusGone, "token_expired").remedies(k.remedy)
		o.post(t, p.front+"/"+k.path, object{"email": ada.email}).problem(http.StatusNotFound, "email_not_found")
		require.Equal(t, before, o.quiet(t))
		set(object{"email": ada.email, "confirmed": false})
		dead(mail)

		mail = fresh()
		o.delete(t, ada.admin, asOperator).status(http.StatusNoContent)
		dead(mail)
		o.clock.advance(nextAsk)
		o.post(t, p.front+"/"+k.path, object{"token": mail.token}).problem(http.StatusGone, "token_expired")
		o.account(t, p, object{"confirmed": false})
		dead(mail)
	})
}

// What has to be there, and what must not be together.
func TestTheFormOfASecret(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, o *office, k secretKind, ada person) {
		p := ada.portal
		mail := o.asks(t, p, k.path, ada.email)
		for _, tt := range []struct {
			body          object
			pointer, code string
		}{
			{object{}, "/token", "required"},
			{object{"token": ""}, "/token", "required"},
			{object{"code": mail.code}, "/email", "required"},
			{object{"email": ada.email}, "/code", "required"},
			{object{"email": ada.email, "code": " "}, "/code", "required"},
			{object{"token": mail.token, "email": ada.email, "code": mail.code}, "/token", "conflict"},
			{object{"token": mail.token, "email": ada.email}, "/token", "conflict"},
			{object{"email": "ada", "code": mail.code}, "/email", "invalid_email"},
		} {
			o.verify(t, p, k.path, tt.body).problem(http.StatusUnprocessableEntity, "validation_failed").field(tt.pointer, tt.code)
			o.redeem(t, p, k.path, tt.body).problem(http.StatusUnprocessableEntity, "validation_failed").field(tt.pointer, tt.code)
		}
		for pointer, body := range map[string]object{
			"/email": {}, "/token": {"token": ""}, "/token ": {"email": ada.email, "token": mail.token},
		} {
			a := o.post(t, p.front+"/"+k.path, body).problem(http.StatusUnprocessableEntity, "validation_failed")
			a.is("errors.0.pointer", strings.TrimSpace(pointer))
		}
		// People put things between digits.
		o.good(t, p, k, object{"email": ada.email, "code": " " + mail.code[:3] + " " + mail.code[3:] + " "})
		for _, unknown := range []string{"nobody@example.com", "ada@gmial.com"} {
			o.post(t, p.front+"/"+k.path, object{"email": unknown}).problem(http.StatusNotFound, "email_not_found").
				remedies("correct_email", "contact_administrator")
		}
	})
}
