package private_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// A person with the code of an invitation is told the truth at a private portal too: the code proves that the mailbox is
// theirs.
func TestInvitationCodeAtPrivatePortal(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t, apitest.Object{"enumeration": "private"})
		i, _ := o.Invite(t, p, apitest.Object{"expires_in": 3600})
		o.Clock.Advance(apitest.ResendInterval)
		a := o.PostResend(t, p, apitest.Invitee).Status(http.StatusAccepted).Is("expires_in", 604800)
		require.Equal(t, i.Code, o.Mail(t, a).Code)
		o.VerifyCode(t, p, i.Code).Status(http.StatusOK).Is("expires_at", o.TimeAfter(59*time.Minute))
		o.AcceptInvitation(t, i, apitest.Object{"email": apitest.Newcomer}).Problem(http.StatusForbidden, "invitation_email_mismatch")
		o.AcceptInvitation(t, i).Status(http.StatusCreated)
		o.RequireCodeRefused(t, i, http.StatusGone, "token_used")

		owned, _ := o.Invite(t, p, apitest.Object{"email": "owned@example.com"})
		o.Account(t, p, apitest.Object{"email": owned.Email})
		o.RequireCodeRefused(t, owned, http.StatusConflict, "email_already_registered").Remedies("log_in", "reset_password")
		expired, _ := o.Invite(t, p, apitest.Object{"email": "expired@example.com", "expires_in": 60})
		o.Clock.Advance(apitest.ResendInterval)
		o.RequireCodeRefused(t, expired, http.StatusGone, "token_expired")
		sent := o.AwaitAllSent(t)
		for _, email := range []string{apitest.Invitee, owned.Email, expired.Email, "unknown@example.com"} {
			o.Clock.Advance(apitest.ResendInterval)
			o.PostResend(t, p, email).Status(http.StatusAccepted).Is("expires_in", 604800)
		}
		require.Equal(t, sent, o.AwaitAllSent(t), "nothing is sent to who has nothing to accept")
	})
}

// A registration of an invited address mails the invitation again, and creates no account.
func TestRegisterInvitedAddressAtPrivatePortal(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t, apitest.Object{"enumeration": "private"})
		i, _ := o.Invite(t, p, apitest.Object{"roles": []string{"editor"}, "locale": "de"})
		a, mail := o.Register(t, p, apitest.Object{"email": " ADA@Example.com", "given_name": "Mallory", "locale": "fr"})
		a.Is("next", "confirm_email").Is("delivery.status", "queued")
		require.Equal(t, []string{apitest.Invitee}, mail.To)
		require.Equal(t, i.Code, mail.Code)
		require.Contains(t, mail.HTML, `lang="de"`)
		require.NotContains(t, mail.Text+mail.HTML, "Mallory")
		require.Equal(t, "0", o.CountRows(t, "accounts"))
		o.RequireInvitationStatus(t, i, "pending").Is("sent_at", o.TimeAfter(0)).Is("delivery.id", a.Text("delivery.id"))
		o.Verify(t, p, apitest.Confirmations, apitest.Object{"email": apitest.Invitee, "code": "000000"}).Problem(http.StatusBadRequest, "token_invalid")
		o.AcceptInvitation(t, i, apitest.Object{"password": apitest.OtherPassword}).Status(http.StatusCreated).Is("account.given_name", nil).
			Is("account.roles", []string{"editor"}).Is("account.locale", "de")
		o.LogInWrong(t, p, apitest.Invitee).Problem(http.StatusUnauthorized, "incorrect_credentials")
		o.Post(t, p.Front+"/login", apitest.Object{"email": apitest.Invitee, "password": apitest.GoodPassword}).
			Problem(http.StatusUnauthorized, "incorrect_credentials")
		o.LogIn(t, apitest.Person{Portal: p, Email: apitest.Invitee, Password: apitest.OtherPassword})

		// A claim that came beside the invitation, as only a race can have it, goes.
		o.Invite(t, p, apitest.Object{"email": apitest.Newcomer})
		o.Account(t, p, apitest.Object{"email": "claim@example.com"})
		o.Exec(t, "UPDATE accounts SET claimed_at = created_at, email = ?, email_canonical = ? WHERE email = 'claim@example.com'", apitest.Newcomer, apitest.Newcomer)
		o.Register(t, p)
		require.Equal(t, "0", o.QueryValue(t, "SELECT COUNT(*) FROM accounts WHERE email = ?", apitest.Newcomer))

		for _, how := range []string{"closed", "invite_only"} {
			o.Patch(t, p.Admin, apitest.Object{"registration": how}, apitest.AsOperator).Status(http.StatusOK)
			for _, email := range []string{"invited@example.com", "unknown@example.com"} {
				if email != "unknown@example.com" && how == "closed" {
					o.Invite(t, p, apitest.Object{"email": email})
				}
				o.Post(t, p.Front+"/registrations", apitest.Object{"email": email, "password": apitest.GoodPassword}).
					Problem(http.StatusForbidden, "registration_closed")
			}
		}
	})
}
