package invitations_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// An invitation ends on time; an administrator gives it another code and another term, and the newest alone counts.
func TestInvitationExpiry(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t)
		first, _ := o.Invite(t, p, apitest.Object{"expires_in": 3600})
		o.Clock.Advance(time.Hour - time.Millisecond)
		o.VerifyCode(t, p, first.Code).Status(http.StatusOK).Is("expires_at", o.TimeAfter(time.Millisecond))
		o.RequireInvitationStatus(t, first, "pending")
		o.Clock.Advance(time.Millisecond)
		o.RequireCodeRefused(t, first, http.StatusGone, "token_expired").Remedies("contact_administrator")
		o.AcceptInvitation(t, first, apitest.Object{"email": "eve@example.com"}).Problem(http.StatusGone, "token_expired")
		o.PostResend(t, p, apitest.Invitee).Problem(http.StatusGone, "token_expired").Remedies("contact_administrator")
		o.Post(t, p.Front+"/lookup", apitest.Object{"email": apitest.Invitee}).Problem(http.StatusNotFound, "email_not_found")
		o.RequireInvitationStatus(t, first, "expired")
		require.Equal(t, 1, o.AwaitAllSent(t))

		o.Clock.Advance(apitest.Day)
		a := o.PostRenewal(t, first).Status(http.StatusAccepted).Is("status", "pending").Is("expires_at", o.TimeAfter(time.Hour)).
			Is("resend_after_seconds", 60).Is("expires_in", 3600).Is("sent_at", o.TimeAfter(0)).Is("id", first.ID)
		second := first
		second.Code = o.Mail(t, a).Code
		require.NotEqual(t, first.Code, second.Code)
		o.RequireCodeRefused(t, first, http.StatusGone, "token_superseded").Remedies("check_spam", "resend_invitation").
			Is("remedies.1.href", p.Front+"/invitations/resend").Is("remedies.1.body.email", apitest.Invitee)
		o.VerifyCode(t, p, second.Code).Status(http.StatusOK)
		o.Clock.Advance(apitest.ResendInterval)
		third := o.Renew(t, first)
		for _, older := range []apitest.Invitation{first, second} {
			o.RequireCodeRefused(t, older, http.StatusGone, "token_superseded")
		}
		o.AcceptInvitation(t, third).Status(http.StatusCreated)
		o.RequireCodeRefused(t, third, http.StatusGone, "token_used")
		o.RequireCodeRefused(t, second, http.StatusGone, "token_superseded")
		o.PostRenewal(t, third).Problem(http.StatusConflict, "email_already_registered")
		o.Delete(t, third.Admin, apitest.AsOperator).Problem(http.StatusConflict, "email_already_registered")
		o.VerifyCode(t, p, third.Code).Problem(http.StatusGone, "token_used")
	})
}

// What is deleted is worth nothing; what took its place is what counts.
func TestDeletedInvitation(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p, other := h.Portal(t), h.Portal(t, apitest.Object{"slug": "other"})
		first := h.Invite(t, p, apitest.Object{"roles": []string{"editor"}})
		h.Delete(t, other.Admin+"/invitations/"+first.ID, apitest.AsOperator).Problem(http.StatusNotFound, "not_found")
		h.Post(t, other.Admin+"/invitations/"+first.ID+"/resend", nil, apitest.AsOperator).Problem(http.StatusNotFound, "not_found")
		h.VerifyCode(t, p, first.Code).Status(http.StatusOK)

		h.Delete(t, first.Admin, apitest.AsOperator).Status(http.StatusNoContent)
		h.RequireCodeRefused(t, first, http.StatusGone, "token_expired").Remedies("contact_administrator")
		h.PostResend(t, p, apitest.Invitee).Problem(http.StatusNotFound, "email_not_found").Remedies("correct_email", "contact_administrator")
		h.Delete(t, first.Admin, apitest.AsOperator).Problem(http.StatusNotFound, "not_found")
		h.PostRenewal(t, first).Problem(http.StatusNotFound, "not_found")
		h.Get(t, first.Admin, apitest.AsOperator).Problem(http.StatusNotFound, "not_found")
		require.NotContains(t, h.Dump(t), apitest.Invitee)

		second := h.Invite(t, p, apitest.Object{"roles": []string{"reader"}})
		require.NotEqual(t, first.Code, second.Code)
		h.RequireCodeRefused(t, first, http.StatusGone, "token_superseded").Remedies("check_spam", "resend_invitation")
		h.AcceptInvitation(t, second).Status(http.StatusCreated).Is("account.roles", []string{"reader"})
		h.RequireCodeRefused(t, first, http.StatusGone, "token_superseded")

		// One that expired makes room for another, and can be deleted as well.
		older := h.Invite(t, p, apitest.Object{"email": "bob@example.com", "expires_in": 60})
		h.Clock.Advance(time.Minute)
		newer := h.Invite(t, p, apitest.Object{"email": "bob@example.com"})
		h.RequireCodeRefused(t, older, http.StatusGone, "token_superseded")
		h.PostRenewal(t, older).Problem(http.StatusConflict, "invitation_pending").Is("invitation_id", newer.ID)
		h.RequireInvitationStatus(t, older, "expired")
		h.Delete(t, older.Admin, apitest.AsOperator).Status(http.StatusNoContent)
		h.RequireCodeRefused(t, older, http.StatusGone, "token_superseded")
		h.AcceptInvitation(t, newer).Status(http.StatusCreated)
	})
}

