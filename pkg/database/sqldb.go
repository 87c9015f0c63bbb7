package database

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// SQL gives the pool itself, for a library that brings its own statements. They are neither guarded nor observed.
func (db *DB) SQL() *sql.DB { return db.sql }

// PgxPool makes a pool of its own to the same Postgres, of at most maxConns connections, for a library that speaks
// pgx; whoever asks for it closes it.
func (db *DB) PgxPool(ctx context.Context, maxConns int32) (*pgxpool.Pool, error) {
	url, err := db.postgresURL(ctx)
	if err != nil {
		return nil, Err(err)
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, Err(err)
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	config.MaxConns, config.MaxConnLifetime = maxConns, connLifetime
	pool, err := pgxpool.NewWithConfig(ctx, config)
	return pool, Err(err)
}

// postgresURL asks a connection what it was made from. Its whole configuration must not be used for another: it holds
// the handlers of this one.
func (db *DB) postgresURL(ctx context.Context) (url string, err error) {
	conn, err := db.sql.Conn(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	err = conn.Raw(func(driverConn any) error {
		url = driverConn.(*stdlib.Conn).Conn().Config().ConnString()
		return nil
	})
	return url, err
}
