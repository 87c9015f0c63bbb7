package invitations_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// remedy is one that an answer suggests.
type remedy struct {
	Action, Method, Href string
	Body                 apitest.Object
	Detail               string
}

// remediesOf are the remedies of an answer, without their words.
func remediesOf(a *apitest.Answer) []remedy {
	a.T.Helper()
	var said struct{ Remedies []remedy }
	a.Decode(&said)
	for i, r := range said.Remedies {
		require.NotEmpty(a.T, r.Detail, "%s", a.Body)
		said.Remedies[i].Detail = ""
	}
	return said.Remedies
}

// The refusal of a registration for an invited address lists what the person can do: accept the
// invitation, have it mailed again, or ask an administrator to delete it.
func TestRegisterInvitedAddress(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		for _, how := range []string{"open", "invite_only", "closed"} {
			p := o.Portal(t, apitest.Object{"slug": strings.ReplaceAll(how, "_", "-"), "registration": how})
			i, _ := o.Invite(t, p, apitest.Object{})
			before := o.RowCounts(t)
			a := o.Post(t, p.Front+"/registrations", apitest.Object{"email": " ADA@Example.com", "password": apitest.GoodPassword}).
				Problem(http.StatusConflict, "pending_invitation")
			require.Equal(t, []remedy{
				{Action: "redeem_invitation", Method: http.MethodPost, Href: p.Front + "/invitations/redeem"},
				{Action: "resend_invitation", Method: http.MethodPost, Href: p.Front + "/invitations/resend", Body: apitest.Object{"email": " ADA@Example.com"}},
				{Action: "check_spam"}, {Action: "contact_administrator"},
			}, remediesOf(a))
			require.Equal(t, before, o.RowCounts(t))
			o.Post(t, p.Front+"/registrations", apitest.Object{"email": apitest.Invitee, "password": "short"}).
				Problem(http.StatusConflict, "pending_invitation")

			// Each of them helps.
			require.Equal(t, i.Code, o.Mail(t, follow(t, o.Harness, remediesOf(a)[1]).Status(http.StatusAccepted)).Code)
			o.Delete(t, i.Admin, apitest.AsOperator).Status(http.StatusNoContent)
			registered := o.Post(t, p.Front+"/registrations", apitest.Object{"email": apitest.Invitee, "password": apitest.GoodPassword})
			if how == "open" {
				registered.Status(http.StatusCreated).Is("next", "confirm_email")
				o.Redeem(t, p, apitest.Confirmations, o.Mail(t, registered).ByLink()).Status(http.StatusOK)
				o.LogIn(t, apitest.Person{Portal: p, Email: apitest.Invitee, Password: apitest.GoodPassword})
				continue
			}
			registered.Problem(http.StatusForbidden, "registration_closed")
			i, _ = o.Invite(t, p, apitest.Object{})
			accept := remediesOf(o.Post(t, p.Front+"/registrations", apitest.Object{"email": apitest.Invitee, "password": apitest.GoodPassword}))[0]
			o.Post(t, accept.Href, i.RedeemBody()).Status(http.StatusCreated)
			o.Post(t, p.Front+"/registrations", apitest.Object{"email": apitest.Invitee, "password": apitest.GoodPassword}).
				Problem(http.StatusConflict, "email_already_registered").Remedies("log_in", "reset_password")
		}
	})
}

// An invitation that is over holds its address no longer, until it is renewed.
func TestRegisterAfterInvitationEnded(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t)
		i, _ := o.Invite(t, p, apitest.Object{"expires_in": 60})
		o.Clock.Advance(time.Minute)
		_, mail := o.Register(t, p, apitest.Object{"email": apitest.Invitee})
		o.RequireCodeRefused(t, i, http.StatusGone, "token_expired")
		o.PostResend(t, p, apitest.Invitee).Problem(http.StatusGone, "token_expired")

		// Renewed, it takes the place of the claim; confirmed, the claim would have been an account.
		i = o.Renew(t, i)
		o.Verify(t, p, apitest.Confirmations, mail.ByLink()).Problem(http.StatusGone, "token_expired")
		o.Post(t, p.Front+"/registrations", apitest.Object{"email": apitest.Invitee, "password": apitest.OtherPassword}).
			Problem(http.StatusConflict, "pending_invitation")
		o.Clock.Advance(time.Minute)
		_, mail = o.Register(t, p, apitest.Object{"email": apitest.Invitee})
		o.Redeem(t, p, apitest.Confirmations, mail.ByLink()).Status(http.StatusOK)
		o.RequireCodeRefused(t, i, http.StatusConflict, "email_already_registered")
		o.PostRenewal(t, i).Problem(http.StatusConflict, "email_already_registered")
		o.RequireInvitationStatus(t, i, "expired")
	})
}

