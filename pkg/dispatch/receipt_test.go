package dispatch_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/dispatch"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/mail/smtptest"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// At a private portal everybody's receipt goes by the clock, whatever became of the message.
func TestPrivateReceiptsAreAlike(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		f := newFixture(t, db, func(s *portal.Settings) { s.Enumeration = portal.Private })
		relay := smtptest.New(t, smtptest.Options{})
		relay.Judge(func(recipient string) error {
			if recipient == "bad@example.com" {
				return smtptest.ForGood
			}
			return nil
		})
		s := f.started(f.over(relay))
		good, bad, nobody := f.reset(f.person("good@example.com", "")), f.reset(f.person("bad@example.com", "")), f.reset(nil)
		for m, truth := range map[*delivery.Message]delivery.Status{
			&good: delivery.Sent, &bad: delivery.Failed, &nobody: delivery.Sent,
		} {
			m.Typed = "somebody@example.com"
			f.send(s, *m)
			f.becomes(m.ID, truth)
		}
		for ahead, want := range map[time.Duration]delivery.Status{0: delivery.Queued, 6 * time.Second: delivery.Sent} {
			f.skew.Store(int64(ahead))
			for _, m := range []delivery.Message{good, bad, nobody} {
				receipt, err := s.Receipt(context.Background(), f.portal, m.ID)
				require.NoError(t, err)
				require.Equal(t, want, receipt.Status)
				require.Equal(t, "s•••@example.com", *receipt.To)
			}
		}
		_, err := s.Receipt(context.Background(), f.portal, ids.Delivery{UUID: uuid.New()})
		require.Equal(t, fault.NotFound, fault.CodeOf(err))
	})
}

// One recipient's trouble is not ours, and would tell that the address has an account; many recipients' is.
func TestDegradedByManyRecipients(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.Open(t, database.SQLite), nil)
	relay := smtptest.New(t, smtptest.Options{})
	relay.Judge(func(string) error { return smtptest.ForNow })
	s := f.started(func(o *dispatch.Dependencies) {
		f.over(relay)(o)
		o.FirstRetry = time.Hour
	})
	one := f.reset(f.person("one@example.com", ""))
	f.send(s, one)
	f.becomes(one.ID, delivery.Delayed)
	f.skew.Store(int64(2 * time.Minute))
	require.False(t, s.Degraded(context.Background()))
	for _, name := range []string{"two", "three", "four", "five"} {
		m := f.reset(f.person(name+"@"+name+".example", ""))
		f.send(s, m)
		f.becomes(m.ID, delivery.Delayed)
	}
	require.Eventually(t, func() bool { return s.Degraded(context.Background()) }, patience, 100*time.Millisecond)
	relay.Judge(nil)
	relay.Wait(t, 5, patience) // though their pauses are an hour
	require.Eventually(t, func() bool { return !s.Degraded(context.Background()) }, patience, 100*time.Millisecond)
}

func TestSweep(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		f := newFixture(t, db, nil)
		s := f.started(nil)
		for range 5 {
			m := f.reset(f.person(uuid.NewString()+"@example.com", ""))
			m.Kind, m.Address = delivery.Confirm, m.Account.Email // of a kind that is counted
			f.send(s, m)
			f.becomes(m.ID, delivery.Sent)
		}
		f.skew.Store(int64(database.Kept))
		kept := f.reset(f.person("kept@example.com", ""))
		kept.Kind = delivery.AlreadyRegistered // the secrets of the others have expired
		kept.Address = kept.Account.Email
		f.send(s, kept)
		f.becomes(kept.ID, delivery.Sent)

		before := f.now().Add(-database.Kept + time.Second)
		for _, want := range []int{6, 4, 0} { // three messages and three recipients, then the rest
			gone, err := s.Sweep(ctx, before.Add(time.Minute), 3)
			require.NoError(t, err)
			require.Equal(t, want, gone)
		}
		require.Equal(t, delivery.Sent, f.row(kept.ID).Status)
	})
}
