package database

import "time"

// Time is a column of Unix milliseconds as Go has time; NULL is nil.
func Time(millis *int64) *time.Time {
	if millis == nil {
		return nil
	}
	t := time.UnixMilli(*millis).UTC()
	return &t
}

// Millis is a time as the tables keep it; nil is NULL.
func Millis(t *time.Time) *int64 {
	if t == nil {
		return nil
	}
	millis := t.UnixMilli()
	return &millis
}
