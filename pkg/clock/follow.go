package clock

import (
	"context"
	"sync/atomic"
	"time"
)

// Reading compares the database's clock with the local one.
type Reading struct {
	Database  time.Time
	Local     time.Time     // the local time when the database was asked, halfway through the round trip
	RoundTrip time.Duration // the comparison is right to half of it
}

// Reader takes a Reading.
type Reader func(context.Context) (Reading, error)

// A clock that is asked takes a new reading every readEvery, in the background. After one that failed it waits retryAfter.
const (
	readEvery  = 3 * time.Second
	readTime   = 2 * time.Second
	retryAfter = time.Second
)

// follower tells the time of the database. Between two readings it counts on by the local clock, which time.Now does with
// the machine's monotonic clock: setting the machine's clock changes nothing.
type follower struct {
	local   Clock
	read    Reader
	last    atomic.Pointer[Reading]
	reading atomic.Bool
}

// Follow returns a clock that follows the database's. It takes the first reading before it returns. While the database
// is away the clock counts on.
func Follow(ctx context.Context, local Clock, read Reader) (Clock, error) {
	first, err := read(ctx)
	if err != nil {
		return nil, err
	}
	f := &follower{local: local, read: read}
	f.last.Store(&first)
	return f.now, nil
}

func (f *follower) now() time.Time {
	last := f.last.Load()
	passed := f.local().Sub(last.Local)
	if passed < 0 || passed > readEvery {
		f.readSoon()
	}
	return last.Database.Add(max(passed, 0))
}

// readSoon takes a reading in the background, unless one is under way.
func (f *follower) readSoon() {
	if !f.reading.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer f.reading.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), readTime)
		defer cancel()
		reading, err := f.read(ctx)
		if err != nil {
			time.Sleep(retryAfter)
			return
		}
		f.adopt(reading)
	}()
}

// adopt takes a reading over. Where it says no more than that the clock is right to half the round trip, the clock keeps its
// course, so that it does not jump by a few milliseconds at each reading.
func (f *follower) adopt(reading Reading) {
	last := f.last.Load()
	expected := last.Database.Add(reading.Local.Sub(last.Local))
	if reading.Database.Sub(expected).Abs() <= reading.RoundTrip/2 {
		reading.Database = expected
	}
	f.last.Store(&reading)
}
