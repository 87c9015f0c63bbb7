package delivery

import (
	"sync"
	"time"

	"github.com/google/uuid"
)

// manyRefused is how many different messages in a row are refused for now before the fault is looked for with the
// provider, not with the recipients.
const manyRefused = 5

// outage is what is known of the provider: whether it is worth trying now, and when it has come back. Every instance
// finds out for itself. Its clock is the real one.
type outage struct {
	mu sync.Mutex
	// away is set while the provider cannot be spoken to.
	away bool
	// unsure is set until the provider was heard of: there may have been an outage before this process started.
	unsure bool
	// answer is what is noted on messages that are not tried because the provider is away.
	answer string
	// quietUntil is when an absent provider is tried again.
	quietUntil time.Time
	sent       time.Time
	// endedAt is when an outage ended whose last victims may still be about to go to sleep.
	endedAt time.Time
	refused map[uuid.UUID]struct{}
}

// aftermath is how long after an outage the messages that it caught are looked for once more: their jobs note a pause
// some time after they were told to make one.
const aftermath = 2 * time.Second

// worthTrying reports whether a message should be sent now. While the provider is away one is let through in each
// while; the others need not wait for it to fail.
func (o *outage) worthTrying(every time.Duration) (answer string, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.away {
		return "", true
	}
	if time.Now().Before(o.quietUntil) {
		return o.answer, false
	}
	o.quietUntil = time.Now().Add(every)
	return "", true
}

// succeeded notes that a message was sent, and reports whether an outage may have ended with it.
func (o *outage) succeeded() (over bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	over = o.away || o.unsure || len(o.refused) >= manyRefused
	o.refused, o.sent = nil, time.Now()
	return o.answered(over)
}

// refusedForNow notes that the provider answers but does not take a message yet, and reports whether it was away.
func (o *outage) refusedForNow(id uuid.UUID) (over bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.refused == nil {
		o.refused = make(map[uuid.UUID]struct{})
	}
	if len(o.refused) < manyRefused {
		o.refused[id] = struct{}{}
	}
	return o.answered(o.away)
}

// refusedForGood notes that the provider answers, and reports whether it was away.
func (o *outage) refusedForGood() (over bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.answered(o.away)
}

// answered notes that the provider was heard of. It wants o.mu.
func (o *outage) answered(over bool) bool {
	o.away, o.unsure = false, false
	if over {
		o.endedAt = time.Now()
	}
	return over
}

// stragglers reports, once after each outage, that what it caught last should have gone to sleep by now.
func (o *outage) stragglers() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.endedAt.IsZero() || time.Since(o.endedAt) < aftermath {
		return false
	}
	o.endedAt = time.Time{}
	return true
}

// unreached notes that a try begun at some time did not get through. If another one has since, it was not the
// provider's fault.
func (o *outage) unreached(begun time.Time, answer string, every time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sent.After(begun) {
		return
	}
	o.away, o.unsure, o.answer, o.quietUntil = true, false, answer, time.Now().Add(every)
}

// seldom is how many probes are left out where the provider answers, and may be right in what it refuses.
const seldom = 6

// suspected reports whether the provider should be probed, the nth time that it is asked: with a message that would
// otherwise still wait.
func (o *outage) suspected(nth int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.away || o.unsure || len(o.refused) >= manyRefused && nth%seldom == 0
}

// known reports whether the last tries failed in a way that is the provider's.
func (o *outage) known() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.away || len(o.refused) >= manyRefused
}
