package slidinglog

import (
	"fmt"
	"strings"
	"time"
)

// Octets is how long a log of n times is.
func Octets(n int) int { return n * Width }

// Start is where the nth newest time begins, as SQL counts characters.
func Start(n int) int { return Octets(n-1) + 1 }

// SQLTime is the SQL of the time that begins at start, a number or a parameter: compare it with a Log of one time. It is
// less than any time where the log is shorter.
func SQLTime(column string, start any) string {
	return fmt.Sprintf("substr(%s, %v, %d)", column, start, Width)
}

// SQLAdd is the SQL of a log with a newer time before it, cut to a length in octets, a number or a parameter.
func SQLAdd(newer, column string, octets any) string {
	return fmt.Sprintf("substr(%s || %s, 1, %v)", newer, column, octets)
}

// SQLFull is the SQL that says whether some quota has no room for another time. Its parameters are named after name;
// Bind gives them.
func SQLFull(column, name string, quotas []Quota) string {
	full := make([]string, len(quotas))
	for i, q := range quotas {
		full[i] = fmt.Sprintf("%s > @%s", SQLTime(column, Start(q.N)), parameter(name, i))
	}
	return "(" + strings.Join(full, " OR ") + ")"
}

// Bind gives the parameters of an SQLFull of the same name and quotas.
func Bind(args map[string]any, name string, quotas []Quota, now time.Time) {
	for i, q := range quotas {
		args[parameter(name, i)] = At(now.Add(-q.Within))
	}
}

func parameter(name string, i int) string { return fmt.Sprintf("%s_%d", name, i) }
