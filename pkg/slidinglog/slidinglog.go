// Package slidinglog counts events in sliding windows. A log is a text of times that a table keeps in one column:
// newest first, each of the same width, so that SQL can read the nth time and compare it as text. One statement can
// then count an event or refuse it, however many statements run at once.
package slidinglog

import (
	"strconv"
	"time"
)

// Log is a list of times in Unix milliseconds, newest first, each of Width digits.
type Log string

// Width is how many digits a time has: Unix milliseconds have 13 until the year 2286.
const Width = 13

// At is a log of one time.
func At(t time.Time) Log { return Of(t.UnixMilli()) }

// Of is a log of one time, in Unix milliseconds.
func Of(millis int64) Log {
	text := strconv.FormatInt(millis, 10)
	for len(text) < Width {
		text = "0" + text
	}
	return Log(text)
}

// Len is how many times the log holds.
func (l Log) Len() int { return len(l) / Width }

// Nth is the nth newest time in Unix milliseconds, counted from 1. It is 0 where the log has fewer times.
func (l Log) Nth(n int) int64 {
	if l.Len() < n {
		return 0
	}
	millis, err := strconv.ParseInt(string(l[(n-1)*Width:n*Width]), 10, 64)
	if err != nil {
		return 0
	}
	return millis
}

// Holds reports whether a time is in the log.
func (l Log) Holds(millis int64) bool {
	for n := 1; n <= l.Len(); n++ {
		if l.Nth(n) == millis {
			return true
		}
	}
	return false
}

// Count is the number of times that are younger than the window. A time exactly as old as the window does not count.
func (l Log) Count(window time.Duration, now time.Time) int {
	cutoff, n := now.Add(-window).UnixMilli(), 0
	for n < l.Len() && l.Nth(n+1) > cutoff {
		n++
	}
	return n
}

// Quota is the number of times that a log may have within a sliding window.
type Quota struct {
	N      int
	Within time.Duration
}

// Left is the number of further times that every quota has room for.
func (l Log) Left(quotas []Quota, now time.Time) int {
	left := quotas[0].N
	for _, q := range quotas {
		left = min(left, max(0, q.N-l.Count(q.Within, now)))
	}
	return left
}

// RoomFrom is the time from which every quota has room for another event. It is the zero time for a log that was never
// full.
func (l Log) RoomFrom(quotas []Quota) time.Time {
	var from time.Time
	for _, q := range quotas {
		if oldest := l.Nth(q.N); oldest != 0 {
			if room := time.UnixMilli(oldest).Add(q.Within); room.After(from) {
				from = room
			}
		}
	}
	return from
}
