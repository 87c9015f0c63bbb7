package mail

import (
	"sync"
	"time"
)

// ManyRefused is how many domains in a row may refuse mail for now before the relay is suspected instead of them.
const ManyRefused = 5

// Outage is what this process knows of the relay: whether a try makes sense now, and when the relay came back. Every
// instance finds out for itself. It uses the real clock and is safe for concurrent use.
type Outage struct {
	mu sync.Mutex
	// away is set while the relay cannot be spoken to.
	away bool
	// unsure is set until the relay has answered once: an outage may have begun before this process started.
	unsure bool
	// answer is noted on mails that are not tried because the relay is away.
	answer string
	// quietUntil is when an absent relay is tried again.
	quietUntil time.Time
	sent       time.Time
	// endedAt is when an outage ended whose last mails may not have noted their pause yet.
	endedAt time.Time
	// wokenAt is when waiting mails were last made due.
	wokenAt time.Time
	refused map[string]struct{} // domains
}

// NewOutage knows nothing of the relay yet.
func NewOutage() *Outage { return &Outage{unsure: true} }

const (
	// aftermath is how long after an outage its mails are made due once more: a job notes its pause some time after the
	// failed try.
	aftermath = 2 * time.Second
	// wakeEvery is the least time between two ends of an outage at which all waiting mails are made due.
	wakeEvery = 4 * time.Second
)

// WorthTrying reports whether a mail should be sent now. While the relay is away it lets one through in each interval, so
// that the others need not wait for a failure. Otherwise answer says why not.
func (o *Outage) WorthTrying(interval time.Duration) (answer string, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.away {
		return "", true
	}
	if time.Now().Before(o.quietUntil) {
		return o.answer, false
	}
	o.quietUntil = time.Now().Add(interval)
	return "", true
}

// Succeeded notes that a mail was sent, and reports whether an outage ended, so that waiting mails should be tried.
func (o *Outage) Succeeded() (over bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	over = o.away || o.unsure || len(o.refused) >= ManyRefused
	o.refused, o.sent = nil, time.Now()
	return o.answered(over)
}

// RefusedForNow notes that the relay answers but does not take a mail to a domain yet, and reports whether an outage
// ended.
func (o *Outage) RefusedForNow(domain string) (over bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.refused == nil {
		o.refused = make(map[string]struct{})
	}
	if len(o.refused) < ManyRefused {
		o.refused[domain] = struct{}{}
	}
	return o.answered(o.away)
}

// RefusedForGood notes that the relay answers, and reports whether an outage ended.
func (o *Outage) RefusedForGood() (over bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.answered(o.away)
}

// answered notes that the relay answered. The caller holds o.mu.
func (o *Outage) answered(over bool) bool {
	o.away, o.unsure = false, false
	if !over {
		return false
	}
	o.endedAt = time.Now()
	if o.endedAt.Sub(o.wokenAt) < wakeEvery {
		return false // Stragglers makes up for it
	}
	o.wokenAt = o.endedAt
	return true
}

// Stragglers reports, once after each outage, that its last mails should have noted their pauses by now and are to be
// tried.
func (o *Outage) Stragglers() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.endedAt.IsZero() || time.Since(o.endedAt) < aftermath {
		return false
	}
	o.endedAt, o.wokenAt = time.Time{}, time.Now()
	return true
}

// Unreached notes that a try did not get through. If another mail was sent since it began, the relay is not at fault.
func (o *Outage) Unreached(begun time.Time, answer string, interval time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sent.After(begun) {
		return
	}
	o.away, o.unsure, o.answer, o.quietUntil = true, false, answer, time.Now().Add(interval)
}

// probeEveryNth is after how many probes a relay is tried that answers: it may be right to refuse.
const probeEveryNth = 6

// Suspected reports whether the relay should be probed with a waiting mail. nth counts the calls.
func (o *Outage) Suspected(nth int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.away || o.unsure || len(o.refused) >= ManyRefused && nth%probeEveryNth == 0
}

// Known reports whether the last tries failed because of the relay.
func (o *Outage) Known() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.away || len(o.refused) >= ManyRefused
}
