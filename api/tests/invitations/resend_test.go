package invitations_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// A person has the invitation mailed again: the same code, for what is left of its time, to the address that was invited.
func TestResendOwnInvitation(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t)
		i, first := o.Invite(t, p, apitest.Object{"email": apitest.AddressSpellings[0], "expires_in": 86400, "locale": "de"})
		require.Equal(t, []string{"Ada.Lovelace@xn--bcher-kva.example"}, first.To)
		for n, typed := range apitest.AddressSpellings {
			o.Clock.Advance(13 * time.Minute) // no more than five an hour
			left := 86400 - (n+1)*13*60
			a := o.PostResend(t, p, typed).Status(http.StatusAccepted).Is("expires_in", left).Is("delivery.channel", "email").
				Is("delivery.status", "queued").HasHeader("Cache-Control", "no-store")
			mail := o.Mail(t, a)
			require.Equal(t, first.To, mail.To, "%q", typed)
			require.Equal(t, first.Subject(), mail.Subject())
			require.Contains(t, mail.HTML, `lang="de"`)
			require.Equal(t, i.Code, mail.Code)
			require.Equal(t, i.Code, mail.Token)
			o.RequireInvitationStatus(t, i, "pending").Is("sent_at", o.TimeAfter(0)).Is("delivery.id", a.Text("delivery.id"))
		}
		o.VerifyCode(t, p, i.Code).Status(http.StatusOK).Is("expires_at", o.TimeAfter(apitest.Day-8*13*time.Minute))
		o.AcceptInvitation(t, i).Status(http.StatusCreated)
		o.PostResend(t, p, apitest.AddressSpellings[1]).Problem(http.StatusConflict, "email_already_registered").Remedies("log_in", "reset_password")
		o.PostResend(t, p, "nobody@gmial.com").Problem(http.StatusNotFound, "email_not_found").
			Is("did_you_mean", []string{"nobody@gmail.com"}).Remedies("correct_email", "contact_administrator")
		for _, typed := range []string{"", "ada", "ada@example.com,eve@example.com", "Ada <ada@example.com>"} {
			o.PostResend(t, p, typed).Problem(http.StatusUnprocessableEntity, "validation_failed")
		}
		o.Post(t, p.Front+"/invitations/resend", apitest.Object{"code": i.Code}).Problem(http.StatusUnprocessableEntity, "validation_failed")
	})
}

// A person asks once a minute and five times an hour; an administrator once a minute, whatever the person does; and
// nobody is held who invites.
func TestInvitationResendLimits(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		i := h.Invite(t, p, apitest.Object{})
		for n := range 5 {
			wait := 60
			if n == 4 {
				wait = 3600 - 4*60
			}
			h.PostResend(t, p, "  ADA@example.com").Status(http.StatusAccepted).Is("resend_after_seconds", wait)
			h.PostResend(t, p, apitest.Invitee).Problem(http.StatusTooManyRequests, "resend_too_soon").
				Remedies("wait", "check_spam", "contact_support").HasHeader("Retry-After", fmt.Sprint(wait))
			h.PostRenewal(t, i).Status(http.StatusAccepted).Is("resend_after_seconds", 60)
			renewed := h.ExportedCode(t, p, apitest.Invitee)
			h.PostRenewal(t, i).Problem(http.StatusTooManyRequests, "resend_too_soon").HasHeader("Retry-After", "60")
			require.Equal(t, renewed, h.ExportedCode(t, p, apitest.Invitee), "what is held changes nothing")
			h.Clock.Advance(apitest.ResendInterval - time.Millisecond)
			h.PostResend(t, p, apitest.Invitee).Problem(http.StatusTooManyRequests, "resend_too_soon")
			h.PostRenewal(t, i).Problem(http.StatusTooManyRequests, "resend_too_soon").HasHeader("Retry-After", "1")
			h.Clock.Advance(time.Millisecond)
		}
		h.PostResend(t, p, apitest.Invitee).Problem(http.StatusTooManyRequests, "resend_too_soon").HasHeader("Retry-After", "3300")
		sent := h.CountRows(t, "deliveries")
		require.Equal(t, "11", sent)
		h.PostRenewal(t, i).Status(http.StatusAccepted)
		for range 3 {
			h.Delete(t, i.Admin, apitest.AsOperator).Status(http.StatusNoContent)
			i = h.Invite(t, p, apitest.Object{})
		}
		require.Equal(t, "15", h.CountRows(t, "deliveries"))
		h.PostResend(t, p, apitest.Invitee).Problem(http.StatusTooManyRequests, "resend_too_soon")
		h.AcceptInvitation(t, i).Status(http.StatusCreated)
	})
}
