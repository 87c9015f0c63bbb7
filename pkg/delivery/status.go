package delivery

import (
	"context"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/mail"
)

const (
	// backedUp is how long a message waits before mail counts as backing up.
	backedUp = time.Minute
	// degradedFor is how long an answer is reused.
	degradedFor = 2 * time.Second
)

// degradedCache keeps the last answer of Degraded, by the real clock.
type degradedCache struct {
	mu       sync.Mutex
	lookedAt time.Time
	found    bool
}

// Degraded reports whether mail is backing up: a message was not tried for a minute, the relay is away, or several
// messages were tried for over a minute. Trouble with one recipient does not count, because it would reveal to
// a stranger that the recipient has an account. While the database does not answer, the last result stays.
func (s *Service) Degraded(ctx context.Context) bool {
	s.degraded.mu.Lock()
	defer s.degraded.mu.Unlock()
	if time.Since(s.degraded.lookedAt) < degradedFor {
		return s.degraded.found
	}
	before := s.clock.Now().Add(-backedUp)
	untried, tried, err := s.repo.waiting(ctx, before)
	if err != nil {
		return s.degraded.found || s.outage.Known()
	}
	s.degraded.lookedAt = time.Now()
	s.degraded.found = s.outage.Known() || tried >= mail.ManyRefused || untried != nil && untried.Before(before)
	return s.degraded.found
}
