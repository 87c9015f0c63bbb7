package database

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// trustedFor is how long a connection that answered is used again without a ping.
	trustedFor = time.Second
	// pingTimeout is how long a ping may take. Callers get their answer within 5 s.
	pingTimeout = time.Second
)

// postgresServer is what all connections to one Postgres server know about it. A pool's stale connections are
// otherwise found one failed caller at a time: after a failover, or when a firewall forgets them without a word.
type postgresServer struct {
	// modeGiven means that the URL says how statements are sent.
	modeGiven bool
	// pooler means that a pooler was noticed between this program and the server.
	pooler atomic.Bool
	// connectedAfter and answeredAfter are Unix nanoseconds. A connection that was made, or answered last, before then is
	// not used any more.
	connectedAfter, answeredAfter atomic.Int64
}

// connState is what is known about one connection. Only the goroutine that has the connection uses it.
type connState struct {
	connected time.Time
	answered  time.Time // when it answered last
	began     time.Time // when the statement that runs was sent
	bad       bool
}

// connStateKey finds the connState in a connection's custom data.
const connStateKey = "latchkey"

func stateOf(conn *pgx.Conn) *connState {
	state, ok := conn.PgConn().CustomData()[connStateKey].(*connState)
	if !ok {
		return &connState{} // afterConnect has not run yet
	}
	return state
}

// TraceQueryStart notes when a statement was sent. It is part of pgx.QueryTracer.
func (s *postgresServer) TraceQueryStart(
	ctx context.Context, conn *pgx.Conn, _ pgx.TraceQueryStartData,
) context.Context {
	stateOf(conn).began = time.Now()
	return ctx
}

// TraceQueryEnd learns from the outcome of a statement. It is part of pgx.QueryTracer.
func (s *postgresServer) TraceQueryEnd(_ context.Context, conn *pgx.Conn, data pgx.TraceQueryEndData) {
	state, now := stateOf(conn), time.Now()
	var pg *pgconn.PgError
	switch {
	case data.Err == nil:
		state.answered = now
	case errors.As(data.Err, &pg):
		state.answered = now
		if forgotName(pg) && !s.modeGiven {
			s.pooler.Store(true)
		}
		if forgotName(pg) || cannotServe(pg) {
			state.bad = true
			raise(&s.connectedAfter, now)
		}
	case timedOut(data.Err) && now.Sub(state.began) >= trustedFor:
		raise(&s.answeredAfter, state.began)
	}
}

// usable reports whether a connection may be used again. It pings one that has been idle for a while. An unusable
// connection is cut off, because a polite goodbye waits for the server.
func (s *postgresServer) usable(ctx context.Context, conn *pgx.Conn) bool {
	if s.trusts(ctx, conn) {
		return true
	}
	_ = conn.PgConn().Conn().Close()
	return false
}

func (s *postgresServer) trusts(ctx context.Context, conn *pgx.Conn) bool {
	state, now := stateOf(conn), time.Now()
	switch {
	case state.bad, state.connected.UnixNano() < s.connectedAfter.Load(),
		state.answered.UnixNano() < s.answeredAfter.Load():
		return false
	case now.Sub(state.answered) <= trustedFor:
		return true
	}
	ping, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := conn.PgConn().Ping(ping); err != nil {
		if timedOut(err) && ctx.Err() == nil {
			raise(&s.answeredAfter, now)
		}
		return false
	}
	state.answered = time.Now()
	return true
}

// cannotServe reports whether the server says that it will not do its work any more, as far as this connection goes:
// 25006 read_only_sql_transaction, because it became a standby, or 57P01 to 57P05, because it ends the session.
func cannotServe(pg *pgconn.PgError) bool {
	return pg.Code == "25006" || len(pg.Code) == 5 && pg.Code[:3] == "57P"
}

// forgotName reports whether a named statement met a pooler that gives each transaction another session:
// 26000 invalid_sql_statement_name, 42P05 duplicate_prepared_statement. The statement did not run.
func forgotName(pg *pgconn.PgError) bool { return pg.Code == "26000" || pg.Code == "42P05" }

func timedOut(err error) bool { return errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err) }

// raise sets a moment, unless a later one is set.
func raise(moment *atomic.Int64, to time.Time) {
	for old := moment.Load(); old < to.UnixNano() && !moment.CompareAndSwap(old, to.UnixNano()); old = moment.Load() {
	}
}
