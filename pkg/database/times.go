package database

import "time"

// Kept is how long rows are kept after they are of use, to explain what happened.
const Kept = 30 * 24 * time.Hour

// Time converts a column of Unix milliseconds; nil stands for NULL.
func Time(millis *int64) *time.Time {
	if millis == nil {
		return nil
	}
	t := time.UnixMilli(*millis).UTC()
	return &t
}

// Millis converts a time to Unix milliseconds for a column; nil stands for NULL.
func Millis(t *time.Time) *int64 {
	if t == nil {
		return nil
	}
	millis := t.UnixMilli()
	return &millis
}
