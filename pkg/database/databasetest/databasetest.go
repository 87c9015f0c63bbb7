// Package databasetest gives every test a migrated database of its own, on SQLite and on Postgres. A package that uses
// it has
//
//	func TestMain(m *testing.M) { databasetest.Main(m) }
//
// Postgres is the cluster of LATCHKEY_TEST_POSTGRES_URL (a superuser's URL), else one that the test binary starts for
// itself from the programs on this machine, as a copy of files that it keeps in the user's cache directory. Where there
// is neither, tests run on SQLite alone and the run lists the tests that were left out. LATCHKEY_TEST_POSTGRES=required
// makes that a failure.
package databasetest

import (
	"context"
	"testing"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/database"
)

// maxConns keeps pools small, because many tests share a cluster.
const maxConns = 6

// patience bounds what a test's set-up does with the database.
const patience = time.Minute

// Dialects lists the databases that this run has.
func Dialects() []database.Dialect {
	if !postgresFound() {
		return []database.Dialect{database.SQLite}
	}
	return []database.Dialect{database.SQLite, database.Postgres}
}

// Each runs fn as the parallel subtests "sqlite" and "postgres", each on a migrated database of its own.
func Each(t *testing.T, fn func(t *testing.T, db *database.DB)) {
	t.Helper()
	eachDialect(t, func(t *testing.T, d database.Dialect) { fn(t, Open(t, d)) })
}

// EachBlank is Each for tests that migrate: they get the URL of a database without a schema.
func EachBlank(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	eachDialect(t, func(t *testing.T, d database.Dialect) { fn(t, BlankURL(t, d)) })
}

func eachDialect(t *testing.T, fn func(t *testing.T, d database.Dialect)) {
	t.Helper()
	for _, d := range Dialects() {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			fn(t, d)
		})
	}
	if !postgresFound() {
		leaveOut(t.Name())
	}
}

// Open opens a fresh migrated database, which goes when the test ends.
func Open(tb testing.TB, d database.Dialect) *database.DB {
	tb.Helper()
	return OpenURL(tb, URL(tb, d))
}

// OpenURL opens the database at a URL with a small pool, and closes it when the test ends.
func OpenURL(tb testing.TB, url string) *database.DB {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	db, err := database.Open(ctx, database.Options{URL: url, MaxConns: maxConns, Observe: count})
	if err != nil {
		tb.Fatalf("open the test's database: %v", err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("close the test's database: %v", err)
		}
	})
	return db
}

// URL makes a fresh migrated database and gives its URL, to open it twice or to run the program on it.
func URL(tb testing.TB, d database.Dialect) string {
	tb.Helper()
	if d == database.SQLite {
		return sqliteURL(tb, true)
	}
	return postgresURL(tb, true)
}

// BlankURL makes a fresh database without a schema and gives its URL.
func BlankURL(tb testing.TB, d database.Dialect) string {
	tb.Helper()
	if d == database.SQLite {
		return sqliteURL(tb, false)
	}
	return postgresURL(tb, false)
}

// migrate brings the database at a URL to this program's schema and leaves no connection behind.
func migrate(ctx context.Context, url string) error {
	db, err := database.Open(ctx, database.Options{URL: url, MaxConns: 2})
	if err != nil {
		return err
	}
	migrated := db.Migrate(ctx)
	if err := db.Close(); err != nil {
		return err
	}
	return migrated
}
