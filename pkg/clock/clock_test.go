package clock

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// machine is a machine whose wall clock can be set while its monotonic clock goes on.
type machine struct {
	set    atomic.Int64
	passed atomic.Int64
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func (m *machine) wall() time.Time { return noon.Add(time.Duration(m.set.Load() + m.passed.Load())) }

func (m *machine) pass(d time.Duration) { m.passed.Add(int64(d)) }

// local has no monotonic reading, so that setting the machine's clock moves it: the worst that a clock can do.
func (m *machine) local() time.Time { return m.wall() }

func TestFollowerTellsTheDatabasesTime(t *testing.T) {
	t.Parallel()
	for name, offset := range map[string]time.Duration{"ahead": time.Minute, "behind": -time.Minute, "equal": 0} {
		m := new(machine)
		m.set.Store(int64(offset))
		server := func() time.Time { return noon.Add(time.Duration(m.passed.Load())) }
		now, err := Follow(t.Context(), m.local, func(context.Context) (Reading, error) {
			return Reading{Database: server(), Local: m.local(), RoundTrip: time.Millisecond}, nil
		})
		require.NoError(t, err)
		require.Equal(t, noon, now.Now(), name)
		m.pass(2 * time.Second)
		require.Equal(t, server(), now.Now(), name)

		m.set.Add(-int64(time.Hour)) // the machine's clock is set back
		require.False(t, now.Now().Before(noon), name)
		require.Eventually(t, func() bool { return now.Now().Equal(server()) }, 5*time.Second, time.Millisecond, name)
		m.pass(time.Hour)
		require.Equal(t, server(), now.Now(), name)
	}
}

func TestFollowerGoesOnWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	m, away := new(machine), atomic.Bool{}
	now, err := Follow(t.Context(), m.local, func(context.Context) (Reading, error) {
		if away.Load() {
			return Reading{}, errors.New("away")
		}
		return Reading{Database: m.local(), Local: m.local()}, nil
	})
	require.NoError(t, err)
	away.Store(true)
	m.pass(time.Hour)
	require.Equal(t, noon.Add(time.Hour), now.Now())
	_, err = Follow(t.Context(), m.local, func(context.Context) (Reading, error) { return Reading{}, errors.New("away") })
	require.Error(t, err)
}

// A reading that agrees to half its round trip leaves the clock alone; one that does not moves it, back too.
func TestFollowerAdopts(t *testing.T) {
	t.Parallel()
	at := func(database, local, roundTrip time.Duration) Reading {
		return Reading{Database: noon.Add(database), Local: noon.Add(local), RoundTrip: roundTrip}
	}
	for name, tt := range map[string]struct {
		reading Reading
		want    time.Duration // when the local clock shows a second past noon
	}{
		"agrees":                   {at(time.Second, time.Second, 0), time.Second},
		"agrees to the round trip": {at(1009*time.Millisecond, time.Second, 20*time.Millisecond), time.Second},
		"the database is ahead":    {at(1011*time.Millisecond, time.Second, 20*time.Millisecond), 1011 * time.Millisecond},
		"it was set back":          {at(-time.Hour, time.Second, 20*time.Millisecond), -time.Hour},
		"a slow answer":            {at(31*time.Second, time.Second, 20*time.Second), 31 * time.Second},
		"too slow to say anything": {at(9*time.Second, time.Second, 20*time.Second), time.Second},
	} {
		f := &follower{local: func() time.Time { return noon.Add(time.Second) }}
		first := at(0, 0, 0)
		f.last.Store(&first)
		f.adopt(tt.reading)
		require.Equal(t, noon.Add(tt.want), f.now(), name)
	}
}

func TestSteadyIsNeverSetBack(t *testing.T) {
	t.Parallel()
	m := new(machine)
	now := Steady(m.local)
	require.Equal(t, noon, now.Now())
	m.set.Add(int64(8 * time.Hour)) // it slept, or was set forward
	require.Equal(t, noon.Add(8*time.Hour), now.Now())
	m.set.Add(-int64(time.Hour))
	require.Equal(t, noon.Add(8*time.Hour), now.Now())
	m.pass(time.Minute)
	require.Equal(t, noon.Add(8*time.Hour+time.Minute), now.Now(), "it counts on")
	m.pass(2 * time.Hour)
	require.Equal(t, noon.Add(10*time.Hour+time.Minute), now.Now())
}
