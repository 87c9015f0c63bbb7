// Package ratelimit counts requests and failed tries by network, in this process and in bounded memory.
package ratelimit

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/clock"
)

// Window is the time in which requests are counted. It begins with the first one.
const Window = time.Minute

// maxCounts bounds the memory: some 16 MiB when full. A caller with that many networks is not stopped by this package,
// but by lockouts, tries of a code and cool-downs, which do not depend on networks.
const maxCounts = 100_000

// siteFactor is how many times as much a /48 has as a /64: a site gets a /48, and has 65,536 networks of /64 in it.
const siteFactor = 16

// Limiter counts by name and network. It is safe for concurrent use.
type Limiter struct {
	clock clock.Clock

	mu     sync.Mutex
	counts map[key]*count
	swept  time.Time
}

type key struct {
	name    string
	network netip.Prefix
}

// count is the state of one key. Tries are pending until End.
type count struct {
	used    int
	pending int
	ends    time.Time
	freed   chan struct{} // closed when a pending try ends; nil while nobody waits
}

// New makes a limiter.
func New(now clock.Clock) *Limiter {
	return &Limiter{clock: now, counts: make(map[key]*count)}
}

// Verdict is the answer to a request.
type Verdict struct {
	Allowed   bool
	Limit     int
	Remaining int
	Reset     time.Duration // until the window ends
}

// Take counts a request of a network: an IPv4 address, or the /64 and the /48 of an IPv6 address.
func (l *Limiter) Take(name, address string, limit int) Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock()
	held := l.levels(now, name, address, limit)
	v := verdict(now, limit, held)
	if v.Allowed {
		for _, h := range held {
			h.used++
		}
		v.Remaining--
	}
	return v
}

// TakeOf counts a request under a name alone, whatever its network.
func (l *Limiter) TakeOf(name string, limit int) Verdict { return l.Take(name, "", limit) }

// Try is one that is not decided yet. It must be ended.
type Try struct {
	limiter *Limiter
	limit   int
	held    []level
	ended   bool
}

// Begin reserves a try of a network, of which only failed ones count. At any time, failed and undecided tries together
// stay within the limit, so that tries at the same time cannot exceed it. Begin waits while undecided tries fill the
// limit, because they may turn out right.
//
// A nil Try is a refusal, which the verdict explains. Errors: those of ctx.
func (l *Limiter) Begin(ctx context.Context, name, address string, limit int) (*Try, Verdict, error) {
	for {
		try, v, wait := l.begin(name, address, limit)
		if wait == nil {
			return try, v, nil
		}
		select {
		case <-ctx.Done():
			return nil, v, ctx.Err()
		case <-wait:
		}
	}
}

// begin gives a channel to wait for if undecided tries fill the limit.
func (l *Limiter) begin(name, address string, limit int) (*Try, Verdict, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock()
	held := l.levels(now, name, address, limit)
	v := verdict(now, limit, held)
	if !v.Allowed {
		return nil, v, nil
	}
	for _, h := range held {
		if h.used+h.pending >= h.limit {
			if h.freed == nil {
				h.freed = make(chan struct{})
			}
			return nil, v, h.freed
		}
	}
	for _, h := range held {
		h.pending++
	}
	return &Try{limiter: l, limit: limit, held: held}, v, nil
}

// End decides the try. Later calls do nothing.
func (t *Try) End(failed bool) Verdict {
	t.limiter.mu.Lock()
	defer t.limiter.mu.Unlock()
	now := t.limiter.clock()
	for _, h := range t.held {
		h.roll(now)
		if t.ended {
			continue
		}
		h.pending--
		if failed {
			h.used++
		}
		if h.freed != nil {
			close(h.freed)
			h.freed = nil
		}
	}
	t.ended = true
	return verdict(now, t.limit, t.held)
}

// level is the count of one of the networks that an address is in, with the limit of that network.
type level struct {
	*count
	limit int
}

// levels are the counts of an address, the widest network first. The count of a /64 is made only while its /48 has
// requests left, so that one site cannot fill the memory.
func (l *Limiter) levels(now time.Time, name, address string, limit int) []level {
	var held []level
	for _, network := range networksOf(address) {
		n := level{limit: limit}
		if network.Bits() == siteBits {
			n.limit *= siteFactor
		}
		n.count = l.countOf(now, key{name, network})
		held = append(held, n)
		if n.used >= n.limit {
			break
		}
	}
	return held
}

// countOf gives the count of a key in its current window.
func (l *Limiter) countOf(now time.Time, k key) *count {
	c := l.counts[k]
	if c == nil {
		if len(l.counts) >= maxCounts {
			l.makeRoom(now)
		}
		c = &count{ends: now.Add(Window)}
		l.counts[k] = c
	}
	c.roll(now)
	return c
}

// roll begins a new window if the last one is over. Pending tries stay.
func (c *count) roll(now time.Time) {
	if !now.Before(c.ends) {
		c.used, c.ends = 0, now.Add(Window)
	}
}

// verdict is that of the network that has the least left.
func verdict(now time.Time, limit int, held []level) Verdict {
	v := Verdict{Limit: limit, Remaining: limit}
	for _, h := range held {
		left := h.limit - h.used
		if left <= v.Remaining || v.Reset == 0 {
			v.Remaining, v.Reset = max(0, min(left, limit)), h.ends.Sub(now)
		}
	}
	v.Allowed = v.Remaining > 0
	return v
}

// makeRoom deletes the windows that are over, or else any one. It looks through all of them once a second at most, so
// that many networks do not make every request slow.
func (l *Limiter) makeRoom(now time.Time) {
	if now.Sub(l.swept) >= time.Second {
		l.swept = now
		for k, c := range l.counts {
			if !now.Before(c.ends) && c.pending == 0 {
				delete(l.counts, k)
			}
		}
	}
	if len(l.counts) < maxCounts {
		return
	}
	for k := range l.counts {
		delete(l.counts, k)
		return
	}
}

// Prefix lengths of IPv6: a customer's site, and one network in it.
const (
	siteBits = 48
	linkBits = 64
)

// networksOf lists the networks of an address that are counted, the widest first. All invalid addresses share one.
func networksOf(address string) []netip.Prefix {
	parsed, err := netip.ParseAddr(address)
	if err != nil {
		return []netip.Prefix{{}}
	}
	parsed = parsed.Unmap().WithZone("")
	lengths := []int{parsed.BitLen()}
	if parsed.Is6() {
		lengths = []int{siteBits, linkBits}
	}
	networks := make([]netip.Prefix, 0, len(lengths))
	for _, bits := range lengths {
		network, err := parsed.Prefix(bits)
		if err != nil {
			return []netip.Prefix{{}}
		}
		networks = append(networks, network)
	}
	return networks
}
