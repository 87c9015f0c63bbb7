package ratelimit

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stoppedClock moves only by advance.
type stoppedClock struct{ at atomic.Int64 }

func (c *stoppedClock) now() time.Time          { return time.Unix(0, c.at.Load()) }
func (c *stoppedClock) advance(d time.Duration) { c.at.Add(int64(d)) }

func newLimiter() (*Limiter, *stoppedClock) {
	c := &stoppedClock{}
	c.at.Store(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).UnixNano())
	return New(c.now), c
}

func TestAWindow(t *testing.T) {
	t.Parallel()
	l, c := newLimiter()
	take := func() Verdict { return l.Take("login", "192.0.2.1", 3) }
	require.Equal(t, Verdict{Allowed: true, Limit: 3, Remaining: 2, Reset: time.Minute}, take())
	c.advance(20 * time.Second)
	require.Equal(t, Verdict{Allowed: true, Limit: 3, Remaining: 1, Reset: 40 * time.Second}, take())
	require.Equal(t, Verdict{Allowed: true, Limit: 3, Remaining: 0, Reset: 40 * time.Second}, take())
	c.advance(40*time.Second - 1)
	for range 10 { // what is refused neither counts nor lengthens the window
		require.Equal(t, Verdict{Allowed: false, Limit: 3, Remaining: 0, Reset: 1}, take())
	}
	c.advance(1)
	require.Equal(t, Verdict{Allowed: true, Limit: 3, Remaining: 2, Reset: time.Minute}, take())
	c.advance(time.Hour)
	require.Equal(t, Verdict{Allowed: true, Limit: 3, Remaining: 2, Reset: time.Minute}, take())
}

func TestWhoIsCountedTogether(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		first, second string
		together      bool
	}{
		"the same IPv4":             {"192.0.2.1", "192.0.2.1", true},
		"neighbours":                {"192.0.2.1", "192.0.2.2", false},
		"the same /64":              {"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true},
		"another spelling of it":    {"2001:db8:1:2::1", "2001:0DB8:0001:0002:0:0:0:9", true},
		"the next /64":              {"2001:db8:1:2::1", "2001:db8:1:3::1", false},
		"a /64 of another /48":      {"2001:db8:1:2::1", "2001:db8:2:2::1", false},
		"IPv4 in IPv6":              {"192.0.2.1", "::ffff:192.0.2.1", true},
		"IPv4 and IPv6":             {"192.0.2.1", "2001:db8::1", false},
		"addresses that are none":   {"", "nonsense", true},
		"one that is none, and one": {"", "0.0.0.0", false},
		"loopback and unspecified":  {"::1", "::", true},
		"private networks":          {"10.0.0.1", "10.0.0.2", false},
	} {
		l, _ := newLimiter()
		require.True(t, l.Take("login", tt.first, 1).Allowed, name)
		require.Equal(t, !tt.together, l.Take("login", tt.second, 1).Allowed, name)
		require.True(t, l.Take("lookup", tt.first, 1).Allowed, "%s: another operation", name)
	}
}

// Of many requests at once, exactly the limit is allowed.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	l, _ := newLimiter()
	var allowed atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 50 {
				if l.Take("login", "192.0.2.1", 60).Allowed {
					allowed.Add(1)
				}
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 60, allowed.Load())
}

// network is an address in the nth /48, and so in a /64 of its own.
func network(n int) string {
	octets := [16]byte{0x20, 0x01}
	binary.BigEndian.PutUint32(octets[2:], uint32(n))
	return netip.AddrFrom16(octets).String()
}

// Memory stays bounded for any number of networks, and windows that are over go first.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	l, c := newLimiter()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for n := range maxCounts/2 - 1 { // each makes the counts of a /48 and a /64
		require.True(t, l.Take("login", network(n), 1).Allowed)
	}
	c.advance(30 * time.Second)
	l.Take("login", "192.0.2.1", 1)
	l.Take("login", "192.0.2.2", 1)
	require.Len(t, l.counts, maxCounts)
	for n := range 1000 { // all windows are open: one is deleted for each new one
		require.True(t, l.Take("login", network(maxCounts+n), 1).Allowed)
		require.Len(t, l.counts, maxCounts)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Less(t, after.HeapAlloc-min(before.HeapAlloc, after.HeapAlloc), uint64(32<<20))

	c.advance(30 * time.Second)
	l.Take("login", network(2*maxCounts), 1)
	require.Less(t, len(l.counts), 3000, "windows that are over were kept")
	runtime.KeepAlive(l)
}

// A site that is out of requests takes no more memory, however many networks it sends them from.
func TestASiteTakesLittleMemory(t *testing.T) {
	t.Parallel()
	l, _ := newLimiter()
	for n := range 10_000 {
		require.Equal(t, n < siteFactor, l.Take("login", fmt.Sprintf("2001:db8:1:%x::1", n), 1).Allowed)
	}
	require.Len(t, l.counts, 1+siteFactor)
}

