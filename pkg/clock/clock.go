// Package clock gives services the time. The instances of an installation compare times that they wrote into one database,
// so all of them follow the clock of the database.
package clock

import "time"

// Clock tells the time. time.Now is one; tests have their own.
type Clock func() time.Time

// Now is the time in UTC and in whole milliseconds, as the tables keep times.
func (c Clock) Now() time.Time { return c().UTC().Truncate(time.Millisecond) }
