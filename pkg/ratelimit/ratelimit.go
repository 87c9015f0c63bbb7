// Package ratelimit counts what each network asks of each operation, in this process and in bounded memory.
package ratelimit

import (
	"net/netip"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/clock"
)

// Window is the time in which a network's requests are counted; it begins with the first.
const Window = time.Minute

// maxNetworks bounds the memory: some 8 MiB when full. Whoever has that many networks is not held by this limit, but
// by the locking, the tries of a code and the cool-downs, which do not count networks.
const maxNetworks = 100_000

// Limiter counts requests by operation and network. It is safe for concurrent use.
type Limiter struct {
	clock clock.Clock

	mu     sync.Mutex
	counts map[key]*count
	swept  time.Time
}

type key struct {
	operation string
	network   netip.Prefix
}

type count struct {
	used int
	ends time.Time
}

// New makes a limiter.
func New(now clock.Clock) *Limiter {
	return &Limiter{clock: now, counts: make(map[key]*count)}
}

// Verdict is what a request is told.
type Verdict struct {
	Allowed   bool
	Limit     int
	Remaining int
	Reset     time.Duration // until the window ends
}

// Take counts a request of a network: an IPv4 address, or the /64 of an IPv6 one.
func (l *Limiter) Take(operation, address string, limit int) Verdict {
	now, who := l.clock(), key{operation, networkOf(address)}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.counts[who]
	if c == nil || !now.Before(c.ends) {
		if c == nil && len(l.counts) >= maxNetworks {
			l.makeRoom(now)
		}
		c = &count{ends: now.Add(Window)}
		l.counts[who] = c
	}
	verdict := Verdict{Allowed: c.used < limit, Limit: limit, Reset: c.ends.Sub(now)}
	if verdict.Allowed {
		c.used++
	}
	verdict.Remaining = limit - c.used
	return verdict
}

// makeRoom forgets the windows that are over; where none is, the first that comes. It looks through all of them once a
// second at most, so that many networks do not make every request slow.
func (l *Limiter) makeRoom(now time.Time) {
	if now.Sub(l.swept) >= time.Second {
		l.swept = now
		for who, c := range l.counts {
			if !now.Before(c.ends) {
				delete(l.counts, who)
			}
		}
	}
	if len(l.counts) < maxNetworks {
		return
	}
	for who := range l.counts {
		delete(l.counts, who)
		return
	}
}

// networkOf is what one caller is taken for. An address that cannot be read shares a count with its like.
func networkOf(address string) netip.Prefix {
	parsed, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	bits := 32
	if parsed.Is6() {
		bits = 64
	}
	network, err := parsed.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return network
}
