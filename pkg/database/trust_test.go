package database_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// callTime is the deadline of a request.
const callTime = 4500 * time.Millisecond

// eachPostgres runs a test on a migrated Postgres database, where this machine has one.
func eachPostgres(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	databasetest.EachBlank(t, func(t *testing.T, url string) {
		if url[:6] != "sqlite" {
			fn(t, url)
		}
	})
}

// useAll makes every connection of the pool answer once.
func useAll(t *testing.T, db *database.DB) {
	t.Helper()
	for range db.Stats().MaxOpenConnections {
		tx, err := db.SQL().BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer func() { _ = tx.Rollback() }()
	}
}

// A proxy carries connections to Postgres, and can let those that exist fall silent: they stay open, and nothing passes.
type proxy struct {
	url      string
	mu       sync.Mutex
	silenced chan struct{} // closed when the connections so far fall silent
}

func startProxy(t *testing.T, to string) *proxy {
	t.Helper()
	config, err := pgx.ParseConfig(to)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{silenced: make(chan struct{})}
	p.url = "postgres://" + config.User + "@" + listener.Addr().String() + "/" + config.Database + "?sslmode=disable"
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			network, address := pgconn.NetworkAddress(config.Host, config.Port)
			far, err := net.Dial(network, address)
			if err != nil {
				_ = near.Close()
				continue
			}
			p.mu.Lock()
			silenced := p.silenced
			p.mu.Unlock()
			t.Cleanup(func() { _, _ = near.Close(), far.Close() })
			go pass(near, far, silenced)
			go pass(far, near, silenced)
		}
	}()
	return p
}

// pass copies until silenced; then it reads and drops.
func pass(from, to net.Conn, silenced chan struct{}) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		select {
		case <-silenced:
			_, _ = io.Copy(io.Discard, from)
			return
		default:
		}
		if err != nil {
			_ = to.Close()
			return
		}
		_, _ = to.Write(buffer[:n])
	}
}

func (p *proxy) silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.silenced)
	p.silenced = make(chan struct{})
}

// call does what a request does, and returns how long it took.
func call(t *testing.T, db *database.DB) (time.Duration, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), callTime)
	defer cancel()
	began := time.Now()
	err := read(ctx, db)
	return time.Since(began), err
}

// Connections that fell silent while they were idle cost one caller a moment, and nobody an error.
func TestIdleConnectionsFallSilent(t *testing.T) {
	t.Parallel()
	eachPostgres(t, func(t *testing.T, url string) {
		p := startProxy(t, url)
		db := databasetest.OpenURL(t, p.url)
		require.NoError(t, db.Migrate(t.Context()))
		useAll(t, db)
		time.Sleep(1200 * time.Millisecond)
		p.silence()
		began := time.Now()
		for range 8 {
			_, err := call(t, db)
			require.NoError(t, err)
		}
		require.Less(t, time.Since(began), callTime)
	})
}

// Connections that fall silent at work cost the caller who meets the first one, and no other.
func TestBusyConnectionsFallSilent(t *testing.T) {
	t.Parallel()
	eachPostgres(t, func(t *testing.T, url string) {
		p := startProxy(t, url)
		db := databasetest.OpenURL(t, p.url)
		require.NoError(t, db.Migrate(t.Context()))
		useAll(t, db)
		p.silence()
		_, err := call(t, db)
		requireUnavailable(t, err)
		for range 8 {
			took, err := call(t, db)
			require.NoError(t, err)
			require.Less(t, took, time.Second+time.Second)
		}
	})
}

// After a failover the sessions with the server that became read-only are given up, and readiness tells.
func TestReadOnlySessionsAreGivenUp(t *testing.T) {
	t.Parallel()
	eachPostgres(t, func(t *testing.T, url string) {
		administrator := databasetest.OpenURL(t, url)
		require.NoError(t, administrator.Migrate(t.Context()))
		portal := makePortal(t, administrator)
		readOnly := func(value string) {
			config, err := pgx.ParseConfig(url)
			require.NoError(t, err)
			_, err = administrator.SQL().ExecContext(t.Context(),
				"ALTER DATABASE "+config.Database+" SET default_transaction_read_only = "+value)
			require.NoError(t, err)
		}
		readOnly("on")
		db := databasetest.OpenURL(t, url)
		useAll(t, db)
		requireUnavailable(t, db.Ready(t.Context()))
		useAll(t, db)
		requireUnavailable(t, addAccount(t.Context(), db, portal, uuid.NewString(), "a@example.com"))
		useAll(t, db)

		readOnly("off")
		refused := 0
		for range 8 {
			if err := addAccount(t.Context(), db, portal, uuid.NewString(), uuid.NewString()); err != nil {
				requireUnavailable(t, err)
				refused++
			}
		}
		require.LessOrEqual(t, refused, 1)

		readOnly("on")
		other := databasetest.OpenURL(t, url)
		useAll(t, other)
		readOnly("off")
		require.NoError(t, other.Ready(t.Context()))
	})
}

// A file that cannot be written to is no database to be ready with, and no fault of the caller.
func TestReadOnlySQLite(t *testing.T) {
	t.Parallel()
	db := databasetest.Open(t, database.SQLite)
	portal := makePortal(t, db)
	require.NoError(t, db.From(t.Context()).Exec("PRAGMA query_only = ON").Error)
	requireUnavailable(t, addAccount(t.Context(), db, portal, uuid.NewString(), "a@example.com"))
	requireUnavailable(t, db.Ready(t.Context()))
	require.NoError(t, read(t.Context(), db))
	require.NoError(t, db.From(t.Context()).Exec("PRAGMA query_only = OFF").Error)
	require.NoError(t, db.Ready(t.Context()))
}
