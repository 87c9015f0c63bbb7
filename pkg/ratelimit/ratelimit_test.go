package ratelimit

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stoppedClock stands still until it is told to go on.
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

// Of any number of requests at once exactly as many are allowed as may be.
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

// network is the nth /64 of somebody who has many.
func network(n int) string {
	octets := [16]byte{0x20, 0x01}
	binary.BigEndian.PutUint32(octets[4:], uint32(n))
	return netip.AddrFrom16(octets).String()
}

// However many networks call, memory stays bounded, and windows that are over go first.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	l, c := newLimiter()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for n := range maxNetworks - 1 {
		require.True(t, l.Take("login", network(n), 1).Allowed)
	}
	c.advance(30 * time.Second)
	l.Take("login", "192.0.2.1", 1)
	require.Len(t, l.counts, maxNetworks)
	for n := range 1000 { // all windows are open: one goes for each that comes
		require.True(t, l.Take("login", network(maxNetworks+n), 1).Allowed)
		require.Len(t, l.counts, maxNetworks)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Less(t, after.HeapAlloc-min(before.HeapAlloc, after.HeapAlloc), uint64(32<<20))

	c.advance(30 * time.Second)
	l.Take("login", network(2*maxNetworks), 1)
	require.Less(t, len(l.counts), 2000, "windows that are over were kept")
	runtime.KeepAlive(l)
}

// A caller whose window is open is found again though the memory is full, and looking for room is rare.
func TestAFullMemoryStillCounts(t *testing.T) {
	t.Parallel()
	l, c := newLimiter()
	for n := range maxNetworks {
		l.Take("login", network(n), 1)
	}
	for n := range maxNetworks {
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
