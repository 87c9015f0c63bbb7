package clock

import (
	"sync"
	"time"
)

// steady is a local clock that is never set back.
type steady struct {
	local Clock

	mu    sync.Mutex
	given time.Time // the time that was last told
	at    time.Time // the local time then, with its monotonic reading
}

// Steady returns a clock for an installation of one machine. It follows the local clock, also when that is set forward or
// the machine slept. When the local clock is set back, Steady counts on by the monotonic clock until the local clock has
// caught up or the program starts anew, so that no time that is in the database lies ahead of it.
func Steady(local Clock) Clock {
	at := local()
	s := &steady{local: local, given: at.Round(0), at: at}
	return s.now
}

func (s *steady) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.local()
	passed := max(at.Sub(s.at), 0)
	told, wall := s.given.Add(passed), at.Round(0) // Round strips the monotonic reading
	if wall.After(told) {
		told = wall
	}
	s.given, s.at = told, at
	return told
}
