// Package lockout counts wrong passwords for each address, existing or not, and locks the password when they are too
// many.
package lockout

import (
	"time"

	"github.com/latchkey-auth/latchkey/pkg/portal"
	"github.com/latchkey-auth/latchkey/pkg/slidinglog"
)

// Kind separates counts, so that one door's failures never shut another.
type Kind string

// The counts. A trusted device has one of its own, so that a stranger cannot lock the owner out.
const (
	Login           Kind = "login"
	CurrentPassword Kind = "current_password"
)

// InARow is how many failures in a row, tries while locked apart, switch the password off until it is reset.
const InARow = 100

// doublingWithin is how soon after a lock the next one is twice as long (contract §3).
const doublingWithin = 24 * time.Hour

// State is where the count of an address stands. The zero State has seen no failure.
type State struct {
	failures    slidinglog.Log
	inARow      int64
	lockedUntil int64 // Unix milliseconds
}

// window is how long a failure counts. One that is exactly as old as the setting says still does.
func window(rules portal.Lockout) time.Duration { return rules.Window.Duration() + time.Millisecond }

// Locked tells until when the password is locked, if it is.
func (s State) Locked(now time.Time) (until time.Time, locked bool) {
	return time.UnixMilli(s.lockedUntil).UTC(), s.lockedUntil > now.UnixMilli()
}

// ResetRequired reports whether the password is off until it is reset.
func (s State) ResetRequired() bool { return s.inARow >= InARow }

// Clean reports whether a success would leave the state as it is.
func (s State) Clean() bool { return s.failures == "" && s.inARow == 0 }

// Failed is how many failures count towards the next lock; all of them while locked.
func (s State) Failed(rules portal.Lockout, now time.Time) int {
	if _, locked := s.Locked(now); locked {
		return rules.Threshold
	}
	return min(s.failures.Count(window(rules), now), rules.Threshold)
}

// Remaining is how many more failures are heard before the password is locked or off.
func (s State) Remaining(rules portal.Lockout, now time.Time) int {
	if s.ResetRequired() {
		return 0
	}
	return min(rules.Threshold-s.Failed(rules, now), int(InARow-s.inARow))
}
