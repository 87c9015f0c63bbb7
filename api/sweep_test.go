package api_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

const day = 24 * time.Hour

// sweep runs a task as its periodic job does.
func (h *harness) sweep(t testing.TB, name string) {
	t.Helper()
	for _, task := range appOf(h.server).Tasks() {
		if task.Name == "sweep "+name {
			require.NoError(t, task.Run(context.Background()))
			return
		}
	}
	require.FailNow(t, "no task sweeps "+name)
}

// rows is how many a table has.
func (h *harness) rows(t testing.TB, table string) string {
	t.Helper()
	return h.sql(t, "SELECT COUNT(*) FROM "+table)
}

// A claim goes 30 days after its last mail, and nothing else does.
func TestSweepingClaims(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		h.account(t, p, object{"email": "unconfirmed@example.com", "confirmed": false})
		h.account(t, p)
		h.post(t, p.front+"/registrations", object{"email": newcomer, "password": goodPassword}).status(http.StatusCreated)
		look := func() *answer { t.Helper(); return h.post(t, p.front+"/lookup", object{"email": newcomer}) }
		sweeps := func() { t.Helper(); h.sweep(t, "claims"); h.sweep(t, "deliveries") }
		h.clock.advance(29 * day)
		sweeps()
		look().status(http.StatusOK)
		h.post(t, p.front+"/confirmations", object{"email": newcomer}).status(http.StatusAccepted)
		h.clock.advance(29 * day)
		sweeps()
		look().status(http.StatusOK)
		h.clock.advance(day + time.Second)
		sweeps()
		look().problem(http.StatusNotFound, "email_not_found")
		require.Equal(t, "2", h.rows(t, "accounts"))
		require.Equal(t, "0", h.rows(t, "deliveries"))
	})
}

// Ended sessions go, but an account keeps its newest, by which it knows when its person was last here.
func TestSweepingSessions(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		ada := h.account(t, h.portal(t, object{"refresh_token_ttl": 60 * 86400, "session_max_age": 60 * 86400}))
		for range 3 {
			in := h.logIn(t, ada)
			h.clock.advance(time.Second)
			h.post(t, ada.portal.front+"/logout", object{"refresh_token": in.refresh}).status(http.StatusNoContent)
		}
		last := h.get(t, ada.admin, asOperator).text("last_login_at")
		h.clock.advance(29 * day)
		h.sweep(t, "sessions")
		require.Equal(t, "3", h.rows(t, "sessions"))
		h.clock.advance(2 * day)
		h.sweep(t, "sessions")
		require.Equal(t, "1", h.rows(t, "sessions"))
		h.get(t, ada.admin, asOperator).is("last_login_at", last)
		living := h.logIn(t, ada)
		h.sweep(t, "sessions")
		h.clock.advance(29 * day)
		h.refreshed(t, ada.portal, living.refresh)
		h.clock.advance(29 * day)
		h.sweep(t, "sessions")
		require.Equal(t, "1", h.rows(t, "sessions"))
	})
}

// Events stay for as long as their portal says; the installation's for a year.
func TestSweepingTheAuditTrail(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		brief := h.portal(t, object{"slug": "brief", "audit_retention": 86400 * 30})
		year := h.portal(t, object{"slug": "year"})
		h.patch(t, brief.admin, object{"enabled": false}, asOperator).status(http.StatusOK)
		for _, p := range []portal{brief, year} {
			h.account(t, p)
		}
		events := func(p portal) string {
			t.Helper()
			return h.sql(t, "SELECT COUNT(*) FROM audit_events WHERE portal_id = ? AND type = 'account.created'", p.id)
		}
		all := h.rows(t, "audit_events")
		h.sweep(t, "audit")
		require.Equal(t, all, h.rows(t, "audit_events"))
		h.clock.advance(31 * day)
		h.account(t, brief, object{"email": "later@example.com"})
		h.sweep(t, "audit")
		require.Equal(t, "1", events(brief), "the later one")
		require.Equal(t, "1", events(year))
		h.clock.advance(335 * day)
		h.sweep(t, "audit")
		require.Equal(t, "0", h.rows(t, "audit_events"))
	})
}

// Counts of failures go when they are of no use, but a password that is off stays off.
func TestSweepingLockouts(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, object{"lockout": object{"threshold": 100}})
		h.wrongly(t, p, "nobody@example.com")
		for range 100 {
			h.wrongly(t, p, "off@example.com")
		}
		h.clock.advance(29 * day)
		h.sweep(t, "lockouts")
		require.Equal(t, "2", h.rows(t, "lockouts"))
		h.clock.advance(2 * day)
		h.sweep(t, "lockouts")
		require.Equal(t, "1", h.rows(t, "lockouts"))
		h.wrongly(t, p, "off@example.com").problem(http.StatusForbidden, "password_reset_required")
	})
}

// Until 30 days after its end a secret is known for what it is; after that every genuine one has expired.
func TestSweepingSecrets(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, o *office, k secretKind, ada person) {
		p := ada.portal
		used := o.asks(t, p, k.path, ada.email)
		o.clock.advance(nextAsk)
		newest := o.asks(t, p, k.path, ada.email)
		o.clock.advance(k.ttl + 29*day)
		o.sweep(t, "secrets")
		o.bad(t, p, k, used.byLink(), http.StatusGone, "token_superseded")
		o.bad(t, p, k, newest.byLink(), http.StatusGone, "token_expired")
		o.clock.advance(day + time.Second)
		o.sweep(t, "secrets")
		require.Equal(t, "0", o.rows(t, "onetime_secrets"))
		for _, mail := range []letter{used, newest} {
			o.bad(t, p, k, mail.byLink(), http.StatusGone, "token_expired")
			o.post(t, p.front+"/"+k.path, object{"token": mail.token}).problem(http.StatusGone, "token_expired").
				remedies(k.remedy)
		}
		o.redeem(t, p, k.path, o.asks(t, p, k.path, ada.email).byLink()).status(http.StatusOK)
	})
}

// A sweep goes on until nothing is left, batch after batch.
func TestSweepingManyBatches(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		h.post(t, p.front+"/registrations", object{"email": newcomer, "password": goodPassword}).status(http.StatusCreated)
		count := "SELECT n FROM (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 1200) SELECT n FROM c) numbers"
		h.exec(t, "INSERT INTO recipients (suppressed, digest, messages, updated_at) SELECT FALSE, CAST(n AS "+
			map[database.Dialect]string{database.Postgres: "TEXT)::BYTEA", database.SQLite: "BLOB)"}[db.Dialect()]+", '', n FROM ("+count+") many")
		h.sweep(t, "deliveries")
		require.Equal(t, "0", h.rows(t, "recipients"))
		require.Equal(t, "1", h.rows(t, "deliveries"))
	})
}
