package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// From the form to the first login, through a mail that a real relay took.
func TestRegistering(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t, object{"sender": object{"name": "Acme Support", "address": "mail@acme.example"},
			"support": object{"email": "help@acme.example"}})
		a, mail := o.registers(t, p, object{"given_name": "Grace", "family_name": "Hopper"})
		a.is("next", "confirm_email").is("delivery.channel", "email").is("delivery.to", "g•••@example.com").
			is("delivery.sender", "mail@acme.example").is("delivery.status", "queued").sets("Cache-Control", "no-store")
		require.Equal(t, []string{newcomer}, mail.To)
		require.Equal(t, "mail@acme.example", mail.From)
		require.Equal(t, "Confirm your email address for Acme Support", mail.Subject())
		require.NotContains(t, mail.Text+mail.HTML, "Grace", "a name is a stranger's choice until the mailbox is proved")
		require.Contains(t, mail.Text, confirmPage+mail.token+"\n")
		require.Contains(t, mail.HTML, `href="`+confirmPage+mail.token+`"`)
		require.Contains(t, mail.HTML, mail.code)
		require.Contains(t, mail.Text, "192.0.2.77", "it says from which network the registration came")
		require.Contains(t, mail.Text, o.clock.now().Format("2006-01-02, 15:04 UTC"), "and when")
		require.Equal(t, "auto-generated", mail.Header.Get("Auto-Submitted"))
		require.Contains(t, mail.Header.Get("Reply-To"), "help@acme.example")
		require.NotEmpty(t, mail.Header.Get("Date"))

		who := person{portal: p, email: newcomer, password: goodPassword}
		o.post(t, p.front+"/lookup", object{"email": newcomer}).status(http.StatusOK).is("next", "confirm_email").lacks("delivery")
		o.post(t, p.front+"/login", who.credentials()).problem(http.StatusForbidden, "email_not_confirmed").
			remedies("resend_confirmation", "check_spam").is("remedies.0.href", p.front+"/confirmations").
			is("remedies.0.body.email", newcomer)

		before := o.sql(t, "SELECT COUNT(*) FROM audit_events")
		for range 3 {
			for _, secret := range []object{mail.byLink(), mail.byCode(newcomer), mail.byCode("  GRACE@Example.com ")} {
				o.verify(t, p, confirmations, secret).status(http.StatusOK).is("email", "g•••@example.com").
					is("expires_at", o.stamp(24*time.Hour))
			}
		}
		require.Equal(t, before, o.sql(t, "SELECT COUNT(*) FROM audit_events"))
		o.redeem(t, p, confirmations, mail.byLink()).status(http.StatusOK).is("next", "password")
		o.logIn(t, who)
		o.post(t, p.front+"/lookup", object{"email": newcomer}).status(http.StatusOK).is("next", "password")
		reset := o.asks(t, p, resets, newcomer)
		require.Contains(t, reset.Text, "Hello Grace,")
		id := o.get(t, p.admin+"/accounts?q="+newcomer, asOperator).status(http.StatusOK).is("items.0.confirmed", true).
			is("items.0.given_name", "Grace").is("items.0.family_name", "Hopper").is("items.0.locale", "en").text("items.0.id")
		require.Equal(t, "1", o.sql(t, "SELECT COUNT(*) FROM accounts WHERE id = ? AND claimed_at IS NULL", id))
	})
}

// A link leads to the portal's own page, whatever the request says of where it was sent.
func TestLinksComeFromThePortalAlone(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t, withOrigin())
		bare := o.harness.portal(t, object{"slug": "bare"})
		const evil = "evil.example"
		hostile := func(r *http.Request) {
			r.Host = evil
			for _, name := range []string{
				"X-Forwarded-Host", "X-Forwarded-Server", "X-Original-Host", "X-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix",
				"Forwarded", "Referer", "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Host-Override",
			} {
				r.Header.Set(name, "https://"+evil+"/")
			}
			r.Header.Set("X-Forwarded-Host", evil)
			r.Header.Set("Forwarded", "host="+evil+";proto=http")
			r.Header.Set("Origin", page)
		}
		for i, path := range []string{"/registrations", "/confirmations", "/password-resets"} {
			o.clock.advance(nextAsk)
			body := object{"email": newcomer}
			if i == 0 {
				body["password"] = goodPassword
			}
			a := o.post(t, p.front+path, body, hostile)
			require.Less(t, a.httpStatus, 300, "%s", a.body)
			mail := o.mail(t, a)
			require.Equal(t, []string{newcomer}, mail.To)
			wanted := map[bool]string{true: resetPage, false: confirmPage}[path == "/password-resets"]
			require.Contains(t, mail.Text, wanted+mail.token)
			require.NotContains(t, string(mail.Raw), evil)
			require.NotContains(t, mail.HTML, evil)
		}
		// A link that is not set means that the mail carries the code alone.
		_, mail := o.registers(t, bare)
		require.NotEmpty(t, mail.code)
		require.NotRegexp(t, `https?://`, mail.Text)
		require.NotContains(t, mail.HTML, "<a ")
		o.redeem(t, bare, confirmations, mail.byCode(newcomer)).status(http.StatusOK)
	})
}

