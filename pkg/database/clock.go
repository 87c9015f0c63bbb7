package database

import (
	"context"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/clock"
)

// Clock tells the time by which instances compare what they wrote: that of the Postgres server. SQLite is embedded in one
// machine, so there it is the machine's, which is never set back while the program runs. Local is the machine's clock.
//
// Errors: unavailable.
func (db *DB) Clock(ctx context.Context, local clock.Clock) (clock.Clock, error) {
	if db.dialect == SQLite {
		return clock.Steady(local), nil
	}
	return clock.Follow(ctx, local, func(ctx context.Context) (clock.Reading, error) { return db.readClock(ctx, local) })
}

// readClock compares the clock of the Postgres server with local. It waits for a connection first, so that the round trip
// is the statement's alone.
func (db *DB) readClock(ctx context.Context, local clock.Clock) (clock.Reading, error) {
	conn, err := db.sql.Conn(ctx)
	if err != nil {
		return clock.Reading{}, Err(err)
	}
	defer func() { _ = conn.Close() }()
	var micros int64
	sent := local()
	err = conn.QueryRowContext(ctx, "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)").Scan(&micros)
	if err != nil {
		return clock.Reading{}, Err(err)
	}
	roundTrip := local().Sub(sent)
	return clock.Reading{
		Database: time.UnixMicro(micros), Local: sent.Add(roundTrip / 2), RoundTrip: roundTrip,
	}, nil
}
