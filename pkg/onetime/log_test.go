package onetime

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

func logOf(at ...time.Time) (l log) {
	for _, a := range at {
		l += entry(a.UnixMilli())
	}
	return l
}

func TestLog(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_772_355_600_000)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	quotas := []quota{{2, time.Minute}, {3, time.Hour}}
	for name, test := range map[string]struct {
		log  log
		left int
		free time.Time
	}{
		"empty":             {"", 2, time.Time{}},
		"one":               {logOf(ago(0)), 1, time.Time{}},
		"the minute's two":  {logOf(ago(0), ago(time.Second)), 0, now.Add(59 * time.Second)},
		"the hour's three":  {logOf(ago(2*time.Minute), ago(3*time.Minute), ago(4*time.Minute)), 0, now.Add(56 * time.Minute)},
		"both":              {logOf(ago(0), ago(0), ago(0)), 0, now.Add(time.Hour)},
		"a minute ago":      {logOf(ago(0), ago(time.Minute)), 1, now},
		"all long ago":      {logOf(ago(time.Hour), ago(time.Hour), ago(time.Hour)), 2, now},
		"a clock went back": {logOf(ago(-time.Minute), ago(-time.Minute)), 0, now.Add(2 * time.Minute)},
	} {
		require.Equal(t, test.left, test.log.left(quotas, now), name)
		require.True(t, test.free.Equal(test.log.free(quotas)), "%s: %v", name, test.log.free(quotas))
		require.Equal(t, test.left == 0, test.log.free(quotas).After(now), name)
	}

	l := logOf(ago(0), ago(time.Second))
	require.True(t, l.holds(ago(time.Second).UnixMilli()))
	require.False(t, l.holds(ago(time.Minute).UnixMilli()))
	require.Zero(t, l.nth(3))
	require.Zero(t, log("not numbers!!").nth(1))
}

func TestIssues(t *testing.T) {
	t.Parallel()
	got := make(map[int64]keyring.ID)
	for generation, key := range (issue(2, 0xffffffff) + issue(1, 3) + "0000000000003not a key").all() {
		got[generation] = key
	}
	require.Equal(t, map[int64]keyring.ID{2: 0xffffffff, 1: 3}, got)
}
