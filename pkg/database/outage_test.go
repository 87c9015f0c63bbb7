package database_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
)

func read(ctx context.Context, db *database.DB) error {
	var n int
	return database.Err(db.From(ctx).Raw("SELECT count(*) FROM accounts WHERE portal_id = ?", nobody).Row().Scan(&n))
}

// While Postgres restarts under load every failure is unavailable, and afterwards nothing has to be restarted here.
func TestPostgresRestarts(t *testing.T) {
	t.Parallel()
	databasetest.WithCluster(t, func(t *testing.T, c *databasetest.Cluster) {
		db := databasetest.OpenURL(t, c.URL)
		require.NoError(t, db.Migrate(context.Background()))
		portal := makePortal(t, db)

		var stop atomic.Bool
		var failed, committed atomic.Int64
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				for !stop.Load() {
					err := db.InTx(context.Background(), func(ctx context.Context) error {
						return addAccount(ctx, db, portal, uuid.NewString(), uuid.NewString())
					})
					switch {
					case err == nil:
						committed.Add(1)
					case fault.CodeOf(err) == fault.Unavailable:
						failed.Add(1)
					default:
						t.Errorf("%v", err)
						return
					}
				}
			})
		}
		await(t, func() bool { return committed.Load() > 50 })
		c.Stop(t)
		requireUnavailable(t, db.Ready(context.Background()))
		requireUnavailable(t, read(context.Background(), db))
		requireUnavailable(t, db.Migrate(context.Background()))
		c.Start(t)
		before := committed.Load()
		await(t, func() bool { return committed.Load() > before+50 })
		stop.Store(true)
		callers.Wait()

		require.Positive(t, failed.Load())
		require.NoError(t, db.Ready(context.Background()))
		require.GreaterOrEqual(t, int64(countAccounts(t, db, portal)), committed.Load())
	})
}

// A machine that hangs keeps its connections open; only the context's deadline ends the wait.
func TestPostgresHangs(t *testing.T) {
	t.Parallel()
	databasetest.WithCluster(t, func(t *testing.T, c *databasetest.Cluster) {
		db := databasetest.OpenURL(t, c.URL)
		require.NoError(t, db.Migrate(context.Background()))
		require.NoError(t, read(context.Background(), db))
		c.Freeze(t)

		for name, run := range map[string]func(ctx context.Context) error{
			"a query": func(ctx context.Context) error { return read(ctx, db) },
			"a transaction": func(ctx context.Context) error {
				return db.InTx(ctx, func(ctx context.Context) error { return read(ctx, db) })
			},
			"readiness": db.Ready,
			"migration": db.Migrate,
		} {
			for range 2 { // first on a connection that was open, then on a new one
				const patience = 300 * time.Millisecond
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				start := time.Now()
				err := run(ctx)
				cancel()
				requireUnavailable(t, err)
				require.Less(t, time.Since(start), patience+time.Second, name)
			}
		}
		c.Thaw(t)
		await(t, func() bool {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			return db.Ready(ctx) == nil && read(ctx, db) == nil
		})
	})
}

// await waits for what other goroutines bring about.
func await(t *testing.T, done func() bool) {
	t.Helper()
	require.Eventually(t, done, 30*time.Second, 10*time.Millisecond)
}
