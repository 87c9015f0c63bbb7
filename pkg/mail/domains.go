package mail

import (
	"context"
	"maps"
	"sync"
	"time"
)

const (
	// domainSends is how many mails to one domain are sent at once, so that a domain that is slow leaves most workers
	// to others.
	domainSends = 6
	// troubledSends is how many are sent at once to a domain that refused its last mail for now.
	troubledSends = 2
	// openAfter is how many mails in a row a domain may refuse for now before no other mail to it is tried for a while.
	openAfter = 3
	// firstPause and longestPause bound that while. It doubles with each trial mail that is refused.
	firstPause   = 15 * time.Second
	longestPause = 2 * time.Minute
	// slotWait is how long a mail waits for a send to its domain to end, and slotPoll how often it looks.
	slotWait = 250 * time.Millisecond
	slotPoll = 5 * time.Millisecond
	// troubleKept is after how long a domain's refusals are forgotten.
	troubleKept = time.Hour
	// maxDomains bounds the memory of domains in trouble.
	maxDomains = 10_000
)

// Domains is what this process knows of the domains that it sends mail to: a circuit breaker for each. A domain that
// refuses mail for now, or is slow, delays no other. Healthy domains without a mail on its way are not remembered.
//
// Every instance finds out for itself. It uses the real clock and is safe for concurrent use.
type Domains struct {
	mu sync.Mutex
	of map[string]*domainState
}

type domainState struct {
	sending   int
	refused   int       // mails in a row
	refusedAt time.Time // the last one
	answer    string    // the relay's, to the last one
	pause     time.Duration
	openUntil time.Time // no mail is tried before
}

// NewDomains knows no domain yet.
func NewDomains() *Domains { return &Domains{of: make(map[string]*domainState)} }

// Entry is the permission to send a mail to a domain, or the reason why it must wait.
type Entry struct {
	OK bool
	// Answer is the relay's last refusal of mail to the domain. It is "" if the mail must wait for other mail to the
	// domain to be sent.
	Answer string
	// Leave must be called with the result of the mail if OK.
	Leave func(Outcome)
}

// Outcome is the result of a mail. Reach counts only if it was not sent.
type Outcome struct {
	Sent  bool
	Reach Reach
	// Answer is shown with other mails to the domain, so it must hold no address and no secret.
	Answer string
}

// Enter asks to send a mail to a domain. It waits a moment for other mails to the domain. A mail that was refused once is
// tried again even if the domain refuses, because a domain may refuse the first try of every mail (greylisting, RFC 6647).
func (d *Domains) Enter(ctx context.Context, name string, firstRetry bool) Entry {
	for deadline := time.Now().Add(slotWait); ; {
		entry := d.tryEnter(name, firstRetry)
		if entry.OK || entry.Answer != "" || time.Now().After(deadline) {
			return entry
		}
		select {
		case <-ctx.Done():
			return entry
		case <-time.After(slotPoll):
		}
	}
}

func (d *Domains) tryEnter(name string, firstRetry bool) Entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.of[name]
	if s == nil {
		d.prune()
		s = &domainState{}
		d.of[name] = s
	}
	trial := s.refused >= openAfter && !firstRetry
	if trial && (time.Now().Before(s.openUntil) || s.sending > 0) {
		return Entry{Answer: s.answer}
	}
	allowed := domainSends
	if s.refused > 0 {
		allowed = troubledSends
	}
	if s.sending >= allowed {
		return Entry{}
	}
	s.sending++
	return Entry{OK: true, Leave: func(outcome Outcome) {
		d.mu.Lock()
		defer d.mu.Unlock()
		s.sending--
		s.note(outcome, trial)
		if s.sending == 0 && s.refused == 0 && d.of[name] == s {
			delete(d.of, name)
		}
	}}
}

// note counts the result of a mail.
func (s *domainState) note(outcome Outcome, trial bool) {
	switch {
	case outcome.Sent, outcome.Reach == RefusedForGood: // the domain takes mail, or never will take this one
		s.refused, s.pause, s.openUntil = 0, 0, time.Time{}
		return
	case outcome.Reach != RefusedForNow:
		return
	}
	s.refused, s.refusedAt, s.answer = s.refused+1, time.Now(), outcome.Answer
	switch {
	case s.refused < openAfter:
		return
	case s.pause == 0:
		s.pause = firstPause
	case trial:
		s.pause = min(2*s.pause, longestPause)
	default:
		return
	}
	s.openUntil = s.refusedAt.Add(s.pause)
}

// prune makes room if there is much trouble: it forgets old trouble, and then any until a quarter of the room is free.
func (d *Domains) prune() {
	if len(d.of) < maxDomains {
		return
	}
	maps.DeleteFunc(d.of, func(_ string, s *domainState) bool {
		return s.sending == 0 && time.Since(s.refusedAt) > troubleKept
	})
	for name, s := range d.of {
		if len(d.of) <= maxDomains*3/4 {
			return
		}
		if s.sending == 0 {
			delete(d.of, name)
		}
	}
}
