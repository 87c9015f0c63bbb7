package database_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	for _, url := range []string{
		"", "latchkey.db", "mysql://root:hunter2@localhost/x", "hunter2",
		"postgres://u:hunter2@host:port/x", "postgres://u:hunter2%zz@host/x", "postgres://u:hunter2@host/x?sslmode=no",
		"postgres://u@host/x?password=hunter2&connect_timeout=soon",
		"sqlite:", "sqlite::memory:", "sqlite://x/y.db", "sqlite:a\x00b",
		"sqlite:" + filepath.Join(t.TempDir(), "missing", "x.db"), "sqlite:" + t.TempDir(),
	} {
		_, err := database.Open(context.Background(), database.Options{URL: url})
		require.ErrorContains(t, err, "LATCHKEY_DATABASE_URL", url)
		require.NotContains(t, err.Error(), secret)
	}
}

func TestOpenRefusesAFileThatIsNoDatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "letter.txt")
	require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte("Dear Sir or Madam, "), 500), 0o600))
	_, err := database.Open(context.Background(), database.Options{URL: "sqlite:" + path})
	require.ErrorContains(t, err, "LATCHKEY_DATABASE_URL")
}

// A database that must exist is never made, neither its file nor its tables.
func TestDatabaseThatMustExist(t *testing.T) {
	t.Parallel()
	databasetest.EachBlank(t, func(t *testing.T, url string) {
		path, embedded := strings.CutPrefix(url, "sqlite:")
		open := func(mustExist bool) error {
			db, err := database.Open(t.Context(), database.Options{URL: url, MaxConns: 2, MustExist: mustExist})
			if err != nil {
				return err
			}
			return errors.Join(db.Migrate(t.Context()), db.Close())
		}

		err := open(true)
		require.ErrorContains(t, err, "LATCHKEY_DATABASE_URL: there is no database at ")
		if embedded {
			require.ErrorContains(t, err, path)
			require.NoFileExists(t, path)
			require.NoError(t, os.WriteFile(path, nil, 0o600))
			require.ErrorContains(t, open(true), "there is no database at "+path)
			left, err := os.ReadDir(filepath.Dir(path))
			require.NoError(t, err)
			require.Len(t, left, 1)
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.Zero(t, info.Size())
		} else {
			var tables int
			require.NoError(t, databasetest.OpenURL(t, url).SQL().QueryRowContext(t.Context(),
				"SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema()").Scan(&tables))
			require.Zero(t, tables)
		}

		require.NoError(t, open(false))
		require.NoError(t, open(true))
	})
}

// The file of a database that is open is deleted: nothing makes an empty one in its place.
func TestDeletedSQLiteFileIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	db, err := database.Open(t.Context(), database.Options{URL: "sqlite:" + path})
	require.NoError(t, err)
	require.NoError(t, os.Remove(path))
	require.Error(t, db.Migrate(t.Context())) // it opens a connection of its own
	require.NoFileExists(t, path)
	require.NoError(t, db.Close())
}

func TestSQLiteFileNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"plain.db", "with space.db", "100%.db", "what?.db", "a?_pragma=x.db", "%41.db", "a#b.db", "ü.db"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			db, err := database.Open(context.Background(), database.Options{URL: "sqlite:" + filepath.Join(dir, name)})
			require.NoError(t, err)
			require.NoError(t, db.Migrate(context.Background()))
			require.NoError(t, db.Ready(context.Background()))

			files, err := filepath.Glob(filepath.Join(dir, "*"))
			require.NoError(t, err)
			require.Contains(t, files, filepath.Join(dir, name))
			for _, file := range files { // -wal and -shm among them
				info, err := os.Stat(file)
				require.NoError(t, err)
				require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), file)
			}
			require.NoError(t, db.Close())
			left, err := filepath.Glob(filepath.Join(dir, "*"))
			require.NoError(t, err)
			require.Len(t, left, 1, "closing folds the write-ahead log into the file")
		})
	}
}

func TestSQLiteSettings(t *testing.T) {
	t.Parallel()
	db, err := database.Open(context.Background(), database.Options{URL: "sqlite:" + filepath.Join(t.TempDir(), "x.db"), MaxConns: 9})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	require.Equal(t, 1, db.Stats().MaxOpenConnections)
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "busy_timeout": "4000", "foreign_keys": "1",
	} {
		var got string
		require.NoError(t, db.From(context.Background()).Raw("PRAGMA "+pragma).Row().Scan(&got))
		require.Equal(t, want, got, pragma)
	}
}

func TestPostgresNeedNotAnswerYet(t *testing.T) {
	t.Parallel()
	db, err := database.Open(context.Background(), database.Options{URL: "postgres://u:hunter2@127.0.0.1:1/x"})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	for _, err := range []error{db.Migrate(context.Background()), db.Ready(context.Background())} {
		require.Equal(t, fault.Unavailable, fault.CodeOf(err))
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestLogNamesSlowStatementsWithoutParameters(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	db, err := database.Open(context.Background(), database.Options{URL: "sqlite:" + filepath.Join(t.TempDir(), "x.db"), Logger: logger})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()

	const slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) SELECT count(*) FROM n WHERE ? <> ''"
	require.NoError(t, db.From(context.Background()).Exec("SELECT ?", "mia@example.com").Error)
	require.Error(t, db.From(context.Background()).Exec("SELECT nothing FROM nowhere WHERE x = ?", "mia@example.com").Error)
	require.Empty(t, out.String())
	require.NoError(t, db.From(context.Background()).Exec(slow, "mia@example.com").Error)
	require.Contains(t, out.String(), "slow statement")
	require.Contains(t, out.String(), "WITH RECURSIVE")
	require.NotContains(t, out.String(), "mia@example.com")
}
