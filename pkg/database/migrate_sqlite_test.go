package database

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func openMigrationConn(t *testing.T, path string) *sql.DB {
	t.Helper()
	require.NoError(t, makeSQLiteFile(path))
	conn := sql.OpenDB(migrationConnector{sqliteConnector{path: path}})
	conn.SetMaxOpenConns(1)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return conn
}

// A migration that fails, or is killed, leaves nothing behind, though goose committed what came before it.
func TestSQLiteMigrationsAreOneTransaction(t *testing.T) {
	t.Parallel()
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "x.db")
	conn := openMigrationConn(t, path)
	require.NoError(t, beginAlone(ctx, conn))
	tx, err := conn.BeginTx(ctx, nil)
	require.NoError(t, err)
	_, err = tx.Exec("CREATE TABLE a (x)")
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	tx, err = conn.BeginTx(ctx, nil)
	require.NoError(t, err)
	_, err = tx.Exec("CREATE TABLE b (x)")
	require.NoError(t, err)
	require.NoError(t, tx.Rollback())

	require.Equal(t, 1, countTables(t, conn), "the savepoint was rolled back alone")
	require.NoError(t, conn.Close())
	require.Zero(t, countTables(t, openMigrationConn(t, path)))
}

func TestSQLiteMigrationsCheckForeignKeys(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	conn := openMigrationConn(t, filepath.Join(t.TempDir(), "x.db"))
	_, err := conn.ExecContext(ctx, "CREATE TABLE a (id PRIMARY KEY); CREATE TABLE b (a REFERENCES a (id))")
	require.NoError(t, err)
	require.NoError(t, checkForeignKeys(ctx, conn))
	_, err = conn.ExecContext(ctx, "INSERT INTO b VALUES (1)")
	require.NoError(t, err, "foreign keys are off while migrating")
	require.ErrorContains(t, checkForeignKeys(ctx, conn), "a row of b")
}

func countTables(t *testing.T, conn *sql.DB) (n int) {
	t.Helper()
	require.NoError(t, conn.QueryRow("SELECT count(*) FROM sqlite_schema").Scan(&n))
	return n
}