// Lookup and login of an invited address.
func TestLookUpInvitedAddress(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		looks := func(email string) *apitest.Answer {
			t.Helper()
			return h.Post(t, p.Front+"/lookup", apitest.Object{"email": email})
		}
		i := h.Invite(t, p, apitest.Object{"email": apitest.AddressSpellings[0], "expires_in": 60})
		for _, spelling := range apitest.AddressSpellings {
			looks(spelling).Status(http.StatusOK).Is("next", "redeem_invitation").Is("methods", []string{"password"}).Lacks("delivery")
		}
		h.Post(t, p.Front+"/login", apitest.Object{"email": apitest.AddressSpellings[0], "password": apitest.GoodPassword}).
			Problem(http.StatusUnauthorized, "incorrect_credentials")
		// A claim that came beside it, as only a race can have it, gives way to it.
		claim := h.Account(t, p, apitest.Object{"email": apitest.AddressSpellings[1], "confirmed": false})
		looks(apitest.AddressSpellings[0]).Status(http.StatusOK).Is("next", "confirm_email")
		h.Exec(t, "UPDATE accounts SET claimed_at = created_at")
		h.Exec(t, "UPDATE invitations SET open = TRUE, expires_at = issued_at + term")
		looks(apitest.AddressSpellings[2]).Status(http.StatusOK).Is("next", "redeem_invitation")
		h.VerifyCode(t, p, i.Code).Status(http.StatusOK)
		h.Exec(t, "UPDATE accounts SET claimed_at = NULL")
		looks(apitest.AddressSpellings[2]).Status(http.StatusOK).Is("next", "confirm_email")
		h.RequireCodeRefused(t, i, http.StatusConflict, "email_already_registered")
		h.Delete(t, claim.Admin, apitest.AsOperator).Status(http.StatusNoContent)
		looks(apitest.AddressSpellings[2]).Problem(http.StatusNotFound, "email_not_found")

		h.Invite(t, p, apitest.Object{"expires_in": 60})
		looks(apitest.Invitee).Status(http.StatusOK).Is("next", "redeem_invitation")
		h.Clock.Advance(time.Minute)
		looks(apitest.Invitee).Problem(http.StatusNotFound, "email_not_found")
	})
}

