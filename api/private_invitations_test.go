package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// Whoever holds the code of an invitation is told the truth at a private portal too: it proves that the mailbox is his.
func TestPrivateInvitationsOpen(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t, object{"enumeration": "private"})
		i, _ := o.invite(t, p, object{"expires_in": 3600})
		o.clock.advance(nextAsk)
		a := o.resends(t, p, invitee).status(http.StatusAccepted).is("expires_in", 604800)
		require.Equal(t, i.code, o.mail(t, a).code)
		o.verifies(t, p, i.code).status(http.StatusOK).is("expires_at", o.stamp(59*time.Minute))
		o.accepts(t, i, object{"email": newcomer}).problem(http.StatusForbidden, "invitation_email_mismatch")
		o.accepts(t, i).status(http.StatusCreated)
		o.refuses(t, i, http.StatusGone, "token_used")

		owned, _ := o.invite(t, p, object{"email": "owned@example.com"})
		o.account(t, p, object{"email": owned.email})
		o.refuses(t, owned, http.StatusConflict, "email_already_registered").remedies("log_in", "reset_password")
		expired, _ := o.invite(t, p, object{"email": "expired@example.com", "expires_in": 60})
		o.clock.advance(nextAsk)
		o.refuses(t, expired, http.StatusGone, "token_expired")
		sent := o.quiet(t)
		for _, email := range []string{invitee, owned.email, expired.email, "unknown@example.com"} {
			o.clock.advance(nextAsk)
			o.resends(t, p, email).status(http.StatusAccepted).is("expires_in", 604800)
		}
		require.Equal(t, sent, o.quiet(t), "nothing is sent to who has nothing to accept")
	})
}

// Who registers though he is invited has the invitation mailed again: its code, and no claim.
func TestRegisteringAtAPrivatePortalWhenInvited(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t, object{"enumeration": "private"})
		i, _ := o.invite(t, p, object{"roles": []string{"editor"}, "locale": "de"})
		a, mail := o.registers(t, p, object{"email": " ADA@Example.com", "given_name": "Mallory", "locale": "fr"})
		a.is("next", "confirm_email").is("delivery.status", "queued")
		require.Equal(t, []string{invitee}, mail.To)
		require.Equal(t, i.code, mail.code)
		require.Contains(t, mail.HTML, `lang="de"`)
		require.NotContains(t, mail.Text+mail.HTML, "Mallory")
		require.Equal(t, "0", o.rows(t, "accounts"))
		o.stands(t, i, "pending").is("sent_at", o.stamp(0)).is("delivery.id", a.text("delivery.id"))
		o.verify(t, p, confirmations, object{"email": invitee, "code": "000000"}).problem(http.StatusBadRequest, "token_invalid")
		o.accepts(t, i, object{"password": newPassword}).status(http.StatusCreated).is("account.given_name", nil).
			is("account.roles", []string{"editor"}).is("account.locale", "de")
		o.wrong(t, p, invitee).problem(http.StatusUnauthorized, "incorrect_credentials")
		o.post(t, p.front+"/login", object{"email": invitee, "password": goodPassword}).
			problem(http.StatusUnauthorized, "incorrect_credentials")
		o.logIn(t, person{portal: p, email: invitee, password: newPassword})

		// A claim that came beside the invitation, as only a race can have it, goes.
		o.invite(t, p, object{"email": newcomer})
		o.account(t, p, object{"email": "claim@example.com"})
		o.exec(t, "UPDATE accounts SET claimed_at = created_at, email = ?, email_canonical = ? WHERE email = 'claim@example.com'", newcomer, newcomer)
		o.registers(t, p)
		require.Equal(t, "0", o.sql(t, "SELECT COUNT(*) FROM accounts WHERE email = ?", newcomer))

		for _, how := range []string{"closed", "invite_only"} {
			o.patch(t, p.admin, object{"registration": how}, asOperator).status(http.StatusOK)
			for _, email := range []string{"invited@example.com", "unknown@example.com"} {
				if email != "unknown@example.com" && how == "closed" {
					o.invite(t, p, object{"email": email})
				}
				o.post(t, p.front+"/registrations", object{"email": email, "password": goodPassword}).
					problem(http.StatusForbidden, "registration_closed")
			}
		}
	})
}
