package database

import (
	"database/sql"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// connectTimeout bounds each try to connect, unless connect_timeout in the URL says otherwise.
	connectTimeout = 3 * time.Second
	// connLifetime lets a pool move over after a failover or behind a load balancer.
	connLifetime = 30 * time.Minute
)

// openPostgres makes the pool without connecting. It keeps as many connections idle as it may open: Go's default of two
// would reconnect all day.
func openPostgres(config *pgx.ConnConfig, maxConns int) *sql.DB {
	if maxConns <= 0 {
		maxConns = 4 * runtime.GOMAXPROCS(0)
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(maxConns)
	db.SetMaxIdleConns(maxConns)
	db.SetConnMaxLifetime(connLifetime)
	return db
}
