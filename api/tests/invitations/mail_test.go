package invitations_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/mail/smtptest"
)

// With send false nothing is mailed, until the person or an administrator asks.
func TestInvitationWithoutMail(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t)
		a := o.PostInvitation(t, p, apitest.Object{"send": false}).Status(http.StatusCreated).Is("status", "pending").Is("sent_at", nil).
			Is("delivery", nil)
		i := o.InvitationOf(t, p, a)
		require.Zero(t, o.AwaitAllSent(t))
		require.Equal(t, "0", o.CountRows(t, "deliveries"))
		o.Post(t, p.Front+"/lookup", apitest.Object{"email": apitest.Invitee}).Status(http.StatusOK).Is("next", "redeem_invitation")
		o.Clock.Advance(time.Hour)
		mail := o.Mail(t, o.PostResend(t, p, apitest.Invitee).Status(http.StatusAccepted).Is("resend_after_seconds", 60))
		require.Equal(t, i.Code, mail.Code)
		require.Equal(t, apitest.InvitationSubject, mail.Subject())
		o.RequireInvitationStatus(t, i, "pending").Is("sent_at", o.TimeAfter(0)).Is("delivery.to", "a•••@example.com")
		require.Equal(t, 1, o.AwaitAllSent(t))
		o.RequireInvitationStatus(t, i, "pending").Is("delivery.status", "sent")
		o.AcceptInvitation(t, i).Status(http.StatusCreated)
	})
}

// What has gone by when its turn comes is not sent; what counts is sent as it is then.
func TestQueuedInvitationMail(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := &apitest.MailHarness{Relay: smtptest.New(t, smtptest.Options{}), Mailbox: &apitest.Mailbox{Mails: map[string]apitest.Mail{}}}
		o.Harness = apitest.New(t, db, o.WithRelay(t))
		p := o.Portal(t)
		all, want := map[string]apitest.Invitation{}, map[string]string{} // of the first mail, what becomes of it
		for name, after := range map[string]func(i apitest.Invitation){
			"sent":     func(apitest.Invitation) {},
			"accepted": func(i apitest.Invitation) { o.Harness.AcceptInvitation(t, i).Status(http.StatusCreated) },
			"renewed":  func(i apitest.Invitation) { o.PostRenewal(t, i).Status(http.StatusAccepted) },
			"asked":    func(i apitest.Invitation) { o.PostResend(t, p, i.Email).Status(http.StatusAccepted) },
			"owned":    func(i apitest.Invitation) { o.Account(t, p, apitest.Object{"email": i.Email}) },
			"deleted":  func(i apitest.Invitation) { o.Delete(t, i.Admin, apitest.AsOperator).Status(http.StatusNoContent) },
			"replaced": func(i apitest.Invitation) {
				o.Delete(t, i.Admin, apitest.AsOperator).Status(http.StatusNoContent)
				o.PostInvitation(t, p, apitest.Object{"email": i.Email}).Status(http.StatusCreated)
			},
		} {
			a := o.PostInvitation(t, p, apitest.Object{"email": name + "@example.com"}).Status(http.StatusCreated).Is("delivery.status", "queued")
			all[name] = o.InvitationOf(t, p, a)
			id := a.Text("delivery.id")
			after(all[name])
			want[id] = map[bool]string{true: "sent", false: "failed"}[name == "sent" || name == "asked"]
			if name == "deleted" || name == "replaced" {
				want[id] = "sent" // to nobody: its receipt goes on as if nothing were
			}
		}
		o.StartSending(t, o.Server)
		sent := map[string]int{}
		require.Equal(t, 5, o.AwaitAllSent(t))
		for _, m := range o.Relay.Messages() {
			sent[m.To[0]]++
		}
		require.Equal(t, map[string]int{
			"sent@example.com": 1, "asked@example.com": 2, "renewed@example.com": 1, "replaced@example.com": 1,
		}, sent)
		for id, status := range want {
			o.Get(t, p.Front+"/deliveries/"+id).Status(http.StatusOK).Is("status", status)
		}
		newest := o.MailTo(t, "renewed@example.com", apitest.InvitationSubject)
		require.NotEqual(t, all["renewed"].Code, newest.Code)
		o.VerifyCode(t, p, newest.Code).Status(http.StatusOK)
		require.NotEqual(t, all["replaced"].Code, o.MailTo(t, "replaced@example.com", apitest.InvitationSubject).Code)
	})
}

// The mail is in the language of the invitation, else of the portal; a link that is not set leaves the code alone.
func TestInvitationLanguage(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t, apitest.Object{"default_locale": "nl"})
		subjects := map[string]bool{}
		for _, tongue := range []string{"en", "de", "fr", "nl", "da"} {
			_, mail := o.Invite(t, p, apitest.Object{"email": tongue + "@example.com", "locale": tongue}, apitest.Language("da"))
			require.Contains(t, mail.HTML, `lang="`+tongue+`"`)
			subjects[mail.Subject()] = true
		}
		require.Len(t, subjects, 5)
		_, mail := o.Invite(t, p, apitest.Object{}, apitest.Language("de"))
		require.Contains(t, mail.HTML, `lang="nl"`)

		bare := o.Harness.Portal(t, apitest.Object{"slug": "bare"})
		mail = o.Mail(t, o.PostInvitation(t, bare, apitest.Object{}).Status(http.StatusCreated))
		require.Empty(t, mail.Token)
		require.NotRegexp(t, `https?://`, mail.Text)
		require.NotContains(t, mail.HTML, "<a ")
		o.VerifyCode(t, bare, mail.Code).Status(http.StatusOK)
	})
}
