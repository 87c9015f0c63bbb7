package dispatch_test

import (
	"bytes"
	"context"
	"errors"
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
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/dispatch"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/mail"
	"github.com/latchkey-auth/latchkey/pkg/mail/smtptest"
	"github.com/latchkey-auth/latchkey/pkg/onetime"
	"github.com/latchkey-auth/latchkey/pkg/portal"
	"github.com/latchkey-auth/latchkey/pkg/queue"
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
	digests  *digest.Digester
	portal   *portal.Portal
	secrets  *onetime.Service
	log      *syncBuffer

	skew atomic.Int64 // how far the clock is ahead
}

func newFixture(t *testing.T, db *database.DB, change func(*portal.Settings)) *fixture {
	t.Helper()
	f := &fixture{t: t, db: db, log: new(syncBuffer), accounts: account.NewRepository(db)}
	var err error
	f.ring, err = keyring.Parse(keyring.Generate())
	require.NoError(t, err)
	f.digests, err = digest.Open(context.Background(), db, f.ring)
	require.NoError(t, err)
	f.secrets = onetime.NewService(onetime.Dependencies{Secrets: onetime.NewRepository(db), Ring: f.ring, Now: f.now})
	f.portals = portal.NewService(portal.Dependencies{Portals: portal.NewRepository(db), Audit: audit.NewRecorder(db, f.now), Now: f.now})
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

// instance is a program that queues messages, and sends them while it is started.
type instance struct {
	*delivery.Service

	sending *dispatch.Service
	jobs    *queue.Queue
}

func (i *instance) Configured() bool { return i.sending.Configured() }

func (i *instance) Start(ctx context.Context) error { return i.jobs.Start(ctx) }

func (i *instance) Stop(ctx context.Context) error {
	return errors.Join(i.jobs.Stop(ctx), i.sending.Close())
}

// service makes another instance over the same database; change sets what differs.
func (f *fixture) service(change func(*dispatch.Dependencies)) *instance {
	f.t.Helper()
	log := slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	jobs, err := queue.New(f.db, log)
	require.NoError(f.t, err)
	outage := mail.NewOutage()
	messages, err := delivery.NewService(delivery.Dependencies{
		DB: f.db, Queue: jobs, Outage: outage, Digests: f.digests, Ring: f.ring, PublicURL: "https://id.example.com:8443/x", Now: f.now,
	})
	require.NoError(f.t, err)
	parts := dispatch.Dependencies{
		Queue: jobs, Messages: messages, Portals: f.portals, Accounts: f.accounts, Secrets: f.secrets, Outage: outage,
		Log: log, Now: f.now, FirstRetry: 100 * time.Millisecond, ProbeEvery: 100 * time.Millisecond,
	}
	if change != nil {
		change(&parts)
	}
	return &instance{messages, dispatch.NewService(parts), jobs}
}

// started is service, sending until the test ends.
func (f *fixture) started(change func(*dispatch.Dependencies)) *instance {
	f.t.Helper()
	s := f.service(change)
	f.start(s)
	return s
}

func (f *fixture) start(s *instance) {
	f.t.Helper()
	require.NoError(f.t, s.Start(context.Background()))
	f.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(f.t, s.Stop(ctx))
	})
}

// over makes a service send through a relay.
func (f *fixture) over(relay *smtptest.Server) func(*dispatch.Dependencies) {
	f.t.Helper()
	sender, err := mail.NewSMTP(relay.URL(), "id.example.com")
	require.NoError(f.t, err)
	return func(o *dispatch.Dependencies) { o.Sender = sender }
}

// person adds an account. Its given name is nil where name is "".
func (f *fixture) person(address, name string) *account.Account {
	f.t.Helper()
	parsed, err := email.Parse(address)
	require.NoError(f.t, err)
	id, err := ids.New[ids.Account]()
	require.NoError(f.t, err)
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

// reset is a message that carries a secret, which is good for two days unless ttl says otherwise.
func (f *fixture) reset(a *account.Account, ttl ...time.Duration) delivery.Message {
	f.t.Helper()
	id, err := ids.New[ids.Delivery]()
	require.NoError(f.t, err)
	m := delivery.Message{
		ID: id, Kind: delivery.ResetPassword, Account: a, Purpose: string(onetime.Password),
		EmailDigest: digest.Digest(keyring.Random(digest.Size)), Locale: "en", Network: "192.0.2.7",
	}
	if a != nil {
		m.Typed = a.Email.Typed()
	}
	m.Generation = f.issue(f.secrets, m, append(ttl, 48*time.Hour)[0])
	return m
}

// issue issues the secret of a message, which supersedes the one before it.
func (f *fixture) issue(secrets *onetime.Service, m delivery.Message, ttl time.Duration) (generation int64) {
	f.t.Helper()
	wanted := onetime.IssueRequest{
		Purpose: onetime.Purpose(m.Purpose), EmailDigest: m.EmailDigest, Variant: "reset", TTL: ttl, DeliveryID: m.ID,
	}
	if m.Account != nil {
		wanted.Account = &onetime.Account{ID: m.Account.ID, SecurityStamp: m.Account.SecurityStamp}
	}
	issued, err := secrets.Issue(context.Background(), f.portal.ID, wanted)
	require.NoError(f.t, err)
	return issued.Generation
}

// secret is what a message carries.
func (f *fixture) secret(m delivery.Message) onetime.Secret {
	f.t.Helper()
	secret, err := f.secrets.Secret(context.Background(), f.portal.ID, onetime.Purpose(m.Purpose), m.EmailDigest, m.Generation)
	require.NoError(f.t, err)
	return secret
}

func (f *fixture) send(s *instance, m delivery.Message) delivery.Receipt {
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

func (f *fixture) row(id ids.Delivery) (r row) {
	f.t.Helper()
	require.NoError(f.t, f.db.From(context.Background()).Raw(`SELECT status, attempts, provider_answer, sent_at, next_attempt_at
		FROM deliveries WHERE portal_id = ? AND id = ?`, f.portal.ID, id).Row().
		Scan(&r.Status, &r.Attempts, &r.ProviderAnswer, &r.SentAt, &r.NextAttemptAt))
	return r
}

// becomes waits for a status.
func (f *fixture) becomes(id ids.Delivery, want delivery.Status) row {
	f.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		r := f.row(id)
		if r.Status == want {
			return r
		}
		require.True(f.t, time.Now().Before(deadline), "still %s, want %s: %+v\n%s", r.Status, want, r, f.log)
	}
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
