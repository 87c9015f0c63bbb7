// Package database opens Latchkey's database, Postgres or the embedded SQLite. All access to it goes through this
// package. It migrates, carries transactions in the context, translates errors, and refuses statements that forget the
// portal.
//
// A repository writes db.From(ctx) for every statement and never keeps the result: inside InTx that is the transaction,
// outside it is the pool. Using the pool while a transaction is open would wait for ever on SQLite, which has one
// connection.
package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"

	"gorm.io/gorm"
)

// Dialect is the kind of database.
type Dialect string

// The databases that Latchkey runs on.
const (
	Postgres Dialect = "postgres"
	SQLite   Dialect = "sqlite"
)

// Options say which database to open.
type Options struct {
	// URL is "sqlite:" and a file's path, or a Postgres URL: postgres://user:password@host:5432/name?sslmode=….
	URL string
	// MaxConns bounds all connections of this DB, those of PgxPool too; 0 means four per core, and 2 is the least.
	// SQLite always has one.
	MaxConns int
	// MustExist makes Open and Migrate refuse a database that was never migrated, instead of making it.
	MustExist bool
	// Logger logs slow statements, by their text alone; nil logs nothing.
	Logger *slog.Logger
	// Observe is called with the text of every statement before it runs, BEGIN and COMMIT excepted; it may be nil. Tests
	// count statements with it.
	Observe func(ctx context.Context, statement string)
}

// DB is an open database. It is safe for concurrent use.
type DB struct {
	dialect Dialect
	sql     *sql.DB
	pool    *pool
	gorm    *gorm.DB
	// server, url and maxConns are of Postgres alone.
	server   *postgresServer
	url      string
	maxConns int
	// path is the file of an SQLite database.
	path string
	// place names the database in errors: the file, or the name and the host.
	place string
	// mustExist is Options.MustExist.
	mustExist bool
}

// Open opens the database. It creates a missing SQLite file, readable by its owner alone, unless the database must
// exist. Postgres need not answer yet: Migrate and Ready report whether it does.
//
// Errors name the setting LATCHKEY_DATABASE_URL and never repeat its value, because it holds a password.
func Open(ctx context.Context, o Options) (*DB, error) {
	target, err := parseURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("LATCHKEY_DATABASE_URL: %w", err)
	}
	logger := o.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}

	db := &DB{dialect: target.dialect, path: target.path, place: target.place(), mustExist: o.MustExist}
	if target.dialect == SQLite {
		if db.sql, err = openSQLite(ctx, target.path, o.MustExist); err != nil {
			return nil, fmt.Errorf("LATCHKEY_DATABASE_URL: %w", err)
		}
	} else {
		db.url, db.maxConns = o.URL, connLimit(o.MaxConns)
		db.server = &postgresServer{modeGiven: target.modeGiven}
		db.sql = openPostgres(db.server, target.postgres, db.maxConns)
	}
	db.pool = newPool(db.sql, guards[target.dialect](), o.Observe)
	if target.dialect == Postgres {
		db.pool.transactions = &sql.TxOptions{Isolation: sql.LevelReadCommitted}
	}

	db.gorm, err = gorm.Open(dialector(target.dialect, db.pool), &gorm.Config{
		Logger:                 queryLog{logger},
		TranslateError:         true,
		QueryFields:            true,
		SkipDefaultTransaction: true,
		DisableAutomaticPing:   true,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("LATCHKEY_DATABASE_URL: the database cannot be used: %w", err), db.Close())
	}
	return db, nil
}

// Dialect returns the kind of database.
func (db *DB) Dialect() Dialect { return db.dialect }

// From returns the transaction that ctx carries, else the pool. Statements run under ctx.
func (db *DB) From(ctx context.Context) *gorm.DB {
	if tx := db.transaction(ctx); tx != nil {
		return tx.gorm.WithContext(ctx)
	}
	return db.gorm.WithContext(ctx)
}

// Stats returns how the pool is used.
func (db *DB) Stats() sql.DBStats { return db.sql.Stats() }

// Close waits for running statements and closes every connection.
func (db *DB) Close() error {
	if err := errors.Join(db.sql.Close(), db.pool.refused.Close()); err != nil {
		return fmt.Errorf("database: close: %w", err)
	}
	return nil
}