// Whatever was typed, one recipient is named, and it is the address of the account.
func TestMailGoesToTheStoredAddressAlone(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t)
		o.account(t, p, object{"email": "Ada.Lovelace@bücher.example", "given_name": "Ada"})
		victim := o.account(t, p, object{"email": "victim@example.com"})
		for _, typed := range spellings {
			mail := o.asks(t, p, resets, typed)
			require.Equal(t, []string{"Ada.Lovelace@xn--bcher-kva.example"}, mail.To, "%q", typed)
			require.Len(t, mail.Header["To"], 1)
			o.clock.advance(25 * time.Hour) // beyond every cap
		}
		before := o.quiet(t)
		for _, typed := range []string{
			"victim@example.com,evil@evil.example", "victim@example.com;evil@evil.example", "victim@example.com evil@evil.example",
			"victim@example.com\nBcc: evil@evil.example", "victim@example.com\r\nRCPT TO:<evil@evil.example>", "victim@example.com>",
			"<victim@example.com>", "Victim <victim@example.com>", "victim@example.com%0aBcc:evil@evil.example", "evil@evil.example,victim@example.com",
			`"victim@example.com"@evil.example`, "victim@example.com@evil.example", "victim(evil@evil.example)@example.com", "victim@example.com\x00",
		} {
			for _, path := range []string{"/registrations", "/confirmations", "/password-resets"} {
				body := object{"email": typed}
				if path == "/registrations" {
					body["password"] = goodPassword
				}
				o.post(t, p.front+path, body).problem(http.StatusUnprocessableEntity, "validation_failed")
			}
			o.post(t, p.front+"/password-resets", object{"email": []string{victim.email, "evil@evil.example"}}).
				problem(http.StatusUnprocessableEntity, "validation_failed")
		}
		// Look-alikes are addresses of somebody else: the account's mail is not sent there.
		for _, typed := range []string{
			"vıctim@example.com", "victim@examp1e.com", "vіctim@example.com", "victim+x@example.com", "vic.tim@example.com", "victim@example.com.evil.example",
			"victim@exаmple.com",
		} {
			a := o.post(t, p.front+"/password-resets", object{"email": typed})
			require.Contains(t, []int{http.StatusNotFound, http.StatusUnprocessableEntity}, a.httpStatus, "%q: %s", typed, a.body)
		}
		require.Equal(t, before, o.quiet(t), "nothing was sent")
		// A look-alike that registers is mailed itself.
		for _, typed := range []string{"vıctim@example.com", "vіctim@example.com", "victim@exаmple.com"} {
			a := o.post(t, p.front+"/registrations", object{"email": typed, "password": goodPassword})
			if a.httpStatus == http.StatusCreated {
				mail := o.mail(t, a)
				require.Len(t, mail.To, 1)
				require.NotEqual(t, victim.email, mail.To[0], "%q", typed)
			}
		}
	})
}

// A name cannot write a mail: no link, no markup, no header.
func TestNamesInMailAreNames(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t)
		for i, name := range []string{
			"<a href=https://evil.example>click</a>", "https://evil.example/now", "www.evil.example", "evil.example", "Bob\u2028Bcc: evil@evil.example",
			"</p><script>alert(1)</script>", "you won! call evil@evil.example",
		} {
			who := o.account(t, p, object{"email": fmt.Sprintf("name%d@example.com", i), "given_name": name})
			mail := o.asks(t, p, resets, who.email)
			require.NotContains(t, mail.HTML, "<script", name)
			require.NotContains(t, mail.HTML, `href="https://evil`, name)
			require.NotContains(t, mail.HTML, "<a href=https://evil", name)
			require.NotContains(t, mail.Text, "evil.example", name)
			require.Empty(t, mail.Header.Get("Bcc"), name)
			require.Len(t, mail.To, 1, name)
		}
	})
}

