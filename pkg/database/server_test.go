package database_test

import (
	"context"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
)

// A database that cannot hold every text is refused in one sentence, at once.
func TestDatabaseThatIsNotUTF8(t *testing.T) {
	t.Parallel()
	eachPostgres(t, func(t *testing.T, url string) {
		for _, encoding := range []string{"LATIN1", "SQL_ASCII"} {
			db := databasetest.OpenURL(t, databasetest.WithEncoding(t, url, encoding))
			err := db.Migrate(t.Context())
			require.ErrorContains(t, err, "LATCHKEY_DATABASE_URL: the encoding of the database is "+encoding+", want UTF8")
			require.NotEqual(t, fault.Unavailable, fault.CodeOf(err), "it is not waited for")
			require.Error(t, db.Ready(t.Context()))
		}
	})
}

// Neither a role's nor a database's stricter default isolation makes a statement fail for another's sake.
func TestStricterDefaultIsolation(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, url string) {
		db := databasetest.OpenURL(t, url)
		require.NoError(t, db.Migrate(t.Context()))
		config, err := pgx.ParseConfig(url)
		require.NoError(t, err)
		for i, isolation := range []string{"repeatable read", "serializable"} {
			_, err = db.SQL().ExecContext(t.Context(),
				"ALTER DATABASE "+config.Database+" SET default_transaction_isolation = '"+isolation+"'")
			require.NoError(t, err)
			requireCountsHold(t, url, i)
		}
	}
	eachPostgres(t, check)
	databasetest.WithPgBouncer(t, 8, check)
}

// requireCountsHold adds to one number from many callers, in transactions and outside.
func requireCountsHold(t *testing.T, url string, round int) {
	t.Helper()
	db := databasetest.OpenURL(t, url)
	portal := makePortal(t, db)
	add := func(ctx context.Context) error {
		return database.Changed(db.From(ctx).Exec("UPDATE portals SET version = version + 1 WHERE id = ?", portal))
	}
	var callers sync.WaitGroup
	for range 6 {
		callers.Go(func() {
			for range 10 {
				if err := db.InTx(t.Context(), add); err != nil {
					t.Errorf("round %d, in a transaction: %v", round, err)
				}
				if err := add(t.Context()); err != nil {
					t.Errorf("round %d: %v", round, err)
				}
			}
		})
	}
	callers.Wait()
	var version int
	require.NoError(t, db.From(t.Context()).Raw("SELECT version FROM portals WHERE id = ?", portal).Row().Scan(&version))
	require.Equal(t, 1+120, version)
}

// MaxConns is the sum of all connections: those of the second pool are taken from the first, the one that a library
// takes out of the pool among them.
func TestConnectionsInOneSum(t *testing.T) {
	t.Parallel()
	eachPostgres(t, func(t *testing.T, url string) {
		for limit, second := range map[int]int{3: 2, 6: 2, 9: 3, 24: 4} {
			db, err := database.Open(t.Context(), database.Options{URL: url, MaxConns: limit})
			require.NoError(t, err)
			pool, err := db.PgxPool(t.Context(), 4)
			require.NoError(t, err)
			require.Equal(t, limit-second, db.Stats().MaxOpenConnections)
			require.EqualValues(t, second-1, pool.Config().MaxConns)
			pool.Close()
			require.NoError(t, db.Close())
		}
		db, err := database.Open(t.Context(), database.Options{URL: url, MaxConns: 2})
		require.NoError(t, err)
		_, err = db.PgxPool(t.Context(), 4)
		require.ErrorContains(t, err, "LATCHKEY_DATABASE_MAX_CONNS: want 3 or more")
		require.NoError(t, db.Close())
	})
}

// A mode that cannot carry the parameters is refused before anything is sent.
func TestModesThatDoNotFit(t *testing.T) {
	t.Parallel()
	for mode, fits := range map[string]bool{
		"exec": false, "simple_protocol": false, "cache_describe": true, "describe_exec": true, "cache_statement": true,
	} {
		db, err := database.Open(t.Context(), database.Options{
			URL: "postgres://someone:secret@127.0.0.1:1/x?default_query_exec_mode=" + mode,
		})
		if fits {
			require.NoError(t, err)
			require.NoError(t, db.Close())
			continue
		}
		require.ErrorContains(t, err, "LATCHKEY_DATABASE_URL: default_query_exec_mode")
		require.NotContains(t, err.Error(), "secret")
	}
}
