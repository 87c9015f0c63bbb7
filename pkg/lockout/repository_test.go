package lockout

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

func newPortal(t *testing.T, db *database.DB) ids.Portal {
	t.Helper()
	id, err := ids.New[ids.Portal]()
	require.NoError(t, err)
	require.NoError(t, db.From(t.Context()).Exec(`INSERT INTO portals (id, slug, settings, version, created_at, updated_at)
		VALUES (?, ?, '{}', 1, 0, 0)`, id, id.String()).Error)
	return id
}

// named is a digest that begins with a name.
func named(name string) (d digest.Digest) {
	copy(d[:], name)
	return d
}

// model is the rule in plain Go: what the statements have to do.
type model struct {
	failures           []time.Time // that count towards a lock
	inARow             int
	lockedAt, lockedTo time.Time
	length             time.Duration
}

func (m *model) locked(now time.Time) bool { return now.Before(m.lockedTo) }

func (m *model) recent(rules portal.Lockout, now time.Time) int {
	n := 0
	for _, at := range m.failures {
		if !at.Before(now.Add(-rules.Window.Duration())) {
			n++
		}
	}
	return n
}

func (m *model) fail(rules portal.Lockout, now time.Time) (counted bool) {
	if m.locked(now) || m.inARow >= InARow {
		return false
	}
	m.inARow++
	m.failures = append(m.failures, now)
	if m.recent(rules, now) < rules.Threshold {
		return true
	}
	m.failures = nil
	length := rules.Duration.Duration()
	if !m.lockedAt.IsZero() && now.Before(m.lockedAt.Add(24*time.Hour)) {
		length = min(2*m.length, rules.MaxDuration.Duration())
	}
	m.lockedAt, m.lockedTo, m.length = now, now.Add(length), length
	return true
}

func (m *model) succeed(now time.Time) {
	if !m.locked(now) && m.inARow < InARow {
		m.failures, m.inARow = nil, 0
	}
}

// For random events in random order at random distances, the statements do what the model does.
func TestStatementsDoWhatTheModelDoes(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		repo, portalID := NewRepository(db), newPortal(t, db)
		for seed := range uint64(8) {
			random := rand.New(rand.NewPCG(seed, 3))
			rules := portal.Lockout{
				Threshold: []int{1, 2, 3, 5, 8, 100}[random.IntN(6)], Window: portal.Seconds(60 + random.IntN(1800)),
				Duration: portal.Seconds(60 + random.IntN(900)), MaxDuration: portal.Seconds(960 + random.IntN(7200)),
			}
			subject := named(fmt.Sprintf("subject %d", seed))
			now, m := noon, &model{}
			for step := range 100 {
				now = now.Add([]time.Duration{0, time.Millisecond, time.Duration(random.IntN(300)) * time.Second,
					rules.Window.Duration(), m.lockedTo.Sub(now), 24 * time.Hour}[pick(random, m.locked(now))])
				at := fmt.Sprintf("seed %d, step %d, %+v", seed, step, rules)
				switch random.IntN(20) {
				case 0:
					_, err := repo.Succeed(t.Context(), portalID, Login, subject, now)
					require.NoError(t, err)
					m.succeed(now)
				case 1:
					require.NoError(t, repo.Forget(t.Context(), portalID, Login, subject))
					*m = model{}
				default:
					state, counted, err := repo.Fail(t.Context(), portalID, Failure{Login, subject, rules, now})
					require.NoError(t, err)
					require.Equal(t, m.fail(rules, now), counted, at)
					m.requireSame(t, state, rules, now, at)
				}
				state, err := repo.Get(t.Context(), portalID, Login, subject)
				require.NoError(t, err)
				m.requireSame(t, state, rules, now, at)
			}
		}
	})
}

