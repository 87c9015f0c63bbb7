package database_test

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

func TestReadyOnceMigrated(t *testing.T) {
	t.Parallel()
	databasetest.EachBlank(t, func(t *testing.T, url string) {
		ctx := context.Background()
		db := databasetest.OpenURL(t, url)
		requireUnavailable(t, db.Ready(ctx))
		require.NoError(t, db.Migrate(ctx))
		require.NoError(t, db.Ready(ctx))
		require.NoError(t, db.Migrate(ctx))

		// The program before this one still runs when the one after it has migrated.
		require.NoError(t, db.From(ctx).Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, ?)", true).Error)
		require.NoError(t, db.Ready(ctx))
		require.NoError(t, db.Migrate(ctx))
	})
}

func TestMigrateIsFastWhenThereIsNothingToDo(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		require.NoError(t, db.Migrate(context.Background()))
		start := time.Now()
		for range 100 {
			require.NoError(t, db.Migrate(context.Background()))
		}
		require.Less(t, time.Since(start), time.Second)
	})
}

// Eight instances start at once on an empty database, as in a cluster's first deployment.
func TestEightProcessesMigrateAtOnce(t *testing.T) {
	t.Parallel()
	databasetest.EachBlank(t, func(t *testing.T, url string) {
		var processes sync.WaitGroup
		for range 8 {
			processes.Go(func() {
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), migrateVariable+"="+url)
				if output, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, output)
				}
			})
		}
		processes.Wait()
		requireMigratedOnce(t, databasetest.OpenURL(t, url))
	})
}

func TestEightPoolsMigrateAtOnce(t *testing.T) {
	t.Parallel()
	databasetest.EachBlank(t, func(t *testing.T, url string) {
		var pools sync.WaitGroup
		for range 8 {
			pools.Go(func() {
				if err := migrateOnce(url); err != nil {
					t.Error(err)
				}
			})
		}
		pools.Wait()
		requireMigratedOnce(t, databasetest.OpenURL(t, url))
	})
}

// requireMigratedOnce shows that every migration left its row, and none left two.
func requireMigratedOnce(t *testing.T, db *database.DB) {
	t.Helper()
	require.NoError(t, db.Ready(context.Background()))
	var versions []int64
	require.NoError(t, db.From(context.Background()).Raw("SELECT version_id FROM goose_db_version ORDER BY version_id").Scan(&versions).Error)
	require.Greater(t, len(versions), 1)
	require.Equal(t, slices.Compact(slices.Clone(versions)), versions)
}

// The guard reads from the migrations which tables it watches over. The schema must say the same.
func TestGuardKnowsPortalTables(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		tables := database.PortalTables(db.Dialect())
		require.Equal(t, databasetest.TablesWith(t, db, "portal_id"), tables)
		require.Subset(t, tables, []string{"accounts", "sessions", "audit_events"})
		require.NotContains(t, tables, "portals")
		require.NotContains(t, tables, "installation")
	})
}

// The portal leads every unique key, so that a distributed Postgres can spread portals over machines. A domain is the
// exception: it leads to its portal.
func TestPortalLeadsEveryUniqueKey(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		for _, table := range database.PortalTables(db.Dialect()) {
			keys := indexes(t, db, table)
			require.NotEmpty(t, keys, table)
			for _, key := range keys {
				if table == "portal_domains" {
					require.Equal(t, []string{"domain"}, key)
					continue
				}
				require.Equal(t, "portal_id", key[0], "%s %v", table, key)
			}
		}
	})
}

func TestFingerprintIsTheSchemas(t *testing.T) {
	t.Parallel()
	require.Len(t, database.Fingerprint(database.Postgres), 16)
	require.NotEqual(t, database.Fingerprint(database.Postgres), database.Fingerprint(database.SQLite))
	require.Equal(t, database.Fingerprint(database.SQLite), database.Fingerprint(database.SQLite))
}
