// Package clock is the one way in which services ask what time it is.
package clock

import "time"

// Clock tells the time. time.Now is one; tests have their own.
type Clock func() time.Time

// Now is the time as tables keep it: UTC, in whole milliseconds.
func (c Clock) Now() time.Time { return c().UTC().Truncate(time.Millisecond) }