// Open windows are found again when the memory is full, and looking for room is rare.
func TestAFullMemoryStillCounts(t *testing.T) {
	t.Parallel()
	l, c := newLimiter()
	for n := range maxCounts / 2 {
		l.Take("login", network(n), 1)
	}
	for n := range maxCounts / 2 {
		require.False(t, l.Take("login", network(n), 1).Allowed)
	}
	l.Take("login", "192.0.2.1", 1)
	swept := l.swept
	c.advance(time.Second - 1)
	l.Take("login", "192.0.2.2", 1)
	require.Equal(t, swept, l.swept)
	c.advance(1)
	l.Take("login", "192.0.2.3", 1)
	require.NotEqual(t, swept, l.swept)
}

// A /48 has 16 times as much as a /64 of it.
func TestASite(t *testing.T) {
	t.Parallel()
	l, c := newLimiter()
	var allowed int
	for n := range 100 {
		for range 10 {
			if l.Take("login", fmt.Sprintf("2001:db8:7:%x::1", n), 5).Allowed {
				allowed++
			}
		}
	}
	require.Equal(t, 16*5, allowed)
	require.True(t, l.Take("login", "2001:db8:8::1", 5).Allowed, "another site")
	c.advance(Window)
	require.True(t, l.Take("login", "2001:db8:7::1", 5).Allowed)
}

func begin(t *testing.T, l *Limiter, address string, limit int) *Try {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	try, _, err := l.Begin(ctx, "login", address, limit)
	require.NoError(t, err)
	return try
}

// Only tries that failed are counted, each once.
func TestFailedTriesCount(t *testing.T) {
	t.Parallel()
	l, c := newLimiter()
	for range 200 {
		require.Equal(t, Verdict{Allowed: true, Limit: 2, Remaining: 2, Reset: Window}, begin(t, l, "192.0.2.1", 2).End(false))
	}
	try := begin(t, l, "192.0.2.1", 2)
	require.Equal(t, Verdict{Allowed: true, Limit: 2, Remaining: 1, Reset: Window}, try.End(true))
	try.End(true)
	require.Equal(t, Verdict{Allowed: false, Limit: 2, Remaining: 0, Reset: Window}, begin(t, l, "192.0.2.1", 2).End(true))
	refused, v, err := l.Begin(t.Context(), "login", "192.0.2.1", 2)
	require.NoError(t, err)
	require.Nil(t, refused)
	require.Equal(t, Verdict{Allowed: false, Limit: 2, Remaining: 0, Reset: Window}, v)
	require.NotNil(t, begin(t, l, "192.0.2.2", 2))

	c.advance(Window)
	old := begin(t, l, "192.0.2.1", 2)
	c.advance(Window)
	require.Equal(t, 1, old.End(true).Remaining, "it counts in the window in which it is decided")
}

// Of many tries at once exactly as many fail as the limit allows, and right ones among them are never refused before it
// is reached.
func TestManyTriesAtOnce(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ address, other string }{
		"IPv4": {"192.0.2.1", "192.0.2.1"}, "a /64": {"2001:db8::1", "2001:db8::2"},
	} {
		l, _ := newLimiter()
		var right, wrong, refused atomic.Int64
		var all sync.WaitGroup
		for n := range 400 {
			all.Go(func() {
				address := tt.address
				if n%2 == 0 {
					address = tt.other
				}
				try, _, err := l.Begin(t.Context(), "login", address, 60)
				if err != nil || try == nil {
					refused.Add(1)
					return
				}
				time.Sleep(time.Millisecond)
				if n < 200 {
					right.Add(1)
				} else {
					wrong.Add(1)
				}
				try.End(n >= 200)
			})
		}
		all.Wait()
		require.EqualValues(t, 60, wrong.Load(), name)
		require.EqualValues(t, 400, right.Load()+wrong.Load()+refused.Load(), name)

		l, _ = newLimiter()
		refused.Store(0)
		for range 200 {
			all.Go(func() {
				try, _, err := l.Begin(t.Context(), "login", tt.address, 60)
				if err != nil || try == nil {
					refused.Add(1)
					return
				}
				time.Sleep(time.Millisecond)
				try.End(false)
			})
		}
		all.Wait()
		require.Zero(t, refused.Load(), "%s: right tries", name)
	}
}

// A caller that gives up stops waiting.
func TestAWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	l, _ := newLimiter()
	pending := begin(t, l, "192.0.2.1", 1)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, _, err := l.Begin(ctx, "login", "192.0.2.1", 1)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	pending.End(false)
	require.NotNil(t, begin(t, l, "192.0.2.1", 1))
}
