package delivery_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// unproved is a message of a kind that strangers can cause. It goes to nobody.
func (f *fixture) unproved(kind delivery.Kind, address string) delivery.Message {
	f.t.Helper()
	parsed, err := email.Parse(address)
	require.NoError(f.t, err)
	m := f.message(f.person(address))
	m.Kind, m.Account, m.Address = kind, nil, parsed
	return m
}

// at makes another portal.
func (f *fixture) at(slug string, change func(*portal.Settings)) *portal.Portal {
	f.t.Helper()
	settings := portal.Defaults()
	settings.Name = slug
	if change != nil {
		change(&settings)
	}
	p, err := f.portals.Create(context.Background(), slug, settings)
	require.NoError(f.t, err)
	return p
}

func private(s *portal.Settings) { s.Enumeration = portal.Private }

// statuses sends n messages to an address and counts the real statuses.
func (f *fixture) statuses(s *delivery.Service, p *portal.Portal, n int, m func() delivery.Message) map[delivery.Status]int {
	f.t.Helper()
	tally := make(map[delivery.Status]int)
	for range n {
		receipt, err := s.Send(context.Background(), p, m())
		require.NoError(f.t, err)
		if p.Private() {
			require.Equal(f.t, queued, receipt.Status)
			reports, err := s.Reports(context.Background(), p, []ids.Delivery{receipt.ID})
			require.NoError(f.t, err)
			receipt = reports[receipt.ID]
		}
		tally[receipt.Status]++
	}
	return tally
}

type tally = map[delivery.Status]int

const queued, suppressed = delivery.Queued, delivery.Suppressed

func TestOnePotForAllOpenPortals(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		f := newFixture(t, db, nil)
		s := f.service(publicURL)
		invited := func() delivery.Message { return f.unproved(delivery.Invited, "anna@example.com") }
		require.Equal(t, tally{queued: 20, suppressed: 2}, f.statuses(s, f.portal, 22, invited))

		// The first of a day at each portal goes, in any spelling of the address, and only that one.
		other := f.at("other", nil)
		spelt := func() delivery.Message { return f.unproved(delivery.Confirm, "  ANNA@Example.com") }
		require.Equal(t, tally{queued: 1, suppressed: 2}, f.statuses(s, other, 3, spelt))
		require.Equal(t, tally{suppressed: 1}, f.statuses(s, f.portal, 1, invited))
		third := f.at("third", nil)
		owned := func() delivery.Message { return f.unproved(delivery.AlreadyRegistered, "anna@example.com") }
		require.Equal(t, tally{queued: 1, suppressed: 1}, f.statuses(s, third, 2, owned))
		require.Equal(t, tally{suppressed: 1}, f.statuses(s, other, 1, owned))

		bert := func() delivery.Message { return f.unproved(delivery.Confirm, "bert@example.com") }
		require.Equal(t, tally{queued: 20, suppressed: 1}, f.statuses(s, f.portal, 21, bert))

		f.skew.Store(int64(24*time.Hour + time.Minute))
		require.Equal(t, tally{queued: 20, suppressed: 1}, f.statuses(s, other, 21, spelt))
		require.Equal(t, tally{queued: 1, suppressed: 1}, f.statuses(s, f.portal, 2, invited))
	})
}

// A private portal neither reads nor changes the pot of other portals.
func TestPrivatePortalsHavePotsOfTheirOwn(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		f := newFixture(t, db, nil)
		s := f.service(publicURL)
		secret, secluded := f.at("secret", private), f.at("secluded", private)
		m := func() delivery.Message { return f.unproved(delivery.Confirm, "anna@example.com") }
		require.Equal(t, tally{queued: 20, suppressed: 5}, f.statuses(s, secret, 25, m))
		require.Equal(t, tally{queued: 20, suppressed: 5}, f.statuses(s, secluded, 25, m))
		require.Equal(t, tally{queued: 20, suppressed: 5}, f.statuses(s, f.portal, 25, m))
	})
}

// Mail to the owner of a confirmed account and security notices are never suppressed, and leave the pot alone.
func TestNobodySilencesAConfirmedAccount(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		f := newFixture(t, db, nil)
		s := f.service(publicURL)
		owner := f.person("anna@example.com")
		now := f.now()
		owner.Confirmed = &now
		of := func(kind delivery.Kind) func() delivery.Message {
			return func() delivery.Message {
				m := f.message(owner)
				m.Kind, m.Address = kind, owner.Email
				return m
			}
		}
		for _, kind := range []delivery.Kind{delivery.ResetPassword, delivery.SetPassword, delivery.PasswordChanged} {
			require.Equal(t, tally{queued: 30}, f.statuses(s, f.portal, 30, of(kind)), kind)
		}
		stranger := func() delivery.Message { return f.unproved(delivery.Confirm, "anna@example.com") }
		require.Equal(t, tally{queued: 20, suppressed: 30}, f.statuses(s, f.portal, 50, stranger))
		for _, kind := range []delivery.Kind{delivery.ResetPassword, delivery.SetPassword, delivery.PasswordChanged} {
			require.Equal(t, tally{queued: 1}, f.statuses(s, f.portal, 1, of(kind)), kind)
		}
		require.Equal(t, tally{suppressed: 1}, f.statuses(s, f.portal, 1, of(delivery.AlreadyRegistered)))
	})
}

