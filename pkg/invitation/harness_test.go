package invitation

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/accesstoken"
	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/challenge"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/mail"
	"github.com/latchkey-auth/latchkey/pkg/onetime"
	"github.com/latchkey-auth/latchkey/pkg/password"
	"github.com/latchkey-auth/latchkey/pkg/portal"
	"github.com/latchkey-auth/latchkey/pkg/queue"
	"github.com/latchkey-auth/latchkey/pkg/session"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

const (
	term   = 7 * 24 * time.Hour
	chosen = "a horse of another colour"
)

var operator = Inviter{Name: "operator"}

// stoppedClock stands still until it is set.
type stoppedClock struct{ millis atomic.Int64 }

func (c *stoppedClock) now() time.Time { return time.UnixMilli(c.millis.Load()).UTC() }

func (c *stoppedClock) pass(d time.Duration) { c.millis.Add(d.Milliseconds()) }

// desk is the part of an instance that invitations need, and a portal.
type desk struct {
	*Service
	t        testing.TB
	ctx      context.Context
	db       *database.DB
	time     *stoppedClock
	portals  *portal.Service
	people   *account.Service
	sessions *session.Service
	portal   *portal.Portal
}

func ringOf(t testing.TB, keys ...byte) *keyring.Ring {
	t.Helper()
	list := make([]string, 0, len(keys))
	for _, key := range keys {
		list = append(list, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{key}, keyring.KeySize)))
	}
	ring, err := keyring.Parse(strings.Join(list, ","))
	require.NoError(t, err)
	return ring
}

func newDesk(t testing.TB, db *database.DB) *desk {
	t.Helper()
	c := new(stoppedClock)
	c.millis.Store(time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC).UnixMilli())
	d := assemble(t, db, ringOf(t, 1), c)
	d.portal = d.addPortal("acme", portal.Open)
	return d
}

