package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

// longestAnswer is how long a caller waits at most for the answer that the database is away.
const longestAnswer = 5 * time.Second

// Postgres goes away under load in every way it can, and comes back: meanwhile callers get 200 or 503, in time, and
// afterwards nobody has to restart anything here.
func TestPostgresGoesAway(t *testing.T) {
	t.Parallel()
	databasetest.WithCluster(t, func(t *testing.T, c *databasetest.Cluster) {
		c.Stop(t)
		p := launch(t, t.TempDir(), keyed(c.URL, keyring.Generate()), "serve", "--dev")
		p.awaitLog(t, "the database does not answer yet")
		c.Start(t)
		p.listening(t)

		load := startLoad(t, p)
		load.awaitGood(t)
		for _, outage := range []struct {
			name       string
			begin, end func(testing.TB)
		}{
			{"stopped", c.Stop, c.Start},
			{"killed", func(tb testing.TB) { killPostgres(tb, c) }, c.Start},
			{"frozen", c.Freeze, c.Thaw},
		} {
			outage.begin(t)
			load.countAnew()
			require.Equal(t, "unavailable", read[refusal](t, load.ready(t), http.StatusServiceUnavailable).Code, outage.name)
			load.awaitUnavailable(t)
			outage.end(t)
			back := time.Now()
			load.countAnew()
			load.awaitGood(t)
			require.Eventually(t, func() bool { return load.ready(t).status == http.StatusOK }, patience, 10*time.Millisecond)
			t.Logf("%s: everything is answered again %v after Postgres was back", outage.name, time.Since(back).Round(time.Millisecond))
		}
		load.end(t)
	})
}

// killPostgres ends the server with no goodbye to its sessions; it has to recover when it starts again.
func killPostgres(tb testing.TB, c *databasetest.Cluster) {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), c.URL)
	require.NoError(tb, err)
	var pid int
	row := conn.QueryRow(tb.Context(), `SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)::int`)
	require.NoError(tb, row.Scan(&pid))
	require.NoError(tb, conn.Close(tb.Context()))
	require.NoError(tb, syscall.Kill(pid, syscall.SIGQUIT))
	c.Stop(tb) // adds nothing but the wait for its end
}

const people = 8

// load is people who look up, log in, ask who they are and see a login page, and somebody who asks whether the server
// lives.
type load struct {
	process    *process
	operations []*operation
	token      string
	cancel     context.CancelFunc
	workers    sync.WaitGroup
	late       atomic.Int64 // the longest that /healthz took, which does nothing: so late is this machine itself
}

// operation is something that people do, and how it went.
type operation struct {
	method, path, body string
	good, unavailable  atomic.Int64
	slowest            atomic.Int64
}

func startLoad(t *testing.T, p *process) *load {
	t.Helper()
	l := &load{process: p, token: p.logIn(t).AccessToken, operations: []*operation{
		{method: http.MethodPost, path: demoPath + "/lookup", body: demoLookup},
		{method: http.MethodPost, path: demoPath + "/login", body: demoLogin},
		{method: http.MethodGet, path: demoPath + "/me"},
		{method: http.MethodGet, path: demoPath}, // from memory, for as long as that may be done
	}}
	ctx, cancel := context.WithCancel(t.Context())
	l.cancel = cancel
	t.Cleanup(func() {
		cancel()
		l.workers.Wait()
	})
	const pause = 5 * time.Millisecond
	for person := range people {
		l.workers.Go(func() {
			for next := person; ctx.Err() == nil; next++ {
				o := l.operations[next%len(l.operations)]
				if err := l.do(ctx, o); err != nil && ctx.Err() == nil {
					t.Errorf("%s %s: %v", o.method, o.path, err)
					return
				}
				time.Sleep(pause)
			}
		})
	}
	l.workers.Go(func() {
		for ctx.Err() == nil {
			begun := time.Now()
			if a, err := p.try(ctx, http.MethodGet, "/healthz", "", ""); ctx.Err() == nil && (err != nil || a.status != http.StatusOK) {
				t.Errorf("/healthz: %d, %v", a.status, err)
			}
			raise(&l.late, int64(time.Since(begun)))
			time.Sleep(pause)
		}
	})
	return l
}

// do makes one request and says what is wrong with the answer.
func (l *load) do(ctx context.Context, o *operation) error {
	begun := time.Now()
	a, err := l.process.try(ctx, o.method, o.path, l.token, o.body)
	if err != nil {
		return err
	}
	raise(&o.slowest, int64(time.Since(begun)))
	switch a.status {
	case http.StatusOK:
		o.good.Add(1)
		return nil
	case http.StatusServiceUnavailable:
		o.unavailable.Add(1)
		var said refusal
		err := json.Unmarshal(a.body, &said)
		if slices.Contains([]string{"unavailable", "overloaded"}, said.Code) && a.header.Get("Retry-After") != "" {
			return err
		}
	}
	return fmt.Errorf("answered %d, Retry-After %q: %s", a.status, a.header.Get("Retry-After"), a.body)
}

func raise(highest *atomic.Int64, to int64) {
	for was := highest.Load(); to > was && !highest.CompareAndSwap(was, to); was = highest.Load() {
	}
}

// countAnew forgets how it went so far.
func (l *load) countAnew() {
	for _, o := range l.operations {
		o.good.Store(0)
		o.unavailable.Store(0)
	}
}

// awaitGood waits until everything has been answered well, by and large by everybody.
func (l *load) awaitGood(t *testing.T) {
	t.Helper()
	l.await(t, func(o *operation) bool { return o.good.Load() >= people })
}

// awaitUnavailable waits until everything has been refused.
func (l *load) awaitUnavailable(t *testing.T) {
	t.Helper()
	l.await(t, func(o *operation) bool { return o.unavailable.Load() > 0 })
}

func (l *load) await(t *testing.T, done func(*operation) bool) {
	t.Helper()
	for _, o := range l.operations {
		require.Eventually(t, func() bool { return t.Failed() || done(o) }, patience, time.Millisecond, o.path)
	}
	require.False(t, t.Failed())
}

func (l *load) ready(t *testing.T) answer {
	t.Helper()
	return l.process.call(t, http.MethodGet, "/readyz", "", "")
}

// end wants the slowest answer to have come in time, apart from what this machine itself was late.
func (l *load) end(t *testing.T) {
	t.Helper()
	l.cancel()
	l.workers.Wait()
	late := time.Duration(l.late.Load())
	for _, o := range l.operations {
		slowest := time.Duration(o.slowest.Load())
		t.Logf("%s: the slowest %v", o.path, slowest)
		require.Less(t, slowest, longestAnswer+late, o.path)
	}
	t.Logf("/healthz: the slowest %v", late)
}
