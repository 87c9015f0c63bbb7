package delivery

import (
	"context"
	"sync"
	"time"
)

const (
	// backedUp is how long a message waits before mail counts as backing up.
	backedUp = time.Minute
	// degradedFor is how long what was found is told again without looking.
	degradedFor = 2 * time.Second
)

// degradedCache keeps what Degraded found, by the real clock.
type degradedCache struct {
	mu       sync.Mutex
	lookedAt time.Time
	found    bool
}

// Degraded reports whether mail is backing up: a message has not been tried for a minute, the provider is away, or
// several messages were refused for now for over a minute. One recipient's trouble is none of ours; told here it would
// even tell a stranger that the recipient has an account. A database that does not answer changes nothing.
func (s *Service) Degraded(ctx context.Context) bool {
	s.degraded.mu.Lock()
	defer s.degraded.mu.Unlock()
	if time.Since(s.degraded.lookedAt) < degradedFor {
		return s.degraded.found
	}
	before := s.clock().Add(-backedUp)
	untried, refused, err := s.repo.waiting(ctx, before)
	if err != nil {
		return s.degraded.found || s.outage.known()
	}
	s.degraded.lookedAt = time.Now()
	s.degraded.found = s.outage.known() || refused >= manyRefused || untried != nil && untried.Before(before)
	return s.degraded.found
}
