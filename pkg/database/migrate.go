package database

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	gosqlite "github.com/glebarez/go-sqlite"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/latchkey-auth/latchkey/pkg/fault"
)

//go:embed migrations/*/*.sql
var migrations embed.FS

// migrationFiles are the migrations of a dialect, in order: goose numbers them with a prefix of fixed width.
func migrationFiles(d Dialect) (fs.FS, []string) {
	dir, err := fs.Sub(migrations, "migrations/"+string(d))
	if err != nil {
		panic(err) // the directory is embedded
	}
	names, err := fs.Glob(dir, "*.sql")
	if err != nil {
		panic(err) // the pattern is well-formed
	}
	return dir, names
}

// migrationText is every migration of a dialect, one after another.
func migrationText(d Dialect) string {
	dir, names := migrationFiles(d)
	var text strings.Builder
	for _, name := range names {
		migration, err := fs.ReadFile(dir, name)
		if err != nil {
			panic(err) // the file is embedded
		}
		text.Write(migration)
		text.WriteString("\n;\n")
	}
	return text.String()
}

// Fingerprint identifies the schema that this program migrates to: it is a digest of the migrations.
func Fingerprint(d Dialect) string {
	digest := sha256.Sum256([]byte(migrationText(d)))
	return hex.EncodeToString(digest[:8])
}

// wantedVersion is the number of the last migration of this program.
func wantedVersion(d Dialect) int64 {
	_, names := migrationFiles(d)
	number, _, _ := strings.Cut(names[len(names)-1], "_")
	version, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		panic(err) // a migration's name begins with its number
	}
	return version
}

// Migrate brings the schema to this program's version, under a lock that makes concurrent callers wait. It leaves a
// newer schema alone: migrations are written so that the version before still runs on them. It fails, and changes
// nothing, where the database must exist and has no schema.
func (db *DB) Migrate(ctx context.Context) error {
	version, err := db.version(ctx)
	if err != nil || version >= wantedVersion(db.dialect) {
		return err
	}
	if version == 0 && db.mustExist {
		return fmt.Errorf("LATCHKEY_DATABASE_URL: %w", noDatabaseError(db.place))
	}
	if db.dialect == SQLite {
		err = db.migrateSQLite(ctx)
	} else {
		err = db.migratePostgres(ctx)
	}
	if err != nil {
		return Err(fmt.Errorf("migrate: %w", err))
	}
	return nil
}

const (
	// lockWait is how long Migrate waits for another process that migrates.
	lockWait = 5 * time.Minute
	// lockPoll is how often it looks.
	lockPoll = 200 * time.Millisecond
)

// migratePostgres holds goose's advisory lock in a transaction of its own while goose migrates. A lock of the session, as
// goose takes it, would stay behind in a pooler that gives each transaction another session.
func (db *DB) migratePostgres(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	tx, err := db.sql.BeginTx(ctx, db.pool.transactions)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // it has written nothing
	for {
		var locked bool
		err := tx.QueryRowContext(ctx, "SELECT pg_try_advisory_xact_lock($1)", lock.DefaultLockID).Scan(&locked)
		if err != nil {
			return err
		}
		if locked {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockPoll):
		}
	}
	return up(ctx, goose.DialectPostgres, db.sql, Postgres)
}

// up lets goose apply the missing migrations.
func up(ctx context.Context, d goose.Dialect, db *sql.DB, own Dialect) error {
	dir, _ := migrationFiles(own)
	provider, err := goose.NewProvider(d, db, dir,
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// Ready reports whether the database takes writes and is migrated to this program's version or a later one.
//
// Errors: unavailable.
func (db *DB) Ready(ctx context.Context) error {
	if err := db.takesWrites(ctx); err != nil {
		return err
	}
	version, err := db.version(ctx)
	if err != nil {
		return err
	}
	if want := wantedVersion(db.dialect); version < want {
		err := fmt.Errorf("database: migrated to version %d, this program needs %d", version, want)
		return fault.Wrap(fault.Unavailable, err).After(retryAway)
	}
	return nil
}

// takesWrites asks Postgres whether it is a standby or read-only, and has SQLite take its write lock.
func (db *DB) takesWrites(ctx context.Context) error {
	if db.dialect == SQLite {
		tx, err := db.sql.BeginTx(ctx, nil) // BEGIN IMMEDIATE
		if err != nil {
			return Err(err)
		}
		return Err(tx.Rollback())
	}
	for range 2 { // the second time over a new connection: an old one may have been made to what is a standby by now
		asked, readOnly := time.Now(), false
		err := db.sql.QueryRowContext(ctx,
			"SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool").Scan(&readOnly)
		if err != nil || !readOnly {
			return Err(err)
		}
		raise(&db.server.connectedAfter, asked)
	}
	return unavailable(errors.New("database: it is read-only"), retryAway)
}

// version is the number of the last applied migration; 0 where there is none.
func (db *DB) version(ctx context.Context) (int64, error) {
	var version sql.NullInt64
	err := db.sql.QueryRowContext(ctx, "SELECT MAX(version_id) FROM "+goose.DefaultTablename).Scan(&version)
	if tableMissing(err) {
		return 0, nil
	}
	return version.Int64, Err(err)
}

func tableMissing(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "42P01" // undefined_table
	}
	var lite *gosqlite.Error
	return errors.As(err, &lite) && lite.Code() == sqlite3.SQLITE_ERROR && strings.Contains(lite.Error(), "no such table")
}
