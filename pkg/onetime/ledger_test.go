package onetime

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

// ledger is a Service on a database with one portal, at a time that the test sets. Keys, ids and times are always the
// same, so a code that is wrong today is wrong tomorrow.
type ledger struct {
	*Service
	t        testing.TB
	db       *database.DB
	ctx      context.Context
	portal   ids.Portal
	clock    *stoppedClock
	subjects *uint16 // how many addresses there are
}

// stoppedClock stands still until it is set.
type stoppedClock struct{ millis atomic.Int64 }

func (c *stoppedClock) now() time.Time { return time.UnixMilli(c.millis.Load()) }

func (c *stoppedClock) pass(d time.Duration) { c.millis.Add(d.Milliseconds()) }

func ringOf(t testing.TB, keys ...byte) *keyring.Ring {
	t.Helper()
	list := ""
	for i, key := range keys {
		if i > 0 {
			list += ","
		}
		list += base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{key}, keyring.KeySize))
	}
	ring, err := keyring.Parse(list)
	require.NoError(t, err)
	return ring
}

func newLedger(t testing.TB, db *database.DB) *ledger {
	t.Helper()
	c := new(stoppedClock)
	c.millis.Store(time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC).UnixMilli())
	l := &ledger{
		Service: NewService(Dependencies{Secrets: NewRepository(db), Ring: ringOf(t, 1), Now: c.now}), t: t, db: db, ctx: context.Background(), clock: c,
		subjects: new(uint16),
	}
	l.portal = l.addPortal(1)
	return l
}

// each runs fn on a ledger on each database.
func each(t *testing.T, fn func(t *testing.T, l *ledger)) {
	t.Helper()
	databasetest.Each(t, func(t *testing.T, db *database.DB) { fn(t, newLedger(t, db)) })
}

// eachTwice runs fn on two ledgers over two pools of one database, as two instances of the server have it.
func eachTwice(t *testing.T, fn func(t *testing.T, l *ledger, instances [2]*Service)) {
	t.Helper()
	for _, d := range databasetest.Dialects() {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			url := databasetest.URL(t, d)
			l := newLedger(t, databasetest.OpenURL(t, url))
			other := NewService(Dependencies{Secrets: NewRepository(databasetest.OpenURL(t, url)), Ring: l.ring, Now: l.clock.now})
			fn(t, l, [2]*Service{l.Service, other})
		})
	}
}

// in is the ledger in a subtest.
func (l *ledger) in(t testing.TB) *ledger {
	within := *l
	within.t = t
	return &within
}

func (l *ledger) exec(query string, args ...any) {
	l.t.Helper()
	require.NoError(l.t, l.db.From(l.ctx).Exec(query, args...).Error)
}

func (l *ledger) addPortal(n byte) ids.Portal {
	l.t.Helper()
	id := ids.Portal{UUID: uuid.UUID{15: n}}
	l.exec(`INSERT INTO portals (id, slug, settings, version, created_at, updated_at) VALUES (?, ?, '{}', 1, 0, 0)`, id, id.String())
	return id
}

// person is an account and what the ledger calls its address.
type person struct {
	Account
	subject digest.Digest
}

// stranger is nobody's address.
func (l *ledger) stranger() digest.Digest {
	*l.subjects++
	return digest.Digest(bytes.Repeat(binary.BigEndian.AppendUint16(nil, *l.subjects), digest.Size/2))
}

func (l *ledger) person() person {
	l.t.Helper()
	p := person{subject: l.stranger()}
	p.ID.UUID, p.SecurityStamp = uuid.UUID{13: 1, 14: byte(*l.subjects >> 8), 15: byte(*l.subjects)}, uuid.New()
	l.addAccount(p)
	return p
}

func (l *ledger) addAccount(p person) {
	l.t.Helper()
	l.exec(`INSERT INTO accounts (portal_id, id, email, email_canonical, locale, roles, entitlements, metadata,
		security_stamp, opted_out, search, created_at, updated_at)
		VALUES (?, ?, ?, ?, 'en', '[]', '[]', '{}', ?, ?, '', 0, 0)`,
		l.portal, p.ID, p.ID.String(), p.ID.String(), p.SecurityStamp, false)
}

func (l *ledger) set(p person, column string, value any) {
	l.t.Helper()
	l.exec(fmt.Sprintf(`UPDATE accounts SET %s = ? WHERE portal_id = ? AND id = ?`, column), value, l.portal, p.ID)
}

