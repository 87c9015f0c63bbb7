package password

import (
	"context"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

const (
	// retryAfter is the Retry-After of a caller who got no slot. By then the queue has moved on by dozens of hashes.
	retryAfter = time.Second
	// maxWaiting bounds the callers of one portal who wait. More than that are refused at once, because they hold memory
	// and would wait in vain.
	maxWaiting = 1000
)

// fairQueue hands slots to callers. While callers of several portals wait, the portals take turns, so that one portal,
// or one person with many connections, cannot keep the others waiting. Within a portal it is first come, first served.
type fairQueue struct {
	wait time.Duration

	mu   sync.Mutex
	free int
	// turns are the portals with callers who wait, in the order in which they get a slot.
	turns   []ids.Portal
	waiting map[ids.Portal][]*waiter
	stats   Stats
}

// waiter is a caller who waits. granted is closed when the slot is theirs.
type waiter struct{ granted chan struct{} }

func newFairQueue(slots int, wait time.Duration) *fairQueue {
	return &fairQueue{wait: wait, free: slots, waiting: map[ids.Portal][]*waiter{}, stats: Stats{Slots: slots}}
}

// acquire takes a slot. Errors: the context's own; overloaded when the wait is over, or the portal has too many waiting.
func (q *fairQueue) acquire(ctx context.Context, portal ids.Portal) error {
	q.mu.Lock()
	if err := ctx.Err(); err != nil {
		q.stats.Abandoned++
		q.mu.Unlock()
		return err
	}
	if q.free > 0 { // then nobody waits
		q.free--
		q.mu.Unlock()
		return nil
	}
	q.stats.Waited++
	line := q.waiting[portal]
	if len(line) >= maxWaiting {
		q.stats.Overloaded++
		q.mu.Unlock()
		return fault.New(fault.Overloaded).After(retryAfter)
	}
	if len(line) == 0 {
		q.turns = append(q.turns, portal)
	}
	w := &waiter{make(chan struct{})}
	q.waiting[portal] = append(line, w)
	q.stats.Waiting++
	q.mu.Unlock()
	return q.await(ctx, portal, w)
}

// await waits until the slot is granted, the caller leaves or the wait is over.
func (q *fairQueue) await(ctx context.Context, portal ids.Portal, w *waiter) (err error) {
	began := time.Now()
	timeout := time.NewTimer(q.wait)
	defer timeout.Stop()
	select {
	case <-w.granted:
	case <-ctx.Done():
	case <-timeout.C:
		err = fault.New(fault.Overloaded).After(retryAfter)
	}

	q.mu.Lock()
	defer q.mu.Unlock()
	q.stats.WaitTime += time.Since(began)
	left := q.leave(portal, w)
	switch {
	case ctx.Err() != nil: // it may have been granted at the same moment
		q.stats.Abandoned++
		if !left {
			q.pass()
		}
		return ctx.Err()
	case left:
		q.stats.Overloaded++
		return err
	}
	return nil
}

// leave takes a caller out of the queue. It reports false when the slot was granted before.
func (q *fairQueue) leave(portal ids.Portal, w *waiter) bool {
	line := q.waiting[portal]
	for i := range line {
		if line[i] != w {
			continue
		}
		q.stats.Waiting--
		q.setLine(portal, append(line[:i:i], line[i+1:]...))
		if len(line) == 1 {
			q.turns = without(q.turns, portal)
		}
		return true
	}
	return false
}

// release gives a slot back, after a hash or without one.
func (q *fairQueue) release(hashed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if hashed {
		q.stats.Hashed++
	}
	q.pass()
}

// pass grants a slot to the first caller of the portal whose turn it is, or frees it.
func (q *fairQueue) pass() {
	if len(q.turns) == 0 {
		q.free++
		return
	}
	portal := q.turns[0]
	q.turns = q.turns[1:]
	line := q.waiting[portal]
	q.stats.Waiting--
	close(line[0].granted)
	if q.setLine(portal, line[1:]); len(line) > 1 {
		q.turns = append(q.turns, portal)
	}
}

func (q *fairQueue) setLine(portal ids.Portal, line []*waiter) {
	if len(line) == 0 {
		delete(q.waiting, portal)
		return
	}
	q.waiting[portal] = line
}

func (q *fairQueue) snapshot() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	stats := q.stats
	stats.Running = stats.Slots - q.free
	return stats
}

// without returns the list without one of its members.
func without(list []ids.Portal, gone ids.Portal) []ids.Portal {
	kept := make([]ids.Portal, 0, len(list))
	for _, one := range list {
		if one != gone {
			kept = append(kept, one)
		}
	}
	return kept
}