// A claim is replaced by who registers next: its password, its names, and the mail that counts.
func TestRegisteringAgain(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t)
		_, first := o.registers(t, p, object{"given_name": "First"})
		again := object{"email": " GRACE@example.com", "password": newPassword, "given_name": "Second"}
		hash := o.sql(t, "SELECT password_hash FROM accounts")
		o.clock.advance(nextAsk - time.Millisecond)
		o.post(t, p.front+"/registrations", again).problem(http.StatusTooManyRequests, "resend_too_soon").
			remedies("wait", "check_spam", "contact_support").sets("Retry-After", "1")
		require.Equal(t, hash, o.sql(t, "SELECT password_hash FROM accounts"), "nothing is replaced within the cool-down")
		require.Equal(t, "First", o.sql(t, "SELECT given_name FROM accounts"))
		o.verify(t, p, confirmations, first.byLink()).status(http.StatusOK)

		o.clock.advance(time.Millisecond)
		second := o.mail(t, o.post(t, p.front+"/registrations", again).status(http.StatusCreated).is("delivery.to", "G•••@example.com"))
		require.Equal(t, "Second", o.sql(t, "SELECT given_name FROM accounts"))
		require.Equal(t, "1", o.sql(t, "SELECT COUNT(*) FROM accounts"))
		o.redeem(t, p, confirmations, first.byLink()).problem(http.StatusGone, "token_superseded").
			remedies("check_spam", "resend_confirmation").is("remedies.1.body.token", first.token)
		o.redeem(t, p, confirmations, first.byCode(newcomer)).problem(http.StatusGone, "token_superseded").
			is("remedies.1.body.email", newcomer)
		o.redeem(t, p, confirmations, second.byCode(newcomer)).status(http.StatusOK)
		o.post(t, p.front+"/login", object{"email": newcomer, "password": goodPassword}).
			problem(http.StatusUnauthorized, "incorrect_credentials")
		o.logIn(t, person{portal: p, email: newcomer, password: newPassword})
		o.clock.advance(nextAsk)
		o.post(t, p.front+"/registrations", again).problem(http.StatusConflict, "email_already_registered").
			remedies("log_in", "reset_password").is("remedies.1.body.email", " GRACE@example.com")
	})
}

func TestWhoMayRegister(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		for _, how := range []string{"closed", "invite_only"} {
			for _, enumeration := range []string{"open", "private"} {
				p := o.portal(t, object{"slug": strings.ReplaceAll(how, "_", "-") + "-" + enumeration, "registration": how, "enumeration": enumeration})
				o.post(t, p.front+"/registrations", object{"email": newcomer, "password": goodPassword}).
					problem(http.StatusForbidden, "registration_closed").remedies("contact_administrator")
			}
		}
		require.Equal(t, "0", o.sql(t, "SELECT COUNT(*) FROM accounts"))

		p := o.portal(t)
		for _, tt := range []struct{ password, reason string }{
			{"short", "too_short"}, {strings.Repeat("long enough ", 11), "too_long"}, {"passwordpassword", "common"},
			{"grace@example.com", "contains_email"},
		} {
			a := o.post(t, p.front+"/registrations", object{"email": newcomer, "password": tt.password}).
				problem(http.StatusUnprocessableEntity, "password_rejected").remedies("retry")
			require.Contains(t, a.list("reasons", "code"), any(tt.reason), tt.password)
		}
		require.Equal(t, "0", o.sql(t, "SELECT COUNT(*) FROM onetime_secrets"), "a password that is refused takes no one's turn")

		lax := o.portal(t, object{"slug": "lax", "require_confirmation": false})
		a, mail := o.registers(t, lax)
		a.is("next", "password")
		in := o.logIn(t, person{portal: lax, email: newcomer, password: goodPassword})
		o.redeem(t, lax, confirmations, mail.byLink()).status(http.StatusOK).is("next", "password")
		o.alive(t, lax, in.access, true)
	})
}

// Mails are in the language that the person asked for, else in the portal's.
func TestTheLanguageOfMail(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t, object{"default_locale": "nl"})
		subjects := map[string]bool{}
		for _, tongue := range []string{"en", "de", "fr", "nl", "da"} {
			email := tongue + "@example.com"
			_, mail := o.registers(t, p, object{"email": email, "locale": tongue})
			subjects[mail.Subject()] = true
			require.Contains(t, mail.HTML, `lang="`+tongue+`"`)
			require.Contains(t, o.asks(t, p, resets, email).HTML, `lang="`+tongue+`"`, "whatever the caller reads")
		}
		require.Len(t, subjects, 5)
		a := o.post(t, p.front+"/registrations", object{"email": newcomer, "password": goodPassword}, language("de")).
			status(http.StatusCreated)
		require.Contains(t, o.mail(t, a).HTML, `lang="nl"`)
		o.post(t, p.front+"/registrations", object{"email": newcomer, "password": goodPassword, "locale": "sv"}).
			problem(http.StatusUnprocessableEntity, "validation_failed").field("/locale", "not_allowed")
	})
}
