package registration_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// From the form to the first login, through a mail that a real relay took.
func TestRegister(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t, apitest.Object{"sender": apitest.Object{"name": "Acme Support", "address": "mail@acme.example"},
			"support": apitest.Object{"email": "help@acme.example"}})
		a, mail := o.Register(t, p, apitest.Object{"given_name": "Grace", "family_name": "Hopper"})
		a.Is("next", "confirm_email").Is("delivery.channel", "email").Is("delivery.to", "g•••@example.com").
			Is("delivery.sender", "mail@acme.example").Is("delivery.status", "queued").HasHeader("Cache-Control", "no-store")
		require.Equal(t, []string{apitest.Newcomer}, mail.To)
		require.Equal(t, "mail@acme.example", mail.From)
		require.Equal(t, "Confirm your email address for Acme Support", mail.Subject())
		require.NotContains(t, mail.Text+mail.HTML, "Grace", "a name is a stranger's choice until the mailbox is proved")
		require.Contains(t, mail.Text, apitest.ConfirmPage+mail.Token+"\n")
		require.Contains(t, mail.HTML, `href="`+apitest.ConfirmPage+mail.Token+`"`)
		require.Contains(t, mail.HTML, mail.Code)
		require.Contains(t, mail.Text, "192.0.2.77", "it says from which network the registration came")
		require.Contains(t, mail.Text, o.Clock.Now().Format("2006-01-02, 15:04 UTC"), "and when")
		require.Equal(t, "auto-generated", mail.Header.Get("Auto-Submitted"))
		require.Contains(t, mail.Header.Get("Reply-To"), "help@acme.example")
		require.NotEmpty(t, mail.Header.Get("Date"))

		who := apitest.Person{Portal: p, Email: apitest.Newcomer, Password: apitest.GoodPassword}
		o.Post(t, p.Front+"/lookup", apitest.Object{"email": apitest.Newcomer}).Status(http.StatusOK).Is("next", "confirm_email").Lacks("delivery")
		o.Post(t, p.Front+"/login", who.Credentials()).Problem(http.StatusForbidden, "email_not_confirmed").
			Remedies("resend_confirmation", "check_spam").Is("remedies.0.href", p.Front+"/confirmations").
			Is("remedies.0.body.email", apitest.Newcomer)

		before := o.QueryValue(t, "SELECT COUNT(*) FROM audit_events")
		for range 3 {
			for _, secret := range []apitest.Object{mail.ByLink(), mail.ByCode(apitest.Newcomer), mail.ByCode("  GRACE@Example.com ")} {
				o.Verify(t, p, apitest.Confirmations, secret).Status(http.StatusOK).Is("email", "g•••@example.com").
					Is("expires_at", o.TimeAfter(24*time.Hour))
			}
		}
		require.Equal(t, before, o.QueryValue(t, "SELECT COUNT(*) FROM audit_events"))
		o.Redeem(t, p, apitest.Confirmations, mail.ByLink()).Status(http.StatusOK).Is("next", "password")
		o.LogIn(t, who)
		o.Post(t, p.Front+"/lookup", apitest.Object{"email": apitest.Newcomer}).Status(http.StatusOK).Is("next", "password")
		reset := o.RequestSecret(t, p, apitest.PasswordResets, apitest.Newcomer)
		require.Contains(t, reset.Text, "Hello Grace,")
		id := o.Get(t, p.Admin+"/accounts?q="+apitest.Newcomer, apitest.AsOperator).Status(http.StatusOK).Is("items.0.confirmed", true).
			Is("items.0.given_name", "Grace").Is("items.0.family_name", "Hopper").Is("items.0.locale", "en").Text("items.0.id")
		require.Equal(t, "1", o.QueryValue(t, "SELECT COUNT(*) FROM accounts WHERE id = ? AND claimed_at IS NULL", id))
	})
}

// A link leads to the portal's own page, whatever the request says of where it was sent.
func TestLinksComeFromPortal(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t, apitest.WithLoginOrigin())
		bare := o.Harness.Portal(t, apitest.Object{"slug": "bare"})
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
			r.Header.Set("Origin", apitest.LoginOrigin)
		}
		for i, path := range []string{"/registrations", "/confirmations", "/password-resets"} {
			o.Clock.Advance(apitest.ResendInterval)
			body := apitest.Object{"email": apitest.Newcomer}
			if i == 0 {
				body["password"] = apitest.GoodPassword
			}
			a := o.Post(t, p.Front+path, body, hostile)
			require.Less(t, a.HTTPStatus, 300, "%s", a.Body)
			mail := o.Mail(t, a)
			require.Equal(t, []string{apitest.Newcomer}, mail.To)
			wanted := map[bool]string{true: apitest.ResetPage, false: apitest.ConfirmPage}[path == "/password-resets"]
			require.Contains(t, mail.Text, wanted+mail.Token)
			require.NotContains(t, string(mail.Raw), evil)
			require.NotContains(t, mail.HTML, evil)
		}
		// A link that is not set means that the mail carries the code alone.
		_, mail := o.Register(t, bare)
		require.NotEmpty(t, mail.Code)
		require.NotRegexp(t, `https?://`, mail.Text)
		require.NotContains(t, mail.HTML, "<a ")
		o.Redeem(t, bare, apitest.Confirmations, mail.ByCode(apitest.Newcomer)).Status(http.StatusOK)
	})
}

