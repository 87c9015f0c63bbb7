package lockout

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/portal"
	"github.com/latchkey-auth/latchkey/pkg/slidinglog"
)

var (
	noon  = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	rules = portal.Lockout{Threshold: 5, Window: 900, Duration: 900, MaxDuration: 1800}
)

// failed is a state of failures so long before noon, newest first.
func failed(ago ...time.Duration) State {
	var log slidinglog.Log
	for _, d := range ago {
		log += slidinglog.At(noon.Add(-d))
	}
	return State{failures: log, inARow: int64(len(ago))}
}

func TestStateCounts(t *testing.T) {
	t.Parallel()
	const window = 15 * time.Minute
	for name, tt := range map[string]struct {
		state             State
		failed, remaining int
	}{
		"nothing":                     {State{}, 0, 5},
		"one":                         {failed(0), 1, 4},
		"at the window's edge":        {failed(0, time.Minute, window), 3, 2},
		"beyond it by a millisecond":  {failed(0, time.Minute, window+time.Millisecond), 2, 3},
		"all beyond it":               {failed(window+time.Second, time.Hour), 0, 5},
		"more than the threshold now": {failed(0, 1, 2, 3, 4, 5, 6), 5, 0},
		"from the future":             {failed(-time.Minute, -time.Second), 2, 3},
		"locked":                      {State{lockedUntil: noon.UnixMilli() + 1, inARow: 5}, 5, 0},
		"the lock is over":            {State{lockedUntil: noon.UnixMilli(), inARow: 5}, 0, 5},
		"97 in a row":                 {State{inARow: 97}, 0, 3},
		"99 in a row, four now":       {State{inARow: 99, failures: failed(0, 1, 2, 3).failures}, 4, 1},
		"a hundred in a row":          {State{inARow: InARow}, 0, 0},
		"a log that is cut":           {State{failures: failed(0).failures + "17958"}, 1, 4},
	} {
		require.Equal(t, tt.failed, tt.state.Failed(rules, noon), name)
		require.Equal(t, tt.remaining, tt.state.Remaining(rules, noon), name)
	}
}

func TestStateLocks(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		state                 State
		locked, resetRequired bool
	}{
		"no failure":                   {State{}, false, false},
		"failures lock nothing":        {failed(0, 1, 2, 3, 4), false, false},
		"locked":                       {State{lockedUntil: noon.Add(time.Minute).UnixMilli()}, true, false},
		"the lock is over":             {State{lockedUntil: noon.UnixMilli()}, false, false},
		"99 in a row":                  {State{inARow: InARow - 1}, false, false},
		"a hundred in a row":           {State{inARow: InARow}, false, true},
		"a hundred in a row, and lock": {State{inARow: InARow, lockedUntil: noon.UnixMilli() + 1}, true, true},
	} {
		until, locked := tt.state.Locked(noon)
		require.Equal(t, tt.locked, locked, name)
		require.Equal(t, tt.state.lockedUntil, until.UnixMilli(), name)
		require.Equal(t, tt.resetRequired, tt.state.ResetRequired(), name)
	}
}

func TestStateIsClean(t *testing.T) {
	t.Parallel()
	require.True(t, State{}.Clean())
	require.True(t, State{lockedUntil: 1}.Clean(), "success does not touch the lock's history")
	require.False(t, failed(0).Clean())
	require.False(t, State{inARow: 5}.Clean(), "failures before a lock count on towards a hundred")
}
