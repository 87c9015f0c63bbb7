package secrets_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/mail/smtptest"
)

// awaitDeliveryStatus waits until a receipt has a status.
func awaitDeliveryStatus(t testing.TB, h *apitest.Harness, p apitest.Portal, id, status string) *apitest.Answer {
	t.Helper()
	for deadline := time.Now().Add(apitest.MailPatience); ; time.Sleep(5 * time.Millisecond) {
		a := h.Get(t, p.Front+"/deliveries/"+id).Status(http.StatusOK)
		if a.Text("status") == status {
			return a
		}
		require.True(t, time.Now().Before(deadline), "never %s: %s", status, a.Body)
	}
}

// A receipt says truthfully how far its mail has come.
func TestDeliveryReceipts(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := &apitest.MailHarness{Relay: smtptest.New(t, smtptest.Options{}), Mailbox: &apitest.Mailbox{Mails: map[string]apitest.Mail{}}}
		o.Harness = apitest.New(t, db, o.WithRelay(t))
		p := o.Portal(t)
		other := o.Portal(t, apitest.Object{"slug": "other"})
		ids := map[string]string{}
		for _, name := range []string{"sent", "failed", "delayed"} {
			a := o.Post(t, p.Front+"/registrations", apitest.Object{"email": name + "@example.com", "password": apitest.GoodPassword}).Status(http.StatusCreated)
			ids[name] = a.Text("delivery.id")
			receipt := o.Get(t, p.Front+"/deliveries/"+ids[name]).Status(http.StatusOK).Is("status", "queued").Is("channel", "email").
				Is("to", name[:1]+"•••@example.com").Is("sender", "no-reply@auth.example").HasHeader("Cache-Control", "no-store")
			var in, alone apitest.Object
			a.Decode(&in)
			receipt.Decode(&alone)
			require.Equal(t, in["delivery"], any(alone))
		}
		o.Relay.Judge(func(to string) error {
			switch to {
			case "failed@example.com":
				return smtptest.ForGood
			case "delayed@example.com":
				return smtptest.ForNow
			}
			return nil
		})
		o.StartSending(t, o.Server)
		for name, id := range ids {
			a := awaitDeliveryStatus(t, o.Harness, p, id, name)
			require.NotContains(t, string(a.Body), "no such user", "what the provider said is for administrators")
			o.Get(t, other.Front+"/deliveries/"+id).Problem(http.StatusNotFound, "not_found")
		}
		o.Post(t, p.Front+"/confirmations", apitest.Object{"email": "failed@example.com"}).Problem(http.StatusTooManyRequests, "resend_too_soon")
		for _, id := range []string{uuid.Must(uuid.NewV7()).String(), "nothing", ids["sent"][:35], "%00"} {
			o.Get(t, p.Front+"/deliveries/"+id).Problem(http.StatusNotFound, "not_found")
		}
		// The receipts of a deleted account stay, and nothing more is sent to it.
		o.Delete(t, p.Admin+"/accounts/"+o.QueryValue(t, "SELECT id FROM accounts WHERE email = 'sent@example.com'"), apitest.AsOperator).
			Status(http.StatusNoContent)
		o.Get(t, p.Front+"/deliveries/"+ids["sent"]).Status(http.StatusOK).Is("status", "sent")
	})
}

// A relay that hangs or is away is nothing that a caller notices.
func TestCallsDoNotWaitForRelay(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t)
		o.Relay.Hang(true)
		var ids []string
		for _, email := range []string{"a@example.com", "b@example.com", "c@example.com"} {
			began := time.Now()
			a := o.Post(t, p.Front+"/registrations", apitest.Object{"email": email, "password": apitest.GoodPassword}).Status(http.StatusCreated)
			require.Less(t, time.Since(began), 2*time.Second)
			ids = append(ids, a.Text("delivery.id"))
		}
		for _, id := range ids {
			o.Get(t, p.Front+"/deliveries/"+id).Status(http.StatusOK).Is("status", "queued")
		}
		o.Relay.Hang(false)
	})
}

// Without a relay the log says that there was a mail, and nothing of what is in it; the developer's inbox has it all.
func TestMailWithoutARelay(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := &apitest.MailHarness{Harness: apitest.New(t, db, apitest.DevInbox), Mailbox: &apitest.Mailbox{Mails: map[string]apitest.Mail{}}}
		o.StartSending(t, o.Server)
		p := o.Portal(t)
		id := o.Post(t, p.Front+"/registrations", apitest.Object{"email": apitest.Newcomer, "password": apitest.GoodPassword}).
			Status(http.StatusCreated).Text("delivery.id")
		awaitDeliveryStatus(t, o.Harness, p, id, "sent")
		var inbox []apitest.Object
		r := o.Request(t, http.MethodGet, "/dev/inbox", nil)
		a := o.Send(t, r).Status(http.StatusOK)
		a.Decode(&inbox)
		require.Len(t, inbox, 1)
		require.Equal(t, apitest.Newcomer, inbox[0]["to"])
		require.Equal(t, apitest.ConfirmPage+inbox[0]["token"].(string), inbox[0]["link"])
		require.Regexp(t, `^\d{6}$`, inbox[0]["code"])
		o.Log.Forbid(inbox[0]["token"].(string))
		require.Contains(t, o.Log.String(), id)
		o.Redeem(t, p, apitest.Confirmations, apitest.Object{"token": inbox[0]["token"]}).Status(http.StatusOK)

		plain := apitest.New(t, db)
		plain.Get(t, "/dev/inbox").Problem(http.StatusNotFound, "not_found")
	})
}
