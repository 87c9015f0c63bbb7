package database_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// Through PgBouncer in transaction mode everything works without being configured: migrations, transactions, and the
// same statements on connections that are not told apart.
func TestBehindPgBouncer(t *testing.T) {
	t.Parallel()
	databasetest.WithPgBouncer(t, 3, func(t *testing.T, url string) {
		ctx := t.Context()
		var migrating sync.WaitGroup
		dbs := []*database.DB{databasetest.OpenURL(t, url), databasetest.OpenURL(t, url)}
		for _, db := range dbs {
			migrating.Go(func() { migrateAndCheck(t, db) })
		}
		migrating.Wait()
		require.True(t, dbs[0].Pooled())
		portal := makePortal(t, dbs[0])

		var callers sync.WaitGroup
		for caller := range 12 {
			db := dbs[caller%2]
			callers.Go(func() {
				for i := range 20 {
					address := fmt.Sprintf("%d-%d@example.com", caller, i)
					if err := addAccount(ctx, db, portal, uuid.NewString(), address); err != nil {
						t.Errorf("add: %v", err)
						return
					}
					err := db.InTx(ctx, func(ctx context.Context) error {
						if err := db.From(ctx).Exec("UPDATE accounts SET locale = ? WHERE portal_id = ? AND email = ?",
							"de", portal, address).Error; err != nil {
							return err
						}
						return read(ctx, db)
					})
					if err != nil {
						t.Errorf("update: %v", err)
						return
					}
				}
			})
		}
		callers.Wait()
		var n int
		require.NoError(t, dbs[1].From(ctx).Raw(
			"SELECT count(*) FROM accounts WHERE portal_id = ? AND locale = 'de'", portal).Row().Scan(&n))
		require.Equal(t, 240, n)
		require.NoError(t, dbs[0].Ready(ctx))

		pool, err := dbs[0].PgxPool(ctx, 4)
		require.NoError(t, err)
		defer pool.Close()
		for range 8 {
			callers.Go(func() {
				for range 20 {
					var one int
					if err := pool.QueryRow(ctx, "SELECT $1::int", 1).Scan(&one); err != nil {
						t.Errorf("pgx: %v", err)
						return
					}
				}
			})
		}
		callers.Wait()
	})
}

func migrateAndCheck(t *testing.T, db *database.DB) {
	if err := db.Migrate(t.Context()); err != nil {
		t.Errorf("migrate: %v", err)
	}
	if err := db.Ready(t.Context()); err != nil {
		t.Errorf("ready: %v", err)
	}
}

func TestNoPoolerIsFoundWhereThereIsNone(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		require.NoError(t, db.Ready(t.Context()))
		require.False(t, db.Pooled())
	})
}
