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

func (db *DB) migratePostgres(ctx context.Context) error {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300)) // looks every second, for five minutes
	if err != nil {
		return err
	}
	return up(ctx, goose.DialectPostgres, db.sql, Postgres, goose.WithSessionLocker(locker))
}

// up lets goose apply the missing migrations.
func up(ctx context.Context, d goose.Dialect, db *sql.DB, own Dialect, options ...goose.ProviderOption) error {
	dir, _ := migrationFiles(own)
	options = append(options, goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	provider, err := goose.NewProvider(d, db, dir, options...)
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// Ready reports whether the database can be reached and is migrated to this program's version or a later one.
//
// Errors: unavailable.
func (db *DB) Ready(ctx context.Context) error {
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
