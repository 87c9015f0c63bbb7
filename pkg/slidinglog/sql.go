package slidinglog

import (
	"fmt"
	"strings"
	"time"
)

// Octets is the length of a log of n times.
func Octets(n int) int { return n * Width }

// Start is the position at which the nth newest time begins. SQL counts characters from 1.
func Start(n int) int { return Octets(n-1) + 1 }

// SQLTime is the SQL expression for the time that begins at start, which is a number or a parameter. Compare it with a
// Log of one time. Where the log is shorter, it is less than every time.
func SQLTime(column string, start any) string {
	return fmt.Sprintf("substr(%s, %v, %d)", column, start, Width)
}

// SQLAdd is the SQL expression for a log with a newer time in front. It cuts the log to a length in octets, which is a
// number or a parameter.
func SQLAdd(newer, column string, octets any) string {
	return fmt.Sprintf("substr(%s || %s, 1, %v)", newer, column, octets)
}

// SQLFull is the SQL condition that some quota has no room for another time. Its parameters begin with name. Bind sets
// them.
func SQLFull(column, name string, quotas []Quota) string {
	full := make([]string, len(quotas))
	for i, q := range quotas {
		full[i] = fmt.Sprintf("%s > @%s", SQLTime(column, Start(q.N)), parameter(name, i))
	}
	return "(" + strings.Join(full, " OR ") + ")"
}

// Bind sets the parameters of an SQLFull with the same name and quotas.
func Bind(args map[string]any, name string, quotas []Quota, now time.Time) {
	for i, q := range quotas {
		args[parameter(name, i)] = At(now.Add(-q.Within))
	}
}

func parameter(name string, i int) string { return fmt.Sprintf("%s_%d", name, i) }
