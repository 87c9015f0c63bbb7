package dispatch_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/dispatch"
	"github.com/latchkey-auth/latchkey/pkg/mail/smtptest"
	"github.com/latchkey-auth/latchkey/pkg/onetime"
)

func TestRefusedForNowIsDelayedThenSent(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		f := newFixture(t, db, nil)
		relay := smtptest.New(t, smtptest.Options{})
		var refusals atomic.Int32
		relay.Judge(func(string) error {
			if refusals.Add(1) <= 2 {
				return smtptest.ForNow
			}
			return nil
		})
		s := f.started(func(o *dispatch.Dependencies) {
			f.over(relay)(o)
			o.FirstRetry = 400 * time.Millisecond
		})
		m := f.reset(f.person("anna@example.com", ""))
		f.send(s, m)
		r := f.becomes(m.ID, delivery.Delayed)
		require.Equal(t, 1, r.Attempts)
		require.Equal(t, "451 4.7.1 try again later", r.ProviderAnswer)
		require.NotNil(t, r.NextAttemptAt)
		r = f.becomes(m.ID, delivery.Sent)
		require.Equal(t, 3, r.Attempts)
		require.Len(t, relay.Messages(), 1)
	})
}

// The first retry comes within 30 s. River looks for due jobs every 5 s.
func TestFirstRetryIsSoon(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.Open(t, database.SQLite), nil)
	relay := smtptest.New(t, smtptest.Options{})
	relay.Judge(func(string) error { return smtptest.ForNow })
	s := f.started(func(o *dispatch.Dependencies) {
		f.over(relay)(o)
		o.FirstRetry, o.ProbeEvery = 0, 0 // as in production
	})
	m := f.reset(f.person("anna@example.com", ""))
	f.send(s, m)
	r := f.becomes(m.ID, delivery.Delayed)
	require.LessOrEqual(t, time.Until(time.UnixMilli(*r.NextAttemptAt)), 25*time.Second)
}

func TestRefusedForGoodFailsAtOnce(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		f := newFixture(t, db, nil)
		relay := smtptest.New(t, smtptest.Options{})
		relay.Judge(func(recipient string) error {
			if strings.HasPrefix(recipient, "bad") {
				return smtptest.ForGood
			}
			return nil
		})
		s := f.started(f.over(relay))
		bad, good := f.reset(f.person("bad@example.com", "")), f.reset(f.person("good@example.com", ""))
		f.send(s, bad)
		f.send(s, good)
		r := f.becomes(bad.ID, delivery.Failed)
		require.Equal(t, "550 5.1.1 no such user here", r.ProviderAnswer)
		require.Equal(t, 1, r.Attempts)
		require.Nil(t, r.SentAt)
		f.becomes(good.ID, delivery.Sent)
		require.False(t, s.Degraded(context.Background()))
	})
}

func TestDeadSecretsAreNotSent(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		f := newFixture(t, db, nil)
		relay := smtptest.New(t, smtptest.Options{})
		s := f.service(f.over(relay))

		dead := map[string]delivery.Message{}
		for answer, kill := range map[string]func(delivery.Message){
			"superseded before it was sent":               f.supersede,
			"used before it was sent":                     f.redeem,
			"expired before it was sent":                  f.expire,
			"the account was disabled before it was sent": f.disable,
		} {
			m := f.reset(f.person(fmt.Sprintf("person%d@example.com", len(dead)), ""))
			f.send(s, m)
			kill(m)
			dead[answer] = m
		}
		current := f.reset(f.person("bert@example.com", ""))
		f.send(s, current)
		f.start(s)
		for answer, m := range dead {
			require.Equal(t, answer, f.becomes(m.ID, delivery.Failed).ProviderAnswer)
		}
		f.becomes(current.ID, delivery.Sent)

		expired := f.reset(f.person("carl@example.com", ""), 0)
		f.send(s, expired)
		require.Equal(t, "expired before it was sent", f.becomes(expired.ID, delivery.Failed).ProviderAnswer)
		require.Len(t, relay.Messages(), 1)

		changed := f.reset(f.person("dora@example.com", ""))
		changed.Kind, changed.Purpose = delivery.PasswordChanged, ""
		f.send(s, changed)
		f.becomes(changed.ID, delivery.Sent) // it carries no secret
	})
}

