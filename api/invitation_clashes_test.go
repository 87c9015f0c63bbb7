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

// remedy is one that an answer suggests.
type remedy struct {
	Action, Method, Href string
	Body                 object
	Detail               string
}

// suggests are the remedies of an answer, without their words.
func (a *answer) suggests() []remedy {
	a.t.Helper()
	var said struct{ Remedies []remedy }
	a.into(&said)
	for i, r := range said.Remedies {
		require.NotEmpty(a.t, r.Detail, "%s", a.body)
		said.Remedies[i].Detail = ""
	}
	return said.Remedies
}

// Who registers an address that is invited is told what he can do about it, as the article has it: accept the
// invitation, have it mailed again, or ask an administrator to delete it.
func TestRegisteringAnInvitedAddress(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		for _, how := range []string{"open", "invite_only", "closed"} {
			p := o.portal(t, object{"slug": strings.ReplaceAll(how, "_", "-"), "registration": how})
			i, _ := o.invite(t, p, object{})
			before := o.counts(t)
			a := o.post(t, p.front+"/registrations", object{"email": " ADA@Example.com", "password": goodPassword}).
				problem(http.StatusConflict, "pending_invitation")
			require.Equal(t, []remedy{
				{Action: "redeem_invitation", Method: http.MethodPost, Href: p.front + "/invitations/redeem"},
				{Action: "resend_invitation", Method: http.MethodPost, Href: p.front + "/invitations/resend", Body: object{"email": " ADA@Example.com"}},
				{Action: "check_spam"}, {Action: "contact_administrator"},
			}, a.suggests())
			require.Equal(t, before, o.counts(t))
			o.post(t, p.front+"/registrations", object{"email": invitee, "password": "short"}).
				problem(http.StatusConflict, "pending_invitation")

			// Each of them helps.
			require.Equal(t, i.code, o.mail(t, o.follow(t, a.suggests()[1]).status(http.StatusAccepted)).code)
			o.delete(t, i.admin, asOperator).status(http.StatusNoContent)
			registered := o.post(t, p.front+"/registrations", object{"email": invitee, "password": goodPassword})
			if how == "open" {
				registered.status(http.StatusCreated).is("next", "confirm_email")
				o.redeem(t, p, confirmations, o.mail(t, registered).byLink()).status(http.StatusOK)
				o.logIn(t, person{portal: p, email: invitee, password: goodPassword})
				continue
			}
			registered.problem(http.StatusForbidden, "registration_closed")
			i, _ = o.invite(t, p, object{})
			accept := o.post(t, p.front+"/registrations", object{"email": invitee, "password": goodPassword}).suggests()[0]
			o.post(t, accept.Href, i.acceptance()).status(http.StatusCreated)
			o.post(t, p.front+"/registrations", object{"email": invitee, "password": goodPassword}).
				problem(http.StatusConflict, "email_already_registered").remedies("log_in", "reset_password")
		}
	})
}

// An invitation that is over holds its address no longer, until it is renewed.
func TestRegisteringAfterAnInvitation(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t)
		i, _ := o.invite(t, p, object{"expires_in": 60})
		o.clock.advance(time.Minute)
		_, mail := o.registers(t, p, object{"email": invitee})
		o.refuses(t, i, http.StatusGone, "token_expired")
		o.resends(t, p, invitee).problem(http.StatusGone, "token_expired")

		// Renewed, it takes the place of the claim; confirmed, the claim would have been an account.
		i = o.renewed(t, i)
		o.verify(t, p, confirmations, mail.byLink()).problem(http.StatusGone, "token_expired")
		o.post(t, p.front+"/registrations", object{"email": invitee, "password": newPassword}).
			problem(http.StatusConflict, "pending_invitation")
		o.clock.advance(time.Minute)
		_, mail = o.registers(t, p, object{"email": invitee})
		o.redeem(t, p, confirmations, mail.byLink()).status(http.StatusOK)
		o.refuses(t, i, http.StatusConflict, "email_already_registered")
		o.renews(t, i).problem(http.StatusConflict, "email_already_registered")
		o.stands(t, i, "expired")
	})
}

// What a login page is told of an address that was invited.
func TestLookingUpAnInvitedAddress(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		looks := func(email string) *answer { t.Helper(); return h.post(t, p.front+"/lookup", object{"email": email}) }
		i := h.invite(t, p, object{"email": spellings[0], "expires_in": 60})
		for _, spelling := range spellings {
			looks(spelling).status(http.StatusOK).is("next", "redeem_invitation").is("methods", []string{"password"}).lacks("delivery")
		}
		h.post(t, p.front+"/login", object{"email": spellings[0], "password": goodPassword}).
			problem(http.StatusUnauthorized, "incorrect_credentials")
		// A claim that came beside it, as only a race can have it, gives way to it.
		claim := h.account(t, p, object{"email": spellings[1], "confirmed": false})
		looks(spellings[0]).status(http.StatusOK).is("next", "confirm_email")
		h.exec(t, "UPDATE accounts SET claimed_at = created_at")
		h.exec(t, "UPDATE invitations SET open = TRUE, expires_at = issued_at + term")
		looks(spellings[2]).status(http.StatusOK).is("next", "redeem_invitation")
		h.verifies(t, p, i.code).status(http.StatusOK)
		h.exec(t, "UPDATE accounts SET claimed_at = NULL")
		looks(spellings[2]).status(http.StatusOK).is("next", "confirm_email")
		h.refuses(t, i, http.StatusConflict, "email_already_registered")
		h.delete(t, claim.admin, asOperator).status(http.StatusNoContent)
		looks(spellings[2]).problem(http.StatusNotFound, "email_not_found")

		h.invite(t, p, object{"expires_in": 60})
		looks(invitee).status(http.StatusOK).is("next", "redeem_invitation")
		h.clock.advance(time.Minute)
		looks(invitee).problem(http.StatusNotFound, "email_not_found")
	})
}

