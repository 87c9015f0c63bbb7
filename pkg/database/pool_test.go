package database_test

import (
	"context"
	"database/sql"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

func TestCountStatements(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		portal := makePortal(t, db)
		ctx, counter := databasetest.CountStatements(context.Background())
		require.Zero(t, counter.N())

		require.NoError(t, addAccount(ctx, db, portal, uuid.NewString(), "a@example.com"))
		require.EqualValues(t, 1, counter.N())

		err := db.InTx(ctx, func(ctx context.Context) error {
			return addAccount(ctx, db, portal, uuid.NewString(), "b@example.com")
		})
		require.NoError(t, err)
		require.EqualValues(t, 2, counter.N(), "BEGIN and COMMIT do not count")

		var n int
		row := db.From(context.WithoutCancel(ctx)).Raw("SELECT count(*) FROM accounts WHERE portal_id = ?", portal).Row()
		require.NoError(t, row.Scan(&n))
		require.EqualValues(t, 3, counter.N())
		require.Contains(t, counter.Texts()[2], "SELECT count(*) FROM accounts")

		countAccounts(t, db, portal) // under another context
		_, err = takeSession(db.From(ctx), portal, nobody)
		require.ErrorIs(t, database.Err(err), database.ErrNotFound)
		require.EqualValues(t, 4, counter.N())
		require.Len(t, counter.Texts(), 4)
	})
}

// Whatever way a statement takes through GORM, in a transaction or not, the guard sees it.
func TestGuardSeesEveryStatement(t *testing.T) {
	t.Parallel()
	ways := map[string]func(tx *gorm.DB) error{
		"Exec": func(tx *gorm.DB) error { return tx.Exec("DELETE FROM accounts WHERE id = ?", nobody).Error },
		"Raw Row": func(tx *gorm.DB) error {
			return tx.Raw("SELECT id FROM accounts WHERE id = ?", nobody).Row().Scan(new(string))
		},
		"Raw Rows": func(tx *gorm.DB) error {
			rows, err := tx.Raw("SELECT id FROM accounts").Rows()
			if err != nil {
				return err
			}
			defer func() { _ = rows.Close() }()
			return rows.Err()
		},
		"Raw Scan": func(tx *gorm.DB) error { return tx.Raw("SELECT id FROM accounts").Scan(&[]string{}).Error },
		"Take":     func(tx *gorm.DB) error { return tx.Where("id = ?", nobody).Take(&session{}).Error },
		"Find":     func(tx *gorm.DB) error { return tx.Find(&[]session{}).Error },
		"Count":    func(tx *gorm.DB) error { return tx.Model(&session{}).Count(new(int64)).Error },
		"Updates": func(tx *gorm.DB) error {
			return tx.Model(&session{}).Where("id = ?", nobody).Updates(map[string]any{"network": "x"}).Error
		},
		"Delete": func(tx *gorm.DB) error { return tx.Where("id = ?", nobody).Delete(&session{}).Error },
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, db *database.DB) {
				ctx := context.Background()
				require.ErrorIs(t, way(db.From(ctx)), database.ErrPortalNotBound)
				err := db.InTx(ctx, func(ctx context.Context) error { return way(db.From(ctx)) })
				require.ErrorIs(t, err, database.ErrPortalNotBound)
				require.ErrorIs(t, database.Err(err), database.ErrPortalNotBound)

				err = way(db.From(database.AcrossPortals(ctx, "a test")))
				require.NotErrorIs(t, err, database.ErrPortalNotBound)
			})
		})
	}
}

// A caller that hangs up must never make SQLite answer that a statement ran which did not, nor disturb the next.
func TestCancellationIsHonest(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		portal := makePortal(t, db)
		var callers sync.WaitGroup
		var mu sync.Mutex
		succeeded := 0
		for range 4 {
			callers.Go(func() {
				for range 50 {
					ctx, cancel := context.WithCancel(context.Background())
					go cancel()
					if err := addAccount(ctx, db, portal, uuid.NewString(), uuid.NewString()); err == nil {
						mu.Lock()
						succeeded++
						mu.Unlock()
					}
					if err := addAccount(context.Background(), db, portal, uuid.NewString(), uuid.NewString()); err != nil {
						t.Errorf("a caller who stayed: %v", err)
					}
				}
			})
		}
		callers.Wait()
		require.GreaterOrEqual(t, countAccounts(t, db, portal), 200+succeeded)
	})
}

func TestPoolKeepsItsConnections(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		stats := db.Stats()
		ctx := context.Background()
		var held []*gorm.DB
		for range stats.MaxOpenConnections {
			tx := db.From(ctx).Begin()
			require.NoError(t, tx.Error)
			held = append(held, tx)
		}
		for _, tx := range held {
			require.NoError(t, tx.Rollback().Error)
		}
		require.Equal(t, stats.MaxOpenConnections, db.Stats().Idle)
		require.Zero(t, db.Stats().MaxIdleClosed)
	})
}

func TestConnectionsBehindGORM(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		conns, err := db.From(context.Background()).DB()
		require.NoError(t, err)
		require.NoError(t, conns.Ping())
		err = db.InTx(context.Background(), func(ctx context.Context) error {
			tx, ok := database.SQLTx(db.From(ctx))
			require.True(t, ok)
			require.IsType(t, &sql.Tx{}, tx)
			_, err := tx.ExecContext(ctx, "SELECT 1")
			return err
		})
		require.NoError(t, err)
		_, ok := database.SQLTx(nil)
		require.False(t, ok)
	})
}

func BenchmarkRow(b *testing.B) {
	for _, d := range databasetest.Dialects() {
		b.Run(string(d), func(b *testing.B) {
			db := databasetest.Open(b, d)
			portal := makePortal(b, db)
			require.NoError(b, addAccount(context.Background(), db, portal, nobody, "a@example.com"))
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			b.ReportAllocs()
			for b.Loop() {
				var email string
				row := db.From(ctx).Raw("SELECT email FROM accounts WHERE portal_id = ? AND id = ?", portal, nobody).Row()
				if err := row.Scan(&email); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