// supersede issues a newer secret than a message's.
func (f *fixture) supersede(m delivery.Message) {
	f.t.Helper()
	afterTheCoolDown := func() time.Time { return f.now().Add(time.Minute) }
	f.issue(onetime.NewService(onetime.Dependencies{Secrets: onetime.NewRepository(f.db), Ring: f.ring, Now: afterTheCoolDown}), m, time.Hour)
}

// redeem uses a message's secret.
func (f *fixture) redeem(m delivery.Message) {
	f.t.Helper()
	ctx, purpose := context.Background(), onetime.Purpose(m.Purpose)
	found, err := f.secrets.Check(ctx, f.portal.ID, purpose, onetime.Credential{Token: f.secret(m).Token})
	require.NoError(f.t, err)
	require.NoError(f.t, f.secrets.Consume(ctx, f.portal.ID, purpose, found))
}

// expire ends the term of a message's secret.
func (f *fixture) expire(m delivery.Message) {
	f.t.Helper()
	f.change(`UPDATE onetime_secrets SET expires_at = ? WHERE portal_id = ? AND subject = ?`, f.now().UnixMilli(), f.portal.ID, m.EmailDigest)
}

// disable disables a message's account.
func (f *fixture) disable(m delivery.Message) {
	f.t.Helper()
	f.change(`UPDATE accounts SET disabled_at = 1 WHERE portal_id = ? AND id = ?`, f.portal.ID, m.Account.ID)
}

// change changes one row behind the program's back.
func (f *fixture) change(query string, args ...any) {
	f.t.Helper()
	changed := f.db.From(context.Background()).Exec(query, args...)
	require.NoError(f.t, changed.Error)
	require.EqualValues(f.t, 1, changed.RowsAffected, query)
}

func TestGivenUpAfterADay(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.Open(t, database.SQLite), nil)
	relay := smtptest.New(t, smtptest.Options{})
	relay.Judge(func(string) error { return smtptest.ForNow })
	s := f.started(f.over(relay))
	m := f.reset(f.person("anna@example.com", ""))
	f.send(s, m)
	f.becomes(m.ID, delivery.Delayed)
	f.skew.Store(int64(24 * time.Hour))
	r := f.becomes(m.ID, delivery.Failed)
	require.Contains(t, r.ProviderAnswer, "given up after 24 hours")
	require.Contains(t, r.ProviderAnswer, "try again later")
}

func TestDeletedPeopleGetNothing(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		f := newFixture(t, db, nil)
		relay := smtptest.New(t, smtptest.Options{})
		s := f.service(f.over(relay))
		gone, forgotten := f.reset(f.person("gone@example.com", "")), f.reset(f.person("forgotten@example.com", ""))
		f.send(s, gone)
		f.send(s, forgotten)
		require.NoError(t, s.Forget(ctx, f.portal, forgotten.Account.ID, nil))
		require.NoError(t, db.From(ctx).Exec("DELETE FROM accounts WHERE portal_id = ?", f.portal.ID).Error)
		f.start(s)
		f.becomes(gone.ID, delivery.Failed)
		f.becomes(forgotten.ID, delivery.Sent)
		require.Empty(t, relay.Messages())
		require.NotContains(t, f.dump("deliveries"), forgotten.Account.ID.String())
	})
}

// A relay that stops talking in the middle of one mail holds up that one alone.
func TestOneThatHangsHoldsUpNobody(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.Open(t, database.SQLite), nil)
	relay := smtptest.New(t, smtptest.Options{})
	relay.HangOn(func(recipient string) bool { return strings.HasPrefix(recipient, "slow") })
	s := f.started(func(o *dispatch.Dependencies) {
		f.over(relay)(o)
		o.SendTimeout = 6 * time.Second
	})
	slow := f.reset(f.person("slow@example.com", ""))
	f.send(s, slow)
	for i := range 20 {
		f.send(s, f.reset(f.person(fmt.Sprintf("quick%d@example.com", i), "")))
	}
	relay.Wait(t, 20, patience)
	require.Equal(t, delivery.Queued, f.row(slow.ID).Status) // it still hangs
	require.Equal(t, "the relay did not answer in time", f.becomes(slow.ID, delivery.Delayed).ProviderAnswer)
	require.False(t, s.Degraded(context.Background()))
}
