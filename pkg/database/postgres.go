package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// connectTimeout bounds each try to connect, unless connect_timeout in the URL says otherwise.
	connectTimeout = 3 * time.Second
	// connLifetime lets a pool move over after a failover or behind a load balancer.
	connLifetime = 30 * time.Minute
	// connIdleTime ends connections before a firewall forgets them, or their server is long gone.
	connIdleTime = 90 * time.Second
)

// openPostgres makes the pool without connecting. It keeps as many connections idle as it may open: Go's default of two
// would reconnect all day.
func openPostgres(server *postgresServer, config *pgx.ConnConfig, maxConns int) *sql.DB {
	config.Tracer = server
	db := sql.OpenDB(postgresConnector{stdlib.GetConnector(*config,
		stdlib.OptionBeforeConnect(server.beforeConnect),
		stdlib.OptionAfterConnect(server.afterConnect),
		// server.usable pings, and with a timeout of its own.
		stdlib.OptionShouldPing(func(context.Context, stdlib.ShouldPingParams) bool { return false }),
		stdlib.OptionResetSession(func(ctx context.Context, conn *pgx.Conn) error {
			if !server.usable(ctx, conn) {
				return driver.ErrBadConn // database/sql closes it and takes another one
			}
			return nil
		}),
	)})
	db.SetMaxOpenConns(maxConns)
	db.SetMaxIdleConns(maxConns)
	db.SetConnMaxLifetime(connLifetime)
	db.SetConnMaxIdleTime(connIdleTime)
	return db
}

// connLimit is the number of all connections that a DB may open. Migrate needs two at a time.
func connLimit(maxConns int) int {
	if maxConns == 0 {
		maxConns = 4 * runtime.GOMAXPROCS(0)
	}
	return max(maxConns, 2)
}

// postgresConnector connects again, in the other mode, when the first connection finds a pooler.
type postgresConnector struct{ driver.Connector }

func (c postgresConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if errors.Is(err, errPooler) {
		conn, err = c.Connector.Connect(ctx)
	}
	return conn, err
}

// errPooler means that a connection with named statements was made through a pooler.
var errPooler = errors.New("database: a pooler forgets named statements")

// encodingError means that the database cannot store every text.
type encodingError struct{ encoding string }

func (e encodingError) Error() string {
	return "LATCHKEY_DATABASE_URL: the encoding of the database is " + e.encoding +
		", want UTF8: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
}

// beforeConnect has statements described, and not named, behind a pooler.
func (s *postgresServer) beforeConnect(_ context.Context, config *pgx.ConnConfig) error {
	if s.pooler.Load() && !s.modeGiven {
		config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	return nil
}

// afterConnect checks a new connection, in one round trip.
//
// It notices a pooler (PgBouncer and its kin) by the process id: a pooler gives its clients ids of its own. In transaction
// mode a pooler forgets named statements, or refuses them because another client has given the name.
//
// It makes READ COMMITTED the default of the session, because a role's or a database's default may be stricter. Behind a
// pooler the setting would reach other clients. There transactions state it, and single statements are tried again.
//
// Errors: encodingError, errPooler.
func (s *postgresServer) afterConnect(ctx context.Context, conn *pgx.Conn) (err error) {
	defer func() {
		if err != nil {
			_ = conn.PgConn().Conn().Close() // stdlib leaves it open
		}
	}()
	pg := conn.PgConn()
	if encoding := pg.ParameterStatus("server_encoding"); encoding != "" && encoding != "UTF8" {
		return encodingError{encoding}
	}
	results, err := pg.Exec(ctx, fmt.Sprintf(`SELECT pg_backend_pid(), CASE WHEN pg_backend_pid() = %d
		THEN set_config('default_transaction_isolation', 'read committed', false) END`, pg.PID())).ReadAll()
	if err != nil {
		return err
	}
	if string(results[0].Rows[0][0]) != strconv.FormatUint(uint64(pg.PID()), 10) {
		s.pooler.Store(true)
		if mode := conn.Config().DefaultQueryExecMode; mode == pgx.QueryExecModeCacheStatement && !s.modeGiven {
			return errPooler
		}
	}
	now := time.Now()
	pg.CustomData()[connStateKey] = &connState{connected: now, answered: now}
	return nil
}