// A stranger could otherwise register an address at many portals and have resets sent from all of them.
func TestResetsOfUnverifiedRegistrationsCount(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.Open(t, database.SQLite), nil)
	s := f.service(publicURL)
	unverified := f.person("anna@example.com")
	now := f.now()
	unverified.UnverifiedSince = &now
	reset := func() delivery.Message {
		m := f.message(unverified)
		m.Address = unverified.Email
		return m
	}
	require.Equal(t, tally{queued: 20, suppressed: 1}, f.statuses(s, f.portal, 21, reset))
	require.Equal(t, tally{queued: 21}, f.statuses(s, f.at("secret", private), 21, reset))
}

// Two instances, many callers and several portals at once: the pot gives exactly its messages, and each portal one more.
func TestPotsAreExactUnderRaces(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		f := newFixture(t, db, nil)
		instances := []*delivery.Service{f.service(publicURL), f.service(publicURL)}
		require.Equal(t, tally{queued: 5}, f.statuses(instances[0], f.portal, 5,
			func() delivery.Message { return f.unproved(delivery.Confirm, "anna@example.com") }))
		portals := []*portal.Portal{f.portal, f.at("b", nil), f.at("c", nil)}
		messages := make([]delivery.Message, 90)
		for i := range messages {
			messages[i] = f.unproved(delivery.Confirm, "anna@example.com")
		}
		var mu sync.Mutex
		var all sync.WaitGroup
		got := make(tally)
		for i, m := range messages {
			all.Go(func() {
				receipt, err := instances[i%2].Send(context.Background(), portals[i%3], m)
				mu.Lock()
				defer mu.Unlock()
				require.NoError(t, err)
				got[receipt.Status]++
			})
		}
		all.Wait()
		// 15 are left. The first messages of b and c are sent even if the pot was empty when they came.
		require.GreaterOrEqual(t, got[queued], 15)
		require.LessOrEqual(t, got[queued], 17)
		require.Equal(t, 90, got[queued]+got[suppressed])
		for _, p := range portals[1:] {
			receipt, err := instances[0].Send(context.Background(), p, f.unproved(delivery.Confirm, "anna@example.com"))
			require.NoError(t, err)
			require.Equal(t, suppressed, receipt.Status, "the first went")
		}
		require.Equal(t, tally{queued: 20, suppressed: 20}, raced(f, instances, 40))
	})
}

// raced sends n messages to one fresh address at one portal at once.
func raced(f *fixture, instances []*delivery.Service, n int) tally {
	messages := make([]delivery.Message, n)
	for i := range messages {
		messages[i] = f.unproved(delivery.Invited, "bert@example.com")
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	got := make(tally)
	for i, m := range messages {
		all.Go(func() {
			receipt, err := instances[i%len(instances)].Send(context.Background(), f.portal, m)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				got[receipt.Status]++
			}
		})
	}
	all.Wait()
	return got
}

// Batches count each address, also one that occurs often, and concurrent batches do not deadlock.
func TestBatchesCountInPots(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		f := newFixture(t, db, nil)
		s := f.service(publicURL)
		var batch, reversed []delivery.Message
		for i := range 25 {
			batch = append(batch, f.unproved(delivery.Invited, "often@example.com"),
				f.unproved(delivery.Invited, fmt.Sprintf("person%d@example.com", i)))
			reversed = append([]delivery.Message{f.unproved(delivery.Invited, fmt.Sprintf("person%d@example.com", i))},
				reversed...)
		}
		var receipts []delivery.Receipt
		var errs [2]error
		var both sync.WaitGroup
		both.Go(func() { receipts, errs[0] = s.SendAll(context.Background(), f.portal, batch) })
		both.Go(func() { _, errs[1] = s.SendAll(context.Background(), f.portal, reversed) })
		both.Wait()
		require.NoError(t, errs[0])
		require.NoError(t, errs[1])
		got := make(tally)
		for i, receipt := range receipts {
			require.Equal(t, batch[i].ID, receipt.ID)
			got[receipt.Status]++
		}
		require.Equal(t, tally{queued: 45, suppressed: 5}, got)
		jobs := 0
		require.NoError(t, db.From(t.Context()).Raw(`SELECT COUNT(*) FROM river_job WHERE kind = 'delivery'`).
			Row().Scan(&jobs))
		require.Equal(t, 45+25, jobs, "nothing is queued for a suppressed message")
	})
}

// A pot forgets portals, and never more than it must.
func TestAPotRemembersManyPortals(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.Open(t, database.SQLite), nil)
	s := f.service(publicURL)
	m := func() delivery.Message { return f.unproved(delivery.Confirm, "anna@example.com") }
	portals := make([]*portal.Portal, 40)
	for i := range portals {
		portals[i] = f.at(fmt.Sprintf("p%d", i), nil)
		require.Equal(t, tally{queued: 1}, f.statuses(s, portals[i], 1, m))
	}
	for _, p := range portals {
		require.Equal(t, tally{suppressed: 1}, f.statuses(s, p, 1, m))
	}
}
