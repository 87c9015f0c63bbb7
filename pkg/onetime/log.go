package onetime

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// log is a list of times in Unix milliseconds, newest first. Each has 13 digits, as they do until the year 2286, so that
// SQL can read the nth and compare it as text.
type log string

const logWidth = 13

func entry(millis int64) log { return log(fmt.Sprintf("%0*d", logWidth, millis)) }

// nth gives the nth newest, from 1; 0 where there are fewer.
func (l log) nth(n int) int64 {
	if len(l) < n*logWidth {
		return 0
	}
	millis, err := strconv.ParseInt(string(l[(n-1)*logWidth:n*logWidth]), 10, 64)
	if err != nil {
		return 0
	}
	return millis
}

func (l log) holds(millis int64) bool {
	for n := 1; l.nth(n) != 0; n++ {
		if l.nth(n) == millis {
			return true
		}
	}
	return false
}

// quota is how many entries a log may have within a sliding window.
type quota struct {
	n      int
	within time.Duration
}

// free tells from when on the quotas leave room for another entry.
func (l log) free(quotas []quota) time.Time {
	var from time.Time
	for _, q := range quotas {
		if oldest := l.nth(q.n); oldest != 0 {
			from = later(from, time.UnixMilli(oldest).Add(q.within))
		}
	}
	return from
}

// left is how many more entries the quotas leave room for.
func (l log) left(quotas []quota, now time.Time) int {
	left := quotas[0].n
	for _, q := range quotas {
		n := 0
		for n < q.n && l.nth(n+1) > now.Add(-q.within).UnixMilli() {
			n++
		}
		left = min(left, q.n-n)
	}
	return left
}

// exceeded is the SQL that says whether a log's quotas leave no room; cutoffs binds what it compares with.
func exceeded(column string, quotas []quota) string {
	full := make([]string, len(quotas))
	for i, q := range quotas {
		full[i] = fmt.Sprintf("substr(onetime_secrets.%s, %d, %d) > @%[1]s_%[4]d", column, (q.n-1)*logWidth+1, logWidth, i)
	}
	return "(" + strings.Join(full, " OR ") + ")"
}

func cutoffs(args map[string]any, column string, quotas []quota, now time.Time) {
	for i, q := range quotas {
		args[fmt.Sprintf("%s_%d", column, i)] = entry(now.Add(-q.within).UnixMilli())
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