// An invitation replaces an unconfirmed registration: its password, sessions and links end, whether a person or an
// administrator made it.
func TestInvitationReplacesUnconfirmedRegistration(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t, apitest.Object{"require_confirmation": false})
		for name, invites := range map[string]func(email string) apitest.Invitation{
			"invited": func(email string) apitest.Invitation {
				i, _ := o.Invite(t, p, apitest.Object{"email": email})
				return i
			},
			"disabled": func(email string) apitest.Invitation {
				// By a version before: today an administrator who disables it makes it an account.
				o.Exec(t, "UPDATE accounts SET disabled_at = 1 WHERE portal_id = ? AND email = ?", p.ID, email)
				i, _ := o.Invite(t, p, apitest.Object{"email": email})
				return i
			},
		} {
			email := name + "@example.com"
			_, mail := o.Register(t, p, apitest.Object{"email": email, "given_name": "Mallory"})
			in := o.LogIn(t, apitest.Person{Portal: p, Email: email, Password: apitest.GoodPassword})
			reset := o.RequestSecret(t, p, apitest.PasswordResets, email)
			// By a version before: today a registration here is an account at once.
			o.Exec(t, "UPDATE accounts SET claimed_at = created_at WHERE portal_id = ? AND email = ?", p.ID, email)
			i := invites(email)
			require.Equal(t, "0", o.QueryValue(t, "SELECT COUNT(*) FROM accounts WHERE email = ?", email))
			o.RequireAccess(t, p, in.Access, false)
			o.RequireSessionOver(t, p, in.Refresh)
			o.Post(t, p.Front+"/login", apitest.Object{"email": email, "password": apitest.GoodPassword}).
				Problem(http.StatusUnauthorized, "incorrect_credentials")
			dead := func() {
				t.Helper()
				for kind, secret := range map[string]apitest.Mail{apitest.Confirmations: mail, apitest.PasswordResets: reset} {
					o.Verify(t, p, kind, secret.ByLink()).Problem(http.StatusGone, "token_expired")
					o.Redeem(t, p, kind, secret.ByCode(email)).Problem(http.StatusGone, "token_expired")
				}
			}
			dead()
			o.AcceptInvitation(t, i, apitest.Object{"password": apitest.OtherPassword}).Status(http.StatusCreated).Is("account.given_name", nil)
			dead()
			o.Post(t, p.Front+"/login", apitest.Object{"email": email, "password": apitest.GoodPassword}).
				Problem(http.StatusUnauthorized, "incorrect_credentials")
			o.LogIn(t, apitest.Person{Portal: p, Email: email, Password: apitest.OtherPassword})
		}
	})
}

// An address has one invitation or one account. The refusal of another invitation lists what the administrator can do.
func TestInviteTwice(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t)
		o.Account(t, p, apitest.Object{"email": apitest.Newcomer, "confirmed": false, "password": nil})
		o.Account(t, p, apitest.Object{"email": "disabled@example.com", "disabled": true})
		for _, email := range []string{apitest.Newcomer, " GRACE@Example.com ", "disabled@example.com"} {
			o.PostInvitation(t, p, apitest.Object{"email": email}).Problem(http.StatusConflict, "email_already_registered")
		}
		admin := o.APIKey(t, apitest.Object{"scopes": []string{"admin"}, "portal": p.Slug}).Text
		i, _ := o.Invite(t, p, apitest.Object{"roles": []string{"editor"}})
		for _, spelling := range []string{apitest.Invitee, "ADA@Example.com ", "ada＠example.com"} {
			a := o.PostInvitation(t, p, apitest.Object{"email": spelling, "roles": []string{"admin"}}, apitest.Bearer(admin)).
				Problem(http.StatusConflict, "invitation_pending").Is("invitation_id", i.ID)
			require.Equal(t, []remedy{
				{Action: "resend_invitation", Method: http.MethodPost, Href: i.Admin + "/resend"},
				{Action: "delete_invitation", Method: http.MethodDelete, Href: i.Admin},
			}, remediesOf(a))
		}
		o.RequireInvitationStatus(t, i, "pending").Is("roles", []string{"editor"})
		require.Equal(t, 1, o.AwaitAllSent(t))

		// What is suggested works.
		help := remediesOf(o.PostInvitation(t, p, apitest.Object{}, apitest.Bearer(admin)))
		a := follow(t, o.Harness, help[0], apitest.Bearer(admin)).Status(http.StatusAccepted)
		require.NotEqual(t, i.Code, o.Mail(t, a).Code)
		follow(t, o.Harness, help[1], apitest.Bearer(admin)).Status(http.StatusNoContent)
		again, _ := o.Invite(t, p, apitest.Object{"roles": []string{"reader"}}, apitest.Bearer(admin))
		o.AcceptInvitation(t, again).Status(http.StatusCreated).Is("account.roles", []string{"reader"})

		// Another portal's address is another.
		other := o.Portal(t, apitest.Object{"slug": "other"})
		o.Invite(t, other, apitest.Object{})
		o.Invite(t, other, apitest.Object{"email": apitest.Newcomer})
	})
}

// follow makes the call that a remedy suggests.
func follow(t testing.TB, h *apitest.Harness, r remedy, with ...apitest.Option) *apitest.Answer {
	t.Helper()
	if r.Body == nil {
		return h.Call(t, r.Method, r.Href, nil, with...)
	}
	return h.Call(t, r.Method, r.Href, r.Body, with...)
}
