package dispatch_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/dispatch"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/mail/smtptest"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// A relay that hangs after its greeting makes receipts say delayed, and is found well again within moments.
func TestARelayThatHangs(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		f := newFixture(t, db, func(s *portal.Settings) { s.Enumeration = portal.Private })
		relay := smtptest.New(t, smtptest.Options{})
		relay.Hang(true)
		s := f.started(func(o *dispatch.Dependencies) {
			f.over(relay)(o)
			o.SendTimeout, o.FirstRetry = time.Second, time.Hour
		})
		var queued []ids.Delivery
		for i := range 30 {
			m := f.reset(f.person(fmt.Sprintf("person%d@example.com", i), ""))
			f.send(s, m)
			queued = append(queued, m.ID)
		}
		for _, id := range queued {
			f.becomes(id, delivery.Delayed)
		}
		require.True(t, s.Degraded(context.Background()))
		f.skew.Store(int64(6 * time.Second))
		receipt, err := s.Receipt(context.Background(), f.portal, queued[0])
		require.NoError(t, err)
		require.Equal(t, delivery.Delayed, receipt.Status)
		relay.Hang(false)
		relay.Wait(t, 30, patience)
	})
}

// Hundreds of messages wait out an outage; two instances then send each of them once, long pauses or not.
func TestAnOutageEnds(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		const messages = 200
		f := newFixture(t, db, nil)
		relay := smtptest.New(t, smtptest.Options{})
		relay.Down(t)
		patient := func(o *dispatch.Dependencies) {
			f.over(relay)(o)
			o.FirstRetry = time.Hour
		}
		s := f.started(patient)
		f.started(patient)
		var queued []ids.Delivery
		for i := range messages {
			m := f.reset(f.person(fmt.Sprintf("person%d@example.com", i), ""))
			f.send(s, m)
			queued = append(queued, m.ID)
		}
		for _, id := range queued {
			f.becomes(id, delivery.Delayed)
		}
		require.True(t, s.Degraded(context.Background()))
		require.Contains(t, f.row(queued[0]).ProviderAnswer, "the relay cannot be reached")

		relay.Up(t)
		got := relay.Wait(t, messages, patience)
		for _, id := range queued {
			f.becomes(id, delivery.Sent)
		}
		recipients := make(map[string]int)
		for _, m := range got {
			recipients[m.To[0]]++
		}
		require.Len(t, recipients, messages)
		require.Len(t, relay.Messages(), messages)
		require.Less(t, relay.Connections(), 60) // they are used for many mails each
	})
}

// What waits long when a process starts is tried as soon as the relay is known to be well.
func TestAnOutageThatEndedBeforeTheStart(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.Open(t, database.SQLite), nil)
	relay := smtptest.New(t, smtptest.Options{})
	relay.Down(t)
	patient := func(o *dispatch.Dependencies) {
		f.over(relay)(o)
		o.FirstRetry, o.ProbeEvery = time.Hour, time.Hour
	}
	first := f.service(patient)
	require.NoError(t, first.Start(context.Background()))
	m := f.reset(f.person("anna@example.com", ""))
	f.send(first, m)
	f.becomes(m.ID, delivery.Delayed)
	require.NoError(t, first.Stop(context.Background()))

	relay.Up(t)
	f.started(func(o *dispatch.Dependencies) {
		patient(o)
		o.ProbeEvery = 100 * time.Millisecond
	})
	f.becomes(m.ID, delivery.Sent)
}

// A stop waits for what is being sent, and breaks off what hangs; nothing is lost.
func TestStopBreaksOffWhatHangs(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		f := newFixture(t, db, nil)
		relay := smtptest.New(t, smtptest.Options{})
		relay.HangOn(func(string) bool { return true })
		s := f.service(f.over(relay))
		require.NoError(t, s.Start(context.Background()))
		m := f.reset(f.person("anna@example.com", ""))
		f.send(s, m)
		require.Eventually(t, func() bool { return f.row(m.ID).Attempts == 1 }, patience, 10*time.Millisecond)
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		require.NoError(t, s.Stop(ctx))
		require.Equal(t, delivery.Delayed, f.row(m.ID).Status)

		relay.HangOn(nil)
		f.started(f.over(relay))
		f.becomes(m.ID, delivery.Sent)
		require.Len(t, relay.Messages(), 1)
	})
}