// Whatever was typed, one recipient is named, and it is the address of the account.
func TestMailGoesToStoredAddress(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t)
		o.Account(t, p, apitest.Object{"email": "Ada.Lovelace@bücher.example", "given_name": "Ada"})
		victim := o.Account(t, p, apitest.Object{"email": "victim@example.com"})
		for _, typed := range apitest.AddressSpellings {
			mail := o.RequestSecret(t, p, apitest.PasswordResets, typed)
			require.Equal(t, []string{"Ada.Lovelace@xn--bcher-kva.example"}, mail.To, "%q", typed)
			require.Len(t, mail.Header["To"], 1)
			o.Clock.Advance(25 * time.Hour) // beyond every cap
		}
		before := o.AwaitAllSent(t)
		for _, typed := range []string{
			"victim@example.com,evil@evil.example", "victim@example.com;evil@evil.example", "victim@example.com evil@evil.example",
			"victim@example.com\nBcc: evil@evil.example", "victim@example.com\r\nRCPT TO:<evil@evil.example>", "victim@example.com>",
			"<victim@example.com>", "Victim <victim@example.com>", "victim@example.com%0aBcc:evil@evil.example", "evil@evil.example,victim@example.com",
			`"victim@example.com"@evil.example`, "victim@example.com@evil.example", "victim(evil@evil.example)@example.com", "victim@example.com\x00",
		} {
			for _, path := range []string{"/registrations", "/confirmations", "/password-resets"} {
				body := apitest.Object{"email": typed}
				if path == "/registrations" {
					body["password"] = apitest.GoodPassword
				}
				o.Post(t, p.Front+path, body).Problem(http.StatusUnprocessableEntity, "validation_failed")
			}
			o.Post(t, p.Front+"/password-resets", apitest.Object{"email": []string{victim.Email, "evil@evil.example"}}).
				Problem(http.StatusUnprocessableEntity, "validation_failed")
		}
		// Look-alikes are addresses of somebody else: the account's mail is not sent there.
		for _, typed := range []string{
			"vıctim@example.com", "victim@examp1e.com", "vіctim@example.com", "victim+x@example.com", "vic.tim@example.com", "victim@example.com.evil.example",
			"victim@exаmple.com",
		} {
			a := o.Post(t, p.Front+"/password-resets", apitest.Object{"email": typed})
			require.Contains(t, []int{http.StatusNotFound, http.StatusUnprocessableEntity}, a.HTTPStatus, "%q: %s", typed, a.Body)
		}
		require.Equal(t, before, o.AwaitAllSent(t), "nothing was sent")
		// A look-alike that registers is mailed itself.
		for _, typed := range []string{"vıctim@example.com", "vіctim@example.com", "victim@exаmple.com"} {
			a := o.Post(t, p.Front+"/registrations", apitest.Object{"email": typed, "password": apitest.GoodPassword})
			if a.HTTPStatus == http.StatusCreated {
				mail := o.Mail(t, a)
				require.Len(t, mail.To, 1)
				require.NotEqual(t, victim.Email, mail.To[0], "%q", typed)
			}
		}
	})
}

// A name cannot write a mail: no link, no markup, no header.
func TestNamesInMailAreEscaped(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t)
		for i, name := range []string{
			"<a href=https://evil.example>click</a>", "https://evil.example/now", "www.evil.example", "evil.example", "Bob\u2028Bcc: evil@evil.example",
			"</p><script>alert(1)</script>", "you won! call evil@evil.example",
		} {
			who := o.Account(t, p, apitest.Object{"email": fmt.Sprintf("name%d@example.com", i), "given_name": name})
			mail := o.RequestSecret(t, p, apitest.PasswordResets, who.Email)
			require.NotContains(t, mail.HTML, "<script", name)
			require.NotContains(t, mail.HTML, `href="https://evil`, name)
			require.NotContains(t, mail.HTML, "<a href=https://evil", name)
			require.NotContains(t, mail.Text, "evil.example", name)
			require.Empty(t, mail.Header.Get("Bcc"), name)
			require.Len(t, mail.To, 1, name)
		}
	})
}