func (l *ledger) disable(p person) {
	l.t.Helper()
	l.set(p, "disabled_at", l.clock.millis.Load())
	l.set(p, "security_stamp", uuid.New())
}

func (l *ledger) remove(p person) {
	l.t.Helper()
	l.exec(`DELETE FROM accounts WHERE portal_id = ? AND id = ?`, l.portal, p.ID)
}

func (l *ledger) logIn(p person) {
	l.t.Helper()
	l.exec(`INSERT INTO sessions (portal_id, id, account_id, generation, key_id, security_stamp, transport, network,
		user_agent, created_at, rotated_at, expires_at, ends_at) VALUES (?, ?, ?, 1, 0, ?, 'token', '', '', ?, 0, 0, 0)`,
		l.portal, uuid.New(), p.ID, p.SecurityStamp, l.clock.millis.Load())
}

// lastLogin is when the person last logged in, as the account tells it.
func (l *ledger) lastLogin(p person) *time.Time {
	l.t.Helper()
	var millis *int64
	require.NoError(l.t, l.db.From(l.ctx).Raw(`SELECT MAX(created_at) FROM sessions WHERE portal_id = ? AND account_id = ?`,
		l.portal, p.ID).Row().Scan(&millis))
	return database.Time(millis)
}

const ttl = 15 * time.Minute

func (p person) wants(purpose Purpose) IssueRequest {
	account := p.Account
	return IssueRequest{
		Purpose: purpose, EmailDigest: p.subject, Account: &account, Variant: "reset", TTL: ttl,
		DeliveryID: ids.Delivery{UUID: uuid.New()},
	}
}

func fromStranger(subject digest.Digest) IssueRequest {
	return IssueRequest{Purpose: Confirmation, EmailDigest: subject, TTL: ttl, DeliveryID: ids.Delivery{UUID: uuid.New()}}
}

// issue issues a secret with a short code, and reads the mail.
func (l *ledger) issue(p person) Secret {
	l.t.Helper()
	wanted := p.wants(Confirmation)
	wanted.Account.LastLogin = l.lastLogin(p)
	issued, err := l.Issue(l.ctx, l.portal, wanted)
	require.NoError(l.t, err)
	secret, err := l.Secret(l.ctx, l.portal, Confirmation, p.subject, issued.Generation)
	require.NoError(l.t, err)
	return secret
}

// issueLater waits for the cool-down first.
func (l *ledger) issueLater(p person) Secret {
	l.t.Helper()
	l.clock.pass(time.Minute)
	return l.issue(p)
}

func (l *ledger) checkToken(token string) (Checked, error) {
	return l.Check(l.ctx, l.portal, Confirmation, Credential{Token: token})
}

func (l *ledger) checkCode(subject digest.Digest, code string) (Checked, error) {
	return l.Check(l.ctx, l.portal, Confirmation, Credential{EmailDigest: subject, Code: code})
}

// consumeToken consumes a token without Check, as Consume does where the row has changed since.
func (s *Service) consumeToken(ctx context.Context, portalID ids.Portal, purpose Purpose, token string) (Checked, error) {
	of, err := readToken(s.ring, portalID, purpose, token)
	if err != nil {
		return Checked{}, err
	}
	return s.consume(ctx, proof{seed: of})
}

func (l *ledger) redeemToken(token string) error {
	_, err := l.consumeToken(l.ctx, l.portal, Confirmation, token)
	return err
}

func (l *ledger) redeemCode(subject digest.Digest, code string) error {
	found, err := l.checkCode(subject, code)
	if err != nil {
		return err
	}
	return l.Consume(l.ctx, l.portal, Confirmation, found)
}

// guess types n different wrong codes and gives how many of them were accepted.
func (l *ledger) guess(subject digest.Digest, n int) (accepted int) {
	l.t.Helper()
	for i := range n {
		_, err := l.checkCode(subject, wrong(i))
		switch code := fault.CodeOf(err); code {
		case fault.TokenInvalid:
			accepted++
		default:
			require.Equal(l.t, fault.CodeAttemptsExhausted, code)
		}
	}
	return accepted
}

// wrong is a code that no test's secret has.
func wrong(i int) string { return fmt.Sprintf("%06d", i) }

func requireCode(t testing.TB, want fault.Code, err error) fault.Error {
	t.Helper()
	var f *fault.Error
	require.ErrorAs(t, err, &f)
	require.Equal(t, want, f.Code)
	return *f
}
