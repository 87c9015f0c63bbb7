package delivery_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/mail"
	"github.com/latchkey-auth/latchkey/pkg/portal"
	"github.com/latchkey-auth/latchkey/pkg/queue"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

const publicURL = "https://id.example.com"

// fixture is an installation with one portal, where messages are queued and none is sent.
type fixture struct {
	t       *testing.T
	db      *database.DB
	portals *portal.Service
	digests *digest.Digester
	portal  *portal.Portal

	skew atomic.Int64 // how far the clock is ahead
}

func newFixture(t *testing.T, db *database.DB, change func(*portal.Settings)) *fixture {
	t.Helper()
	f := &fixture{t: t, db: db}
	ring, err := keyring.Parse(keyring.Generate())
	require.NoError(t, err)
	f.digests, err = digest.Open(context.Background(), db, ring)
	require.NoError(t, err)
	f.portals = portal.NewService(portal.Dependencies{Portals: portal.NewRepository(db), Audit: audit.NewRecorder(db, f.now), Now: f.now})
	settings := portal.Defaults()
	settings.Name = "Acme Ltd"
	if change != nil {
		change(&settings)
	}
	f.portal, err = f.portals.Create(context.Background(), "acme", settings)
	require.NoError(t, err)
	return f
}

func (f *fixture) now() time.Time { return time.Now().Add(time.Duration(f.skew.Load())) }

// service is another instance over the same database.
func (f *fixture) service(publicURL string) *delivery.Service {
	f.t.Helper()
	jobs, err := queue.New(f.db, slog.New(slog.DiscardHandler))
	require.NoError(f.t, err)
	s, err := delivery.NewService(delivery.Dependencies{
		DB: f.db, Queue: jobs, Outage: mail.NewOutage(), Digests: f.digests, PublicURL: publicURL, Now: f.now,
	})
	require.NoError(f.t, err)
	return s
}

// person is an account that is in no table: a queued message holds only its id.
func (f *fixture) person(address string) *account.Account {
	f.t.Helper()
	parsed, err := email.Parse(address)
	require.NoError(f.t, err)
	a, err := account.New(parsed, "en", f.now())
	require.NoError(f.t, err)
	return a
}

func (f *fixture) message(a *account.Account) delivery.Message {
	f.t.Helper()
	id, err := ids.New[ids.Delivery]()
	require.NoError(f.t, err)
	return delivery.Message{
		ID: id, Kind: delivery.ResetPassword, Account: a, Typed: a.Email.Typed(), Purpose: "password",
		EmailDigest: digest.Digest{1}, Generation: 1, Locale: "en", Network: "192.0.2.7",
	}
}

func (f *fixture) send(s *delivery.Service, m delivery.Message) delivery.Receipt {
	f.t.Helper()
	receipt, err := s.Send(context.Background(), f.portal, m)
	require.NoError(f.t, err)
	return receipt
}

func TestReceiptsStayInTheirPortal(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.Open(t, database.SQLite), nil)
	s := f.service(publicURL)
	m := f.message(f.person("anna@example.com"))
	f.send(s, m)
	other, err := f.portals.Create(context.Background(), "other", func() portal.Settings {
		settings := portal.Defaults()
		settings.Name = "Other"
		return settings
	}())
	require.NoError(t, err)
	_, err = s.Receipt(context.Background(), other, m.ID)
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
}

func TestReceiptWithoutAddress(t *testing.T) {
	t.Parallel()
	sender := "Post@Bücher.example"
	f := newFixture(t, databasetest.Open(t, database.SQLite), func(s *portal.Settings) { s.Sender.Address = &sender })
	s := f.service(publicURL)
	m := f.message(f.person("anna@example.com"))
	m.Typed = ""
	receipt := f.send(s, m)
	require.Nil(t, receipt.To)
	require.Equal(t, "Post@xn--bcher-kva.example", receipt.Sender)
}

func TestSenderOfAnAddressWithoutName(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.Open(t, database.SQLite), nil)
	for url, want := range map[string]string{
		"http://localhost:8080": "no-reply@localhost", "https://192.0.2.1": "no-reply@[192.0.2.1]",
		"http://[2001:db8::1]:80": "no-reply@[IPv6:2001:db8::1]",
	} {
		s := f.service(url)
		require.Equal(t, want, f.send(s, f.message(f.person(uuid.NewString()+"@example.com"))).Sender)
	}
	_, err := delivery.NewService(delivery.Dependencies{PublicURL: "id.example.com"})
	require.Error(t, err)
}

func TestDegradedWhenNothingIsTried(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		f := newFixture(t, db, nil)
		s := f.service(publicURL) // not started: the message waits
		require.False(t, f.service(publicURL).Degraded(context.Background()))
		f.send(s, f.message(f.person("anna@example.com")))
		require.False(t, f.service(publicURL).Degraded(context.Background()))
		f.skew.Store(int64(61 * time.Second))
		require.True(t, s.Degraded(context.Background()))
	})
}