// A claim gives way to an invitation: its password, sessions and links are dead, whoever made it.
func TestAnInvitationTakesTheClaimsPlace(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t, object{"require_confirmation": false})
		for name, invites := range map[string]func(email string) invited{
			"invited": func(email string) invited { i, _ := o.invite(t, p, object{"email": email}); return i },
			"disabled": func(email string) invited {
				id := o.sql(t, "SELECT id FROM accounts WHERE email = ?", email)
				o.patch(t, p.admin+"/accounts/"+id, object{"disabled": true}, asOperator).status(http.StatusOK)
				i, _ := o.invite(t, p, object{"email": email})
				return i
			},
		} {
			email := name + "@example.com"
			_, mail := o.registers(t, p, object{"email": email, "given_name": "Mallory"})
			in := o.logIn(t, person{portal: p, email: email, password: goodPassword})
			reset := o.asks(t, p, resets, email)
			i := invites(email)
			require.Equal(t, "0", o.sql(t, "SELECT COUNT(*) FROM accounts WHERE email = ?", email))
			o.alive(t, p, in.access, false)
			o.over(t, p, in.refresh)
			o.post(t, p.front+"/login", object{"email": email, "password": goodPassword}).
				problem(http.StatusUnauthorized, "incorrect_credentials")
			dead := func() {
				t.Helper()
				for kind, secret := range map[string]letter{confirmations: mail, resets: reset} {
					o.verify(t, p, kind, secret.byLink()).problem(http.StatusGone, "token_expired")
					o.redeem(t, p, kind, secret.byCode(email)).problem(http.StatusGone, "token_expired")
				}
			}
			dead()
			o.accepts(t, i, object{"password": newPassword}).status(http.StatusCreated).is("account.given_name", nil)
			dead()
			o.post(t, p.front+"/login", object{"email": email, "password": goodPassword}).
				problem(http.StatusUnauthorized, "incorrect_credentials")
			o.logIn(t, person{portal: p, email: email, password: newPassword})
		}
	})
}

// An address has one invitation or one account: an administrator who makes another is told what he can do.
func TestInvitingTwice(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t)
		o.account(t, p, object{"email": newcomer, "confirmed": false, "password": nil})
		o.account(t, p, object{"email": "disabled@example.com", "disabled": true})
		for _, email := range []string{newcomer, " GRACE@Example.com ", "disabled@example.com"} {
			o.invites(t, p, object{"email": email}).problem(http.StatusConflict, "email_already_registered")
		}
		admin := o.apiKey(t, object{"scopes": []string{"admin"}, "portal": p.slug}).text
		i, _ := o.invite(t, p, object{"roles": []string{"editor"}})
		for _, spelling := range []string{invitee, "ADA@Example.com ", "ada＠example.com"} {
			a := o.invites(t, p, object{"email": spelling, "roles": []string{"admin"}}, bearer(admin)).
				problem(http.StatusConflict, "invitation_pending").is("invitation_id", i.id)
			require.Equal(t, []remedy{
				{Action: "resend_invitation", Method: http.MethodPost, Href: i.admin + "/resend"},
				{Action: "delete_invitation", Method: http.MethodDelete, Href: i.admin},
			}, a.suggests())
		}
		o.stands(t, i, "pending").is("roles", []string{"editor"})
		require.Equal(t, 1, o.quiet(t))

		// What is suggested works.
		help := o.invites(t, p, object{}, bearer(admin)).suggests()
		a := o.follow(t, help[0], bearer(admin)).status(http.StatusAccepted)
		require.NotEqual(t, i.code, o.mail(t, a).code)
		o.follow(t, help[1], bearer(admin)).status(http.StatusNoContent)
		again, _ := o.invite(t, p, object{"roles": []string{"reader"}}, bearer(admin))
		o.accepts(t, again).status(http.StatusCreated).is("account.roles", []string{"reader"})

		// Another portal's address is another.
		other := o.portal(t, object{"slug": "other"})
		o.invite(t, other, object{})
		o.invite(t, other, object{"email": newcomer})
	})
}

// follow makes the call that a remedy suggests, as it stands there.
func (h *harness) follow(t testing.TB, r remedy, with ...option) *answer {
	t.Helper()
	if r.Body == nil {
		return h.call(t, r.Method, r.Href, nil, with...)
	}
	return h.call(t, r.Method, r.Href, r.Body, with...)
}