// pick chooses the next step in time. The step to the end of a lock is chosen only while there is a lock.
func pick(random *rand.Rand, locked bool) int {
	weights := []int{30, 30, 30, 3, 30, 1}
	if !locked {
		weights[4] = 0
	}
	n := random.IntN(sum(weights))
	return slices.IndexFunc(weights, func(w int) bool { n -= w; return n < 0 })
}

func sum(of []int) (total int) {
	for _, n := range of {
		total += n
	}
	return total
}

// requireSame compares a state with the model. at says where the test is.
func (m *model) requireSame(t *testing.T, state State, rules portal.Lockout, now time.Time, at string) {
	t.Helper()
	until, locked := state.Locked(now)
	require.Equal(t, m.locked(now), locked, at)
	if locked {
		require.Equal(t, m.lockedTo, until, at)
	} else {
		require.Equal(t, min(m.recent(rules, now), rules.Threshold), state.Failed(rules, now), at)
	}
	require.Equal(t, m.inARow >= InARow, state.ResetRequired(), at)
}

// Each kind, address and portal has a count of its own.
func TestCountsAreApart(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		repo, here, there := NewRepository(db), newPortal(t, db), newPortal(t, db)
		ada, bob := named("ada"), named("bob")
		ctx := t.Context()
		for range 5 {
			_, counted, err := repo.Fail(ctx, here, Failure{Login, ada, rules, noon})
			require.NoError(t, err)
			require.True(t, counted)
		}
		get := func(portalID ids.Portal, kind Kind, subject digest.Digest) State {
			state, err := repo.Get(ctx, portalID, kind, subject)
			require.NoError(t, err)
			return state
		}
		require.Equal(t, State{}, get(there, Login, ada))
		require.Equal(t, State{}, get(here, CurrentPassword, ada))
		require.Equal(t, State{}, get(here, Login, bob))

		locked, err := repo.LockedUntil(ctx, here, Login, []digest.Digest{ada, bob}, noon)
		require.NoError(t, err)
		require.Equal(t, map[digest.Digest]time.Time{ada: noon.Add(15 * time.Minute)}, locked)
		for _, none := range []func() (map[digest.Digest]time.Time, error){
			func() (map[digest.Digest]time.Time, error) {
				return repo.LockedUntil(ctx, there, Login, []digest.Digest{ada}, noon)
			},
			func() (map[digest.Digest]time.Time, error) {
				return repo.LockedUntil(ctx, here, CurrentPassword, []digest.Digest{ada}, noon)
			},
			func() (map[digest.Digest]time.Time, error) { return repo.LockedUntil(ctx, here, Login, nil, noon) },
			func() (map[digest.Digest]time.Time, error) {
				return repo.LockedUntil(ctx, here, Login, []digest.Digest{ada}, noon.Add(15*time.Minute))
			},
		} {
			locked, err := none()
			require.NoError(t, err)
			require.Empty(t, locked)
		}

		require.NoError(t, repo.Forget(ctx, there, Login, ada))
		require.NoError(t, repo.Forget(ctx, here, CurrentPassword, ada))
		require.NotEqual(t, State{}, get(here, Login, ada))
	})
}

// A success reports whether it cleared the count: not where a lock came first, or where there is no count.
func TestSucceedSaysWhetherItCleared(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		repo, portalID, subject := NewRepository(db), newPortal(t, db), named("ada")
		succeed := func(now time.Time) bool {
			cleared, err := repo.Succeed(context.Background(), portalID, Login, subject, now)
			require.NoError(t, err)
			return cleared
		}
		require.False(t, succeed(noon))
		for range 5 {
			_, _, err := repo.Fail(context.Background(), portalID, Failure{Login, subject, rules, noon})
			require.NoError(t, err)
		}
		require.False(t, succeed(noon.Add(15*time.Minute-time.Millisecond)))
		require.True(t, succeed(noon.Add(15*time.Minute)))
		require.True(t, succeed(noon.Add(15*time.Minute)), "another success at once is none the worse")
	})
}