// assemble puts an instance together, without a portal.
func assemble(t testing.TB, db *database.DB, ring *keyring.Ring, c *stoppedClock) *desk {
	t.Helper()
	ctx := context.Background()
	digests, err := digest.Open(ctx, db, ring)
	require.NoError(t, err)
	d := &desk{t: t, ctx: ctx, db: db, time: c}
	recorder := audit.NewRecorder(db, c.now)
	d.portals = portal.NewService(portal.Dependencies{Portals: portal.NewRepository(db), Audit: recorder, Now: c.now})
	keys := accesstoken.NewKeys(accesstoken.KeyDependencies{DB: db, Ring: ring, Audit: recorder, Now: c.now})
	require.NoError(t, keys.Prepare(ctx))
	tokens := accesstoken.NewTokens(keys, "https://id.example.com", c.now)
	d.sessions = session.NewService(session.Dependencies{Sessions: session.NewRepository(db), Ring: ring, Tokens: tokens, Audit: recorder, Now: c.now})
	accounts, invitations := account.NewRepository(db), NewRepository(db)
	passwords := account.NewPasswords(password.NewPool(2, time.Minute, password.Cheapest), password.Policy{})
	d.people = account.NewService(account.Dependencies{DB: db, Accounts: accounts, Passwords: passwords, Audit: recorder, Digests: digests, Now: c.now})
	jobs, err := queue.New(db, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	messages, err := delivery.NewService(delivery.Dependencies{
		DB: db, Queue: jobs, Outage: mail.NewOutage(), Digests: digests, Ring: ring, PublicURL: "https://id.example.com", Now: c.now,
	})
	require.NoError(t, err)
	secrets := onetime.NewService(onetime.Dependencies{Secrets: onetime.NewRepository(db), Ring: ring, Now: c.now})
	d.Service = NewService(Dependencies{
		DB: db, Invitations: invitations, Accounts: accounts, Passwords: passwords, Sessions: d.sessions,
		Mail:     challenge.NewService(challenge.Dependencies{DB: db, Accounts: accounts, Secrets: secrets, Messages: messages, Audit: recorder, Digests: digests}),
		Messages: messages, Audit: recorder, Digests: digests, Ring: ring, Now: c.now,
	})
	return d
}

// each runs fn on each database.
func each(t *testing.T, fn func(t *testing.T, d *desk)) {
	t.Helper()
	databasetest.Each(t, func(t *testing.T, db *database.DB) { fn(t, newDesk(t, db)) })
}

// with is an instance over the same database with other secret keys.
func (d *desk) with(keys ...byte) *desk {
	d.t.Helper()
	other := assemble(d.t, d.db, ringOf(d.t, keys...), d.time)
	other.portal = d.portal
	return other
}

// in is the same instance at another portal.
func (d *desk) in(p *portal.Portal) *desk {
	other := *d
	other.portal = p
	return &other
}

func (d *desk) addPortal(slug string, enumeration portal.Enumeration) *portal.Portal {
	d.t.Helper()
	settings := portal.Defaults()
	settings.Name, settings.Enumeration = "Acme Ltd", enumeration
	p, err := d.portals.Create(d.ctx, slug, settings)
	require.NoError(d.t, err)
	return p
}

func addressOf(t testing.TB, typed string) email.Address {
	t.Helper()
	parsed, err := email.Parse(typed)
	require.NoError(t, err)
	return parsed
}

// wants is a request for an invitation that is not mailed.
func (d *desk) wants(address string) New {
	d.t.Helper()
	return New{
		Email: addressOf(d.t, address), Roles: []string{"member"}, Entitlements: []string{"case-1"},
		Metadata: json.RawMessage(`{"team": "north"}`), Locale: "de", Term: term,
	}
}

func (d *desk) invite(address string) *Invitation {
	d.t.Helper()
	i, err := d.Invite(d.ctx, d.portal, operator, d.wants(address))
	require.NoError(d.t, err)
	return i
}

// code is the code of a pending invitation.
func (d *desk) code(i *Invitation) string {
	d.t.Helper()
	code, err := d.Code(d.portal, i)
	require.NoError(d.t, err)
	require.NotEmpty(d.t, code)
	return code
}

// codeOf is the code of any serial.
func (d *desk) codeOf(of serial) string {
	d.t.Helper()
	code, err := d.codes.derive(d.portal.ID, of)
	require.NoError(d.t, err)
	return code
}

// again reads the invitation anew.
func (d *desk) again(i *Invitation) *Invitation {
	d.t.Helper()
	now, err := d.Get(d.ctx, d.portal, i.ID)
	require.NoError(d.t, err)
	return now
}

// resend resends an invitation after the administrators' cool-down.
func (d *desk) resend(i *Invitation) *Invitation {
	d.t.Helper()
	d.time.pass(time.Minute)
	renewed, _, err := d.Resend(d.ctx, d.portal, i.ID)
	require.NoError(d.t, err)
	return renewed
}

func (d *desk) verify(code string) error {
	_, err := d.Verify(d.ctx, d.portal, code)
	return err
}

func given(t testing.TB, code, address string) Acceptance {
	t.Helper()
	return Acceptance{Code: code, Email: addressOf(t, address), Password: chosen, Begin: session.Begin{Transport: "token"}}
}

func (d *desk) redeem(code, address string) error {
	d.t.Helper()
	_, err := d.Redeem(d.ctx, d.portal, given(d.t, code, address))
	return err
}

// create makes an account as an administrator does.
func (d *desk) create(address string) (*account.Account, error) {
	d.t.Helper()
	parsed, secret, yes := addressOf(d.t, address), chosen, true
	return d.people.Create(d.ctx, d.portal, account.Changes{Email: &parsed, Password: &secret, Confirmed: &yes})
}

func (d *desk) person(address string) *account.Account {
	d.t.Helper()
	a, err := d.create(address)
	require.NoError(d.t, err)
	return a
}

// register adds an unverified account, with a session.
func (d *desk) register(address string) *account.Account {
	d.t.Helper()
	a, err := account.New(addressOf(d.t, address), "en", d.clock.Now())
	require.NoError(d.t, err)
	a.UnverifiedSince = &a.CreatedAt
	replaced, err := d.accounts.ReplaceUnverified(d.ctx, d.portal.ID, a)
	require.NoError(d.t, err)
	require.True(d.t, replaced)
	_, err = d.sessions.Start(d.ctx, d.portal, a, session.Begin{Transport: "token"})
	require.NoError(d.t, err)
	return a
}

// remove deletes an account and its rows, as pkg/erasure does, which imports this package.
func (d *desk) remove(a *account.Account) error {
	return d.db.InTx(d.ctx, func(ctx context.Context) error {
		a, err := d.people.Get(ctx, d.portal, a.ID)
		if err != nil {
			return err
		}
		invited, err := d.Forget(ctx, d.portal, a)
		if err != nil {
			return err
		}
		if err := d.people.Erase(ctx, d.portal, a); err != nil {
			return err
		}
		return d.messages.Forget(ctx, d.portal, a.ID, invited)
	})
}

func (d *desk) exec(query string, args ...any) {
	d.t.Helper()
	require.NoError(d.t, d.db.From(d.ctx).Exec(query, args...).Error)
}

// count is the number that a query gives.
func (d *desk) count(query string, args ...any) (n int) {
	d.t.Helper()
	require.NoError(d.t, d.db.From(d.ctx).Raw(query, args...).Row().Scan(&n))
	return n
}

func (d *desk) audited(what audit.Type, outcome string) int {
	d.t.Helper()
	return d.count(`SELECT COUNT(*) FROM audit_events WHERE portal_id = ? AND type = ? AND outcome = ?`,
		d.portal.ID, what, outcome)
}

func requireCode(t testing.TB, want fault.Code, err error) {
	t.Helper()
	require.Equal(t, want, fault.CodeOf(err), "%v", err)
}

// blocking is the id of the pending invitation that a refusal names.
func blocking(t testing.TB, err error) ids.Invitation {
	t.Helper()
	requireCode(t, fault.InvitationPending, err)
	var f *fault.Error
	require.ErrorAs(t, err, &f)
	require.Contains(t, f.Members, "invitation_id")
	return f.Members["invitation_id"].(ids.Invitation)
}
