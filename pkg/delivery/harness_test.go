package delivery_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
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
	"github.com/latchkey-auth/latchkey/pkg/delivery/smtptest"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/installation"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

// patience bounds what a test waits for.
const patience = 20 * time.Second

// fixture is an installation with one portal.
type fixture struct {
	t        *testing.T
	db       *database.DB
	ring     *keyring.Ring
	portals  *portal.Service
	accounts *account.Repository
	digests  *installation.Digests
	portal   *portal.Portal
	secrets  *secrets
	log      *syncBuffer

	skew atomic.Int64 // how far the clock is ahead
}

func newFixture(t *testing.T, db *database.DB, change func(*portal.Settings)) *fixture {
	t.Helper()
	f := &fixture{t: t, db: db, log: new(syncBuffer), secrets: new(secrets), accounts: account.NewRepository(db)}
	var err error
	f.ring, err = keyring.Parse(keyring.Generate())
	require.NoError(t, err)
	f.digests, err = installation.Open(context.Background(), db, f.ring)
	require.NoError(t, err)
	f.portals = portal.NewService(portal.NewRepository(db), audit.NewRecorder(db, f.now), f.now)
	settings := portal.Defaults()
	settings.Name = "Acme Ltd"
	confirm, reset := "https://login.acme.example/confirm?t={token}", "https://login.acme.example/reset#{token}"
	settings.Links.Confirm, settings.Links.Reset = &confirm, &reset
	if change != nil {
		change(&settings)
	}
	f.portal, err = f.portals.Create(context.Background(), "acme", settings)
	require.NoError(t, err)
	return f
}

func (f *fixture) now() time.Time { return time.Now().Add(time.Duration(f.skew.Load())) }

// service makes another instance over the same database; change sets what differs.
func (f *fixture) service(change func(*delivery.Options)) *delivery.Service {
	f.t.Helper()
	options := delivery.Options{
		DB: f.db, Portals: f.portals, Accounts: f.accounts, Digests: f.digests, PublicURL: "https://id.example.com:8443/x",
		Secret: f.secrets.derive, Log: slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now: f.now, FirstRetry: 100 * time.Millisecond, ProbeEvery: 100 * time.Millisecond,
	}
	if change != nil {
		change(&options)
	}
	s, err := delivery.NewService(options)
	require.NoError(f.t, err)
	return s
}

// started is service, sending until the test ends.
func (f *fixture) started(change func(*delivery.Options)) *delivery.Service {
	f.t.Helper()
	s := f.service(change)
	f.start(s)
	return s
}

func (f *fixture) start(s *delivery.Service) {
	f.t.Helper()
	require.NoError(f.t, s.Start(context.Background()))
	f.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(f.t, s.Stop(ctx))
	})
}

// over makes a service send through a relay.
func (f *fixture) over(relay *smtptest.Server) func(*delivery.Options) {
	f.t.Helper()
	sender, err := delivery.NewSMTP(relay.URL(), "id.example.com")
	require.NoError(f.t, err)
	return func(o *delivery.Options) { o.Sender = sender }
}

// person adds an account. Its given name is nil where name is "".
func (f *fixture) person(address, name string) *account.Account {
	f.t.Helper()
	parsed, err := email.Parse(address)
	require.NoError(f.t, err)
	id := uuid.Must(uuid.NewV7())
	var given *string
	if name != "" {
		given = &name
	}
	require.NoError(f.t, f.db.From(context.Background()).Exec(`INSERT INTO accounts (portal_id, id, email, email_canonical,
		given_name, locale, roles, entitlements, metadata, security_stamp, opted_out, search, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, 'en', '[]', '[]', '{}', ?, ?, '', 0, 0)`,
		f.portal.ID, id, parsed.Typed(), parsed.Canonical(), given, uuid.New(), false).Error)
	a, err := f.accounts.ByID(context.Background(), f.portal.ID, id)
	require.NoError(f.t, err)
	return a
}

// reset is a message that carries a secret.
func (f *fixture) reset(a *account.Account) delivery.Message {
	m := delivery.Message{
		ID: uuid.Must(uuid.NewV7()), Kind: delivery.ResetPassword, Account: a, Purpose: "password", Subject: []byte("subject"),
		Generation: f.secrets.issue(), Locale: "en", Network: "192.0.2.7",
	}
	if a != nil {
		m.Typed = a.Email.Typed()
	}
	return m
}

func (f *fixture) send(s *delivery.Service, m delivery.Message) delivery.Receipt {
	f.t.Helper()
	var receipt delivery.Receipt
	err := f.db.InTx(context.Background(), func(ctx context.Context) (err error) {
		receipt, err = s.Send(ctx, f.portal, m)
		return err
	})
	require.NoError(f.t, err)
	return receipt
}

// row is what administrators see of a message.
type row struct {
	Status         delivery.Status
	Attempts       int
	ProviderAnswer string
	SentAt         *int64
	NextAttemptAt  *int64
}

func (f *fixture) row(id uuid.UUID) (r row) {
	f.t.Helper()
	require.NoError(f.t, f.db.From(context.Background()).Raw(`SELECT status, attempts, provider_answer, sent_at, next_attempt_at
		FROM deliveries WHERE portal_id = ? AND id = ?`, f.portal.ID, id).Row().
		Scan(&r.Status, &r.Attempts, &r.ProviderAnswer, &r.SentAt, &r.NextAttemptAt))
	return r
}

// becomes waits for a status.
func (f *fixture) becomes(id uuid.UUID, want delivery.Status) row {
	f.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		r := f.row(id)
		if r.Status == want {
			return r
		}
		require.True(f.t, time.Now().Before(deadline), "still %s, want %s: %+v\n%s", r.Status, want, r, f.log)
	}
}

// secrets derives as pkg/onetime does: the token and code of a generation, while it is the current one.
type secrets struct {
	mu      sync.Mutex
	last    int64
	dead    map[int64]error // nil: not current
	expires time.Time
}

func token(generation int64) string { return fmt.Sprintf("tokenOf_%d-Generation", generation) }

func code(generation int64) string { return fmt.Sprintf("%06d", 424200+generation) }

func (s *secrets) issue() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	return s.last
}

func (s *secrets) kill(generation int64, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead == nil {
		s.dead = make(map[int64]error)
	}
	s.dead[generation] = why
}

func (s *secrets) derive(_ context.Context, _ uuid.UUID, _ string, _ []byte, generation int64) (delivery.Secret, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	expires := s.expires
	if expires.IsZero() {
		expires = time.Now().Add(48 * time.Hour)
	}
	why, dead := s.dead[generation]
	return delivery.Secret{Token: token(generation), Code: code(generation), ExpiresAt: expires}, !dead, why
}

// syncBuffer is a log that many write.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
