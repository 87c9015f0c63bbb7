package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/dispatch"
	"github.com/latchkey-auth/latchkey/pkg/mail/smtptest"
)

// becomes waits until a receipt has a status.
func (h *harness) becomes(t testing.TB, p portal, id, status string) *answer {
	t.Helper()
	for deadline := time.Now().Add(mailPatience); ; time.Sleep(5 * time.Millisecond) {
		a := h.get(t, p.front+"/deliveries/"+id).status(http.StatusOK)
		if a.text("status") == status {
			return a
		}
		require.True(t, time.Now().Before(deadline), "never %s: %s", status, a.body)
	}
}

// A receipt says truthfully how far its mail has come.
func TestReceipts(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := &office{relay: smtptest.New(t, smtptest.Options{}), bag: &bag{letters: map[string]letter{}}}
		o.harness = newHarness(t, db, o.sends(t))
		p := o.portal(t)
		other := o.portal(t, object{"slug": "other"})
		ids := map[string]string{}
		for _, name := range []string{"sent", "failed", "delayed"} {
			a := o.post(t, p.front+"/registrations", object{"email": name + "@example.com", "password": goodPassword}).status(http.StatusCreated)
			ids[name] = a.text("delivery.id")
			receipt := o.get(t, p.front+"/deliveries/"+ids[name]).status(http.StatusOK).is("status", "queued").is("channel", "email").
				is("to", name[:1]+"•••@example.com").is("sender", "no-reply@auth.example").sets("Cache-Control", "no-store")
			var in, alone object
			a.into(&in)
			receipt.into(&alone)
			require.Equal(t, in["delivery"], any(alone))
		}
		o.relay.Judge(func(to string) error {
			switch to {
			case "failed@example.com":
				return smtptest.ForGood
			case "delayed@example.com":
				return smtptest.ForNow
			}
			return nil
		})
		o.open(t, o.server)
		for name, id := range ids {
			a := o.becomes(t, p, id, name)
			require.NotContains(t, string(a.body), "no such user", "what the provider said is for administrators")
			o.get(t, other.front+"/deliveries/"+id).problem(http.StatusNotFound, "not_found")
		}
		o.post(t, p.front+"/confirmations", object{"email": "failed@example.com"}).problem(http.StatusTooManyRequests, "resend_too_soon")
		for _, id := range []string{uuid.Must(uuid.NewV7()).String(), "nothing", ids["sent"][:35], "%00"} {
			o.get(t, p.front+"/deliveries/"+id).problem(http.StatusNotFound, "not_found")
		}
		// One who has gone keeps his receipts, and nothing more is sent to him.
		o.delete(t, p.admin+"/accounts/"+o.sql(t, "SELECT id FROM accounts WHERE email = 'sent@example.com'"), asOperator).
			status(http.StatusNoContent)
		o.get(t, p.front+"/deliveries/"+ids["sent"]).status(http.StatusOK).is("status", "sent")
	})
}

// A relay that hangs or is away is nothing that a caller notices.
func TestCallsAreFastWhileMailIsAway(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t)
		o.relay.Hang(true)
		var ids []string
		for _, email := range []string{"a@example.com", "b@example.com", "c@example.com"} {
			began := time.Now()
			a := o.post(t, p.front+"/registrations", object{"email": email, "password": goodPassword}).status(http.StatusCreated)
			require.Less(t, time.Since(began), 2*time.Second)
			ids = append(ids, a.text("delivery.id"))
		}
		for _, id := range ids {
			o.get(t, p.front+"/deliveries/"+id).status(http.StatusOK).is("status", "queued")
		}
		o.relay.Hang(false)
	})
}

// Without a relay the log says that there was a mail, and nothing of what is in it; the developer's inbox has it all.
func TestMailWithoutARelay(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := &office{harness: newHarness(t, db, withInbox), bag: &bag{letters: map[string]letter{}}}
		o.open(t, o.server)
		p := o.portal(t)
		id := o.post(t, p.front+"/registrations", object{"email": newcomer, "password": goodPassword}).
			status(http.StatusCreated).text("delivery.id")
		o.becomes(t, p, id, "sent")
		var inbox []object
		r := o.request(t, http.MethodGet, "/dev/inbox", nil)
		a := o.send(t, r).status(http.StatusOK)
		a.into(&inbox)
		require.Len(t, inbox, 1)
		require.Equal(t, newcomer, inbox[0]["to"])
		require.Equal(t, confirmPage+inbox[0]["token"].(string), inbox[0]["link"])
		require.Regexp(t, `^\d{6}$`, inbox[0]["code"])
		o.log.forbid(inbox[0]["token"].(string))
		require.Contains(t, o.log.String(), id)
		o.redeem(t, p, confirmations, object{"token": inbox[0]["token"]}).status(http.StatusOK)

		plain := newHarness(t, db)
		plain.get(t, "/dev/inbox").problem(http.StatusNotFound, "not_found")
	})
}

func withInbox(o *options) { o.App.Inbox = new(dispatch.Inbox) }
