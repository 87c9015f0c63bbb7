package dispatch_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/dispatch"
	"github.com/latchkey-auth/latchkey/pkg/mail"
	"github.com/latchkey-auth/latchkey/pkg/mail/smtptest"
	"github.com/latchkey-auth/latchkey/pkg/queue"
)

// overScripted makes a service send through a scripted relay.
func (f *fixture) overScripted(relay *smtptest.Scripted) func(*dispatch.Dependencies) {
	f.t.Helper()
	return func(o *dispatch.Dependencies) {
		sender, err := mail.NewSMTP(relay.URL(""), "id.example.com")
		require.NoError(f.t, err)
		o.Sender = sender
	}
}

// A relay that takes longer to answer than a job may be left alone gets the mail once, from however many instances, and
// is not taken for one that is away.
func TestASlowRelayGetsOneCopy(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		f := newFixture(t, db, nil)
		relay := smtptest.NewScripted(t, smtptest.Script{AnswerAfter: 35 * time.Second})
		s := f.started(f.overScripted(relay))
		f.started(f.overScripted(relay))
		m := f.reset(f.person("anna@example.com", ""))
		f.send(s, m)
		require.Eventually(t, func() bool { return relay.Taken() == 1 }, patience, 10*time.Millisecond)
		time.Sleep(34 * time.Second)
		require.Equal(t, delivery.Queued, f.row(m.ID).Status)
		require.False(t, s.Degraded(context.Background()))
		r := f.becomes(m.ID, delivery.Sent)
		require.Equal(t, 1, r.Attempts)
		require.Equal(t, 1, relay.Taken())
	})
}

// A mail whose outcome is unknown is not sent again for ten minutes, not even when all delayed mail is made due.
func TestAnUnknownOutcomeIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		f := newFixture(t, db, nil)
		relay := smtptest.NewScripted(t, smtptest.Script{HangUp: true})
		s := f.started(f.overScripted(relay))
		m := f.reset(f.person("anna@example.com", ""))
		f.send(s, m)
		r := f.becomes(m.ID, delivery.Delayed)
		require.Contains(t, r.ProviderAnswer, "did not say")
		require.Greater(t, time.Until(time.UnixMilli(*r.NextAttemptAt)), 9*time.Minute)
		for range 5 {
			require.NoError(t, s.jobs.WakeAll(context.Background(), delivery.JobKind))
			time.Sleep(100 * time.Millisecond)
		}
		require.Equal(t, 1, relay.Taken())
		f.skew.Store(int64(11 * time.Minute)) // a clock that is ahead changes nothing
		require.NoError(t, s.jobs.WakeAll(context.Background(), delivery.JobKind))
		time.Sleep(500 * time.Millisecond)
		require.Equal(t, 1, relay.Taken())
		require.Equal(t, 1, f.row(m.ID).Attempts)
		require.False(t, s.Degraded(context.Background()))

		f.change(`UPDATE deliveries SET held_until = 1 WHERE portal_id = ? AND id = ?`, f.portal.ID, m.ID)
		require.Eventually(t, func() bool {
			_ = s.jobs.WakeAll(context.Background(), delivery.JobKind)
			return relay.Taken() == 2
		}, patience, 100*time.Millisecond)
	})
}

// A message that has two jobs, or ten, is sent once.
func TestAMessageWithManyJobsIsSentOnce(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		f := newFixture(t, db, nil)
		relay := smtptest.New(t, smtptest.Options{})
		relay.Judge(func(string) error {
			time.Sleep(50 * time.Millisecond)
			return nil
		})
		s := f.service(f.over(relay))
		var messages []delivery.Message
		for _, name := range []string{"anna", "bert", "carl"} {
			m := f.reset(f.person(name+"@example.com", ""))
			f.send(s, m)
			messages = append(messages, m)
			require.NoError(t, db.InTx(context.Background(), func(ctx context.Context) error {
				for range 9 {
					if err := s.jobs.Insert(ctx, queue.Turn{}, delivery.Job{PortalID: f.portal.ID, ID: m.ID}); err != nil {
						return err
					}
				}
				return nil
			}))
		}
		f.start(s)
		f.started(f.over(relay))
		for _, m := range messages {
			require.Equal(t, 1, f.becomes(m.ID, delivery.Sent).Attempts)
		}
		time.Sleep(200 * time.Millisecond)
		require.Len(t, relay.Messages(), 3)
	})
}

// A message whose job was lost is found and sent, by one of two instances. One whose job is merely slow is left alone.
func TestAMessageThatLostItsJob(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		f := newFixture(t, db, nil)
		relay := smtptest.New(t, smtptest.Options{})
		s := f.service(f.over(relay))
		lost, slow := f.reset(f.person("lost@example.com", "")), f.reset(f.person("slow@example.com", ""))
		f.send(s, lost)
		require.NoError(t, db.From(ctx).Exec(`DELETE FROM river_job`).Error)
		f.send(s, slow)

		n, err := s.SendLost(ctx)
		require.NoError(t, err)
		require.Zero(t, n, "its job may still come")
		f.skew.Store(int64(6 * time.Minute))
		instances := []*instance{s, f.service(f.over(relay))}
		var both sync.WaitGroup
		for _, i := range instances {
			both.Go(func() {
				_, err := i.SendLost(ctx)
				require.NoError(t, err)
			})
		}
		both.Wait()
		n, err = s.SendLost(ctx)
		require.NoError(t, err)
		require.Zero(t, n, "it has a job now")
		for _, i := range instances {
			f.start(i)
		}
		f.becomes(lost.ID, delivery.Sent)
		f.becomes(slow.ID, delivery.Sent)
		time.Sleep(200 * time.Millisecond)
		require.Len(t, relay.Messages(), 2)
	})
}