// An account that an administrator creates for the address ends its invitation, and the holder of the code is told so.
func TestAccountEndsInvitation(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		for name, take := range map[string]func(email string) (account string){
			"created": func(email string) string {
				return h.Account(t, p, apitest.Object{"email": email, "password": nil, "confirmed": false}).Admin
			},
			"corrected": func(email string) string {
				who := h.Account(t, p, apitest.Object{"email": "wrong@example.com"})
				h.Patch(t, who.Admin, apitest.Object{"email": " " + email}, apitest.AsOperator).Status(http.StatusOK)
				return who.Admin
			},
		} {
			i := h.Invite(t, p, apitest.Object{"email": name + "@example.com"})
			h.Clock.Advance(time.Hour)
			owner := take(i.Email)
			h.RequireCodeRefused(t, i, http.StatusConflict, "email_already_registered").Remedies("log_in", "reset_password").
				Is("remedies.0.href", p.Front+"/login").Is("remedies.1.body.email", i.Email)
			h.AcceptInvitation(t, i, apitest.Object{"email": "eve@example.com"}).Problem(http.StatusForbidden, "invitation_email_mismatch")
			h.RequireInvitationStatus(t, i, "expired").Is("expires_at", h.TimeAfter(0)).Is("accepted_at", nil)
			list := h.Get(t, p.Admin+"/invitations?status=expired&q="+i.Email, apitest.AsOperator).Status(http.StatusOK)
			require.Equal(t, []any{i.ID}, list.List("items", "id"))
			require.Empty(t, h.Get(t, p.Admin+"/invitations?status=pending", apitest.AsOperator).Status(http.StatusOK).List("items", "id"))
			h.PostResend(t, p, i.Email).Problem(http.StatusConflict, "email_already_registered").Remedies("log_in", "reset_password")
			h.PostRenewal(t, i).Problem(http.StatusConflict, "email_already_registered")
			h.PostInvitation(t, p, apitest.Object{"email": i.Email}).Problem(http.StatusConflict, "email_already_registered")

			// Without the account the address is free, but its invitation is over until it is renewed.
			h.Patch(t, owner, apitest.Object{"email": "elsewhere." + i.Email}, apitest.AsOperator).Status(http.StatusOK)
			h.RequireCodeRefused(t, i, http.StatusGone, "token_expired")
			h.PostRenewal(t, i).Status(http.StatusAccepted)
			h.RequireCodeRefused(t, i, http.StatusGone, "token_superseded")
			i.Code = h.ExportedCode(t, p, i.Email)
			h.AcceptInvitation(t, i).Status(http.StatusCreated)
		}
	})
}

// Who invited and has gone is not named any more.
func TestInviterDeleted(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		grace := h.Account(t, p, apitest.Object{"email": apitest.Newcomer, "roles": []string{"admin"}, "given_name": "Grace"})
		i := h.Invite(t, p, apitest.Object{}, apitest.Bearer(h.LogIn(t, grace).Access))
		h.VerifyCode(t, p, i.Code).Status(http.StatusOK).Is("invited_by", "Grace")
		h.RequireInvitationStatus(t, i, "pending").Is("invited_by", apitest.Newcomer)
		h.Delete(t, grace.Admin, apitest.AsOperator).Status(http.StatusNoContent)
		h.VerifyCode(t, p, i.Code).Status(http.StatusOK).Is("invited_by", "Acme")
		h.RequireInvitationStatus(t, i, "pending").Is("invited_by", nil)
		h.AcceptInvitation(t, i).Status(http.StatusCreated)
		h.VerifyCode(t, p, h.Invite(t, p, apitest.Object{"email": "bob@example.com"}).Code).Status(http.StatusOK).Is("invited_by", "Acme")
	})
}
