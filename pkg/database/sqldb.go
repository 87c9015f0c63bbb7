package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// errPoolSettings means that a URL is good for one connection, but not for a pool of them.
var errPoolSettings = errors.New("a setting in the Postgres URL that begins with pool_ is not understood; leave it out")

// SQL returns the pool itself, for a library that brings its own statements. They are neither guarded nor observed.
func (db *DB) SQL() *sql.DB { return db.sql }

// Pooled reports whether a pooler was noticed between this program and Postgres. Behind one LISTEN does not work.
func (db *DB) Pooled() bool { return db.server != nil && db.server.pooler.Load() }

// MinConnsWithPgxPool is the least Options.MaxConns with which PgxPool can be used: it needs two connections, and the
// rest of the program one.
const MinConnsWithPgxPool = 3

// PgxPool makes a second pool to the same Postgres, for a library that speaks pgx. The caller closes it. Its connections
// come out of Options.MaxConns: at most want, fewer where there are few, and the other pool gives them up. One of them is
// for a connection that the library takes out of the pool for good, as River does to listen.
func (db *DB) PgxPool(ctx context.Context, want int) (*pgxpool.Pool, error) {
	if db.server == nil {
		return nil, fmt.Errorf("database: %s has no pgx pool", db.dialect)
	}
	if err := db.sql.PingContext(ctx); err != nil { // a pooler is known after the first connection
		return nil, Err(err)
	}
	config, err := pgxpool.ParseConfig(db.url)
	if err != nil {
		return nil, fmt.Errorf("LATCHKEY_DATABASE_URL: %w", errPoolSettings) // not err, which repeats the URL
	}
	if db.maxConns < MinConnsWithPgxPool {
		return nil, fmt.Errorf("LATCHKEY_DATABASE_MAX_CONNS: want %d or more", MinConnsWithPgxPool)
	}
	share := max(2, min(want, db.maxConns/3))
	db.sql.SetMaxIdleConns(db.maxConns - share)
	db.sql.SetMaxOpenConns(db.maxConns - share)
	config.MaxConns, config.MinConns, config.MinIdleConns = int32(share-1), 0, 0
	config.MaxConnLifetime, config.MaxConnIdleTime = connLifetime, connIdleTime
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	config.ConnConfig.Tracer = db.server
	config.BeforeConnect, config.AfterConnect = db.server.beforeConnect, db.server.afterConnect
	config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false } // usable does
	config.PrepareConn = func(ctx context.Context, conn *pgx.Conn) (bool, error) {
		return db.server.usable(ctx, conn), nil
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	return pool, Err(err)
}
