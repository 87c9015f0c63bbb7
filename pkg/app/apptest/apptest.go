// Package apptest is the harness of tests that call the services themselves: the whole program without HTTP, on a database
// of the test's own, with a clock that the test moves. Its queue is not started, so no message is sent.
package apptest

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/app"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/clock"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/onetime"
	"github.com/latchkey-auth/latchkey/pkg/password"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// Two good passwords.
const (
	GoodPassword  = "correct horse battery staple"
	OtherPassword = "a bicycle for two in the rain"
)

// Clock moves only when a test moves it.
type Clock struct {
	mu sync.Mutex
	at time.Time
}

// NewClock starts on the current time in whole milliseconds, as the tables keep times.
func NewClock() *Clock { return &Clock{at: clock.Clock(time.Now).Now()} }

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// App is the program under test, with one portal.
type App struct {
	*app.App

	Clock    *Clock
	Portal   *portal.Portal
	Accounts *account.Repository
	People   *account.Service
	ring     *keyring.Ring
}

// New makes an app with an open portal, "acme". A change alters the portal's settings first.
func New(t testing.TB, db *database.DB, change ...func(*portal.Settings)) *App {
	t.Helper()
	ring, err := keyring.Parse(keyring.Generate())
	require.NoError(t, err)
	a := newInstance(t, db, ring, NewClock())
	a.Portal = a.NewPortal(t, "acme", change...)
	return a
}

// Instance is another instance of the program over a database, such as a second connection pool to the same one.
func (a *App) Instance(t testing.TB, db *database.DB) *App {
	t.Helper()
	other := newInstance(t, db, a.ring, a.Clock)
	other.Portal = a.Portal
	return other
}

func newInstance(t testing.TB, db *database.DB, ring *keyring.Ring, clock *Clock) *App {
	t.Helper()
	made, err := app.New(context.Background(), app.Options{
		DB: db, Ring: ring, Passwords: password.NewPool(2, time.Minute, password.Cheapest),
		PublicURL: "https://id.example.com", Log: slog.New(slog.DiscardHandler), Now: clock.Now,
	})
	require.NoError(t, err)
	return &App{App: made, Clock: clock, Accounts: account.NewRepository(db), People: made.Accounts, ring: ring}
}

// NewPortal makes a portal.
func (a *App) NewPortal(t testing.TB, slug string, change ...func(*portal.Settings)) *portal.Portal {
	t.Helper()
	settings := portal.Defaults()
	settings.Name = "Acme Ltd"
	for _, alter := range change {
		alter(&settings)
	}
	p, err := a.Portals.Create(context.Background(), slug, settings)
	require.NoError(t, err)
	return p
}

// Private makes a portal private.
func Private(s *portal.Settings) { s.Enumeration = portal.Private }

// Address parses an address.
func Address(t testing.TB, typed string) email.Address {
	t.Helper()
	address, err := email.Parse(typed)
	require.NoError(t, err)
	return address
}

// Person makes a confirmed account with GoodPassword, as an administrator does. A change alters it first.
func (a *App) Person(t testing.TB, typed string, change ...func(*account.Changes)) *account.Account {
	t.Helper()
	address, secret, yes := Address(t, typed), GoodPassword, true
	c := account.Changes{Email: &address, Password: &secret, Confirmed: &yes}
	for _, alter := range change {
		alter(&c)
	}
	made, err := a.People.Create(context.Background(), a.Portal, c)
	require.NoError(t, err)
	return made
}

// Stored reads the account of an address; nil for none.
func (a *App) Stored(t testing.TB, typed string) *account.Account {
	t.Helper()
	stored, err := a.Accounts.ByEmail(context.Background(), a.Portal.ID, Address(t, typed))
	if err != nil {
		require.ErrorIs(t, err, database.ErrNotFound)
		return nil
	}
	return stored
}

// Secret is the newest secret that was issued to an address, which must still be good.
func (a *App) Secret(t testing.TB, purpose onetime.Purpose, typed string) onetime.Secret {
	t.Helper()
	ctx, of := context.Background(), a.Digests.OfEmail(a.Portal.ID, Address(t, typed))
	issued, good, err := a.Secrets.Outstanding(ctx, a.Portal.ID, purpose, of)
	require.NoError(t, err)
	require.True(t, good, "no secret of %s is good", typed)
	secret, err := a.Secrets.Secret(ctx, a.Portal.ID, purpose, of, issued.Generation)
	require.NoError(t, err)
	return secret
}

// Messages are the kinds of the messages that were queued for a person, oldest first. The zero id counts those that are
// queued for nobody.
func (a *App) Messages(t testing.TB, of ids.Account) (kinds []delivery.Kind) {
	t.Helper()
	rows := a.DB.From(context.Background()).Table("deliveries").Where("portal_id = ?", a.Portal.ID)
	if of.IsZero() {
		rows = rows.Where("account_id IS NULL")
	} else {
		rows = rows.Where("account_id = ?", of)
	}
	require.NoError(t, rows.Order("id").Pluck("kind", &kinds).Error)
	return kinds
}

// Events counts the audit events of a type with an outcome, a code or "success".
func (a *App) Events(t testing.TB, what audit.Type, outcome string) (n int64) {
	t.Helper()
	rows := a.DB.From(context.Background()).Table("audit_events").Where("portal_id = ? AND type = ?", a.Portal.ID, what)
	if outcome == "success" {
		rows = rows.Where("outcome = ?", outcome)
	} else {
		rows = rows.Where("code = ?", outcome)
	}
	require.NoError(t, rows.Count(&n).Error)
	return n
}

// RequireCode wants an error with a code; "" for none.
func RequireCode(t testing.TB, want fault.Code, err error) {
	t.Helper()
	require.Equal(t, want, fault.CodeOf(err), "%v", err)
}
