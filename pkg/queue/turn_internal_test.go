package queue

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// One owner's thousands stand behind the first jobs of every other owner, and before nothing that came later of theirs.
func TestOwnersTakeTurns(t *testing.T) {
	t.Parallel()
	var given turns
	now := time.Now()
	flood := given.take(Turn{Bulk, "flood"}, 2500, now)
	require.True(t, slices.IsSortedFunc(flood, time.Time.Compare))
	later := now.Add(5 * time.Second)
	for i := range 3 {
		other := given.take(Turn{Bulk, fmt.Sprint("other", i)}, 1, later)[0]
		ahead := 0
		for _, at := range flood {
			if !at.After(other) {
				ahead++
			}
		}
		require.LessOrEqual(t, ahead, 6)
	}
	again := given.take(Turn{Bulk, "flood"}, 1, later)[0]
	require.True(t, again.After(flood[2499]))
	require.Equal(t, now.Add(-turnHorizon), given.take(Turn{Waiting, "flood"}, 1, now)[0], "other urgencies have turns of their own")
}

// No job is scheduled for later, however many there are, and the memory is bounded.
func TestTurnsAreNeverInTheFuture(t *testing.T) {
	t.Parallel()
	var given turns
	now := time.Now()
	for range 100 {
		for _, at := range given.take(Turn{Bulk, "flood"}, 1000, now) {
			require.False(t, at.After(now))
		}
	}
	for i := range 5 * maxOwners {
		given.take(Turn{Waiting, fmt.Sprint(i)}, 1, now)
	}
	require.LessOrEqual(t, len(given.next), 2*maxOwners)
}