// The next registration of an address replaces an unconfirmed one: its password, its names, and the mail that counts.
func TestRegisterAgain(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t)
		_, first := o.Register(t, p, apitest.Object{"given_name": "First"})
		again := apitest.Object{"email": " GRACE@example.com", "password": apitest.OtherPassword, "given_name": "Second"}
		hash := o.QueryValue(t, "SELECT password_hash FROM accounts")
		o.Clock.Advance(apitest.ResendInterval - time.Millisecond)
		o.Post(t, p.Front+"/registrations", again).Problem(http.StatusTooManyRequests, "resend_too_soon").
			Remedies("wait", "check_spam", "contact_support").HasHeader("Retry-After", "1")
		require.Equal(t, hash, o.QueryValue(t, "SELECT password_hash FROM accounts"), "nothing is replaced within the cool-down")
		require.Equal(t, "First", o.QueryValue(t, "SELECT given_name FROM accounts"))
		o.Verify(t, p, apitest.Confirmations, first.ByLink()).Status(http.StatusOK)

		o.Clock.Advance(time.Millisecond)
		second := o.Mail(t, o.Post(t, p.Front+"/registrations", again).Status(http.StatusCreated).Is("delivery.to", "G•••@example.com"))
		require.Equal(t, "Second", o.QueryValue(t, "SELECT given_name FROM accounts"))
		require.Equal(t, "1", o.QueryValue(t, "SELECT COUNT(*) FROM accounts"))
		require.Contains(t, second.Text, "registered more than once")
		require.NotContains(t, first.Text, "registered more than once")
		for _, ask := range []func(apitest.Object) *apitest.Answer{
			func(secret apitest.Object) *apitest.Answer { return o.Verify(t, p, apitest.Confirmations, secret) },
			func(secret apitest.Object) *apitest.Answer { return o.Redeem(t, p, apitest.Confirmations, secret) },
		} {
			a := ask(first.ByLink()).Problem(http.StatusGone, "token_superseded").Is("contested", true).
				Remedies("check_spam", "resend_confirmation").Is("remedies.1.body.token", first.Token)
			require.Contains(t, a.Text("detail"), "registered more than once", "it does not say: use the newest")
			ask(first.ByCode(apitest.Newcomer)).Problem(http.StatusGone, "token_superseded").Is("contested", true).
				Is("remedies.1.body.email", apitest.Newcomer)
		}
		withPassword := second.ByCode(apitest.Newcomer)
		withPassword["password"] = apitest.OtherPassword
		o.Redeem(t, p, apitest.Confirmations, withPassword).Status(http.StatusOK).Is("next", "password").Lacks("delivery")
		o.Redeem(t, p, apitest.Confirmations, first.ByLink()).Problem(http.StatusGone, "token_superseded").Lacks("contested")
		o.Post(t, p.Front+"/login", apitest.Object{"email": apitest.Newcomer, "password": apitest.GoodPassword}).
			Problem(http.StatusUnauthorized, "incorrect_credentials")
		o.LogIn(t, apitest.Person{Portal: p, Email: apitest.Newcomer, Password: apitest.OtherPassword})
		o.Clock.Advance(apitest.ResendInterval)
		o.Post(t, p.Front+"/registrations", again).Problem(http.StatusConflict, "email_already_registered").
			Remedies("log_in", "reset_password").Is("remedies.1.body.email", " GRACE@example.com")
	})
}

// An owner whose address a stranger registers again, and who opens whichever mail they find, is never given the stranger's
// password or name.
func TestConfirmContestedRegistration(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		for _, p := range []apitest.Portal{
			o.Portal(t), o.Portal(t, apitest.Object{"slug": "private", "enumeration": "private"}),
		} {
			_, first := o.Register(t, p)
			o.Clock.Advance(apitest.ResendInterval)
			_, second := o.Register(t, p, apitest.Object{"password": apitest.OtherPassword, "given_name": "Mallory"})
			o.Redeem(t, p, apitest.Confirmations, first.ByLink()).Problem(http.StatusGone, "token_superseded").
				Is("contested", true)
			a := o.Redeem(t, p, apitest.Confirmations, second.ByLink()).Status(http.StatusOK).Is("next", "set_password").
				Is("delivery.to", "g•••@example.com")
			set := o.Mail(t, a)
			require.NotContains(t, set.Text, "Mallory")
			for _, password := range []string{apitest.GoodPassword, apitest.OtherPassword} {
				require.GreaterOrEqual(t, o.Post(t, p.Front+"/login", apitest.Object{
					"email": apitest.Newcomer, "password": password,
				}).HTTPStatus, 400)
			}
			o.Verify(t, p, apitest.PasswordResets, set.ByLink()).Status(http.StatusOK).Is("purpose", "set")
			owned := set.ByLink()
			owned["password"] = "a password of her own"
			o.Redeem(t, p, apitest.PasswordResets, owned).Status(http.StatusOK)
			o.LogIn(t, apitest.Person{Portal: p, Email: apitest.Newcomer, Password: "a password of her own"})
			o.Get(t, p.Admin+"/accounts?q=Mallory", apitest.AsOperator).Status(http.StatusOK).Is("items", []any{})
			o.Clock.Advance(apitest.ResendInterval)
		}
	})
}

