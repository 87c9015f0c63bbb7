// Package lockout counts wrong passwords for each address, existing or not, and locks the password after too many.
package lockout

import (
	"time"

	"github.com/latchkey-auth/latchkey/pkg/portal"
	"github.com/latchkey-auth/latchkey/pkg/slidinglog"
)

// Kind separates counts, so that failures at one place never lock another.
type Kind string

// Login counts wrong passwords at login, CurrentPassword those typed to change the own password.
const (
	Login           Kind = "login"
	CurrentPassword Kind = "current_password"
)

// InARow is the number of failures in a row that switch the password off until it is reset. A try while the password is
// locked does not count.
const InARow = 100

// doublingWithin is the time after a lock in which the next lock is twice as long.
const doublingWithin = 24 * time.Hour

// State is the count of an address. The zero State has no failures.
type State struct {
	failures    slidinglog.Log
	inARow      int64
	lockedUntil int64 // Unix milliseconds
}

// window is the time for which a failure counts. A failure exactly as old as the setting still counts.
func window(rules portal.Lockout) time.Duration { return rules.Window.Duration() + time.Millisecond }

// Locked reports whether the password is locked, and until when.
func (s State) Locked(now time.Time) (until time.Time, locked bool) {
	return time.UnixMilli(s.lockedUntil).UTC(), s.lockedUntil > now.UnixMilli()
}

// ResetRequired reports whether the password is off until it is reset.
func (s State) ResetRequired() bool { return s.inARow >= InARow }

// Clean reports whether a success would change nothing.
func (s State) Clean() bool { return s.failures == "" && s.inARow == 0 }

// Failed is the number of failures that count towards the next lock. While the password is locked it is the threshold.
func (s State) Failed(rules portal.Lockout, now time.Time) int {
	if _, locked := s.Locked(now); locked {
		return rules.Threshold
	}
	return min(s.failures.Count(window(rules), now), rules.Threshold)
}

// Remaining is the number of further failures until the password is locked or off.
func (s State) Remaining(rules portal.Lockout, now time.Time) int {
	if s.ResetRequired() {
		return 0
	}
	return min(rules.Threshold-s.Failed(rules, now), int(InARow-s.inARow))
}