// Where no confirmation is required, nobody replaces a registration, and it is not swept.
func TestRegistrationWithoutConfirmationLasts(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t, apitest.Object{"require_confirmation": false})
		o.Register(t, p)
		in := o.LogIn(t, apitest.Person{Portal: p, Email: apitest.Newcomer, Password: apitest.GoodPassword})
		o.Clock.Advance(61 * time.Second)
		o.Post(t, p.Front+"/registrations", apitest.Object{"email": apitest.Newcomer, "password": apitest.OtherPassword}).
			Problem(http.StatusConflict, "email_already_registered")
		o.RequireAccess(t, p, in.Access, true)
		o.PostInvitation(t, p, apitest.Object{"email": apitest.Newcomer}).
			Problem(http.StatusConflict, "email_already_registered")
		o.Clock.Advance(31 * 24 * time.Hour)
		o.Sweep(t, "unverified accounts")
		o.LogIn(t, apitest.Person{Portal: p, Email: apitest.Newcomer, Password: apitest.GoodPassword})
	})
}

func TestPortalsWithoutRegistration(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		for _, how := range []string{"closed", "invite_only"} {
			for _, enumeration := range []string{"open", "private"} {
				p := o.Portal(t, apitest.Object{"slug": strings.ReplaceAll(how, "_", "-") + "-" + enumeration, "registration": how, "enumeration": enumeration})
				o.Post(t, p.Front+"/registrations", apitest.Object{"email": apitest.Newcomer, "password": apitest.GoodPassword}).
					Problem(http.StatusForbidden, "registration_closed").Remedies("contact_administrator")
			}
		}
		require.Equal(t, "0", o.QueryValue(t, "SELECT COUNT(*) FROM accounts"))

		p := o.Portal(t)
		for _, tt := range []struct{ password, reason string }{
			{"short", "too_short"}, {strings.Repeat("long enough ", 11), "too_long"}, {"passwordpassword", "common"},
			{"grace@example.com", "contains_email"},
		} {
			a := o.Post(t, p.Front+"/registrations", apitest.Object{"email": apitest.Newcomer, "password": tt.password}).
				Problem(http.StatusUnprocessableEntity, "password_rejected").Remedies("retry")
			require.Contains(t, a.List("reasons", "code"), any(tt.reason), tt.password)
		}
		require.Equal(t, "0", o.QueryValue(t, "SELECT COUNT(*) FROM onetime_secrets"), "a password that is refused takes no one's turn")

		lax := o.Portal(t, apitest.Object{"slug": "lax", "require_confirmation": false})
		a, mail := o.Register(t, lax)
		a.Is("next", "password")
		in := o.LogIn(t, apitest.Person{Portal: lax, Email: apitest.Newcomer, Password: apitest.GoodPassword})
		o.Redeem(t, lax, apitest.Confirmations, mail.ByLink()).Status(http.StatusOK).Is("next", "password")
		o.RequireAccess(t, lax, in.Access, true)
	})
}

// Mails are in the language that the person asked for, else in the portal's.
func TestMailLanguage(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t, apitest.Object{"default_locale": "nl"})
		subjects := map[string]bool{}
		for _, tongue := range []string{"en", "de", "fr", "nl", "da"} {
			email := tongue + "@example.com"
			_, mail := o.Register(t, p, apitest.Object{"email": email, "locale": tongue})
			subjects[mail.Subject()] = true
			require.Contains(t, mail.HTML, `lang="`+tongue+`"`)
			require.Contains(t, o.RequestSecret(t, p, apitest.PasswordResets, email).HTML, `lang="`+tongue+`"`, "whatever the caller reads")
		}
		require.Len(t, subjects, 5)
		a := o.Post(t, p.Front+"/registrations", apitest.Object{"email": apitest.Newcomer, "password": apitest.GoodPassword}, apitest.Language("de")).
			Status(http.StatusCreated)
		require.Contains(t, o.Mail(t, a).HTML, `lang="nl"`)
		o.Post(t, p.Front+"/registrations", apitest.Object{"email": apitest.Newcomer, "password": apitest.GoodPassword, "locale": "sv"}).
			Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/locale", "not_allowed")
	})
}
