package password

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

const hashTime = 100 * time.Millisecond

func newPortals(t *testing.T, n int) []ids.Portal {
	t.Helper()
	portals := make([]ids.Portal, n)
	for i := range portals {
		var err error
		portals[i], err = ids.New[ids.Portal]()
		require.NoError(t, err)
	}
	return portals
}

// pretend takes a slot for a portal as long as a hash would.
func pretend(ctx context.Context, pool *Pool, portal ids.Portal) error {
	return pool.For(portal).run(ctx, func() { time.Sleep(hashTime) })
}

// flood keeps that many connections of one portal hashing, as fast as they are answered, until stop.
func flood(ctx context.Context, pool *Pool, portal ids.Portal, connections int) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	for range connections {
		running.Go(func() {
			for ctx.Err() == nil {
				_ = pretend(ctx, pool, portal) // refused, or hashed: once more
			}
		})
	}
	return func() {
		cancel()
		running.Wait()
	}
}

// One portal with very many connections costs the others a turn, and none of them a refusal.
func TestOnePortalCannotKeepTheOthersWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool, portals := NewPool(2, 2*time.Second, Cheapest), newPortals(t, 4)
		stop := flood(t.Context(), pool, portals[0], 120)
		defer stop()
		time.Sleep(time.Second)
		for range 50 {
			for _, portal := range portals[1:] {
				began := time.Now()
				require.NoError(t, pretend(t.Context(), pool, portal))
				require.LessOrEqual(t, time.Since(began), 2*hashTime, "a slot that comes free, and the hash")
			}
		}
	})
}

// While several portals want more than there is, each gets as much, however many connections it has.
func TestPortalsTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool, portals := NewPool(2, time.Minute, Cheapest), newPortals(t, 3)
		var mu sync.Mutex
		hashed := map[ids.Portal]int{}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for i, portal := range portals {
			for range []int{100, 10, 3}[i] {
				running.Go(func() {
					for pretend(ctx, pool, portal) == nil {
						mu.Lock()
						hashed[portal]++
						mu.Unlock()
					}
				})
			}
		}
		time.Sleep(300 * hashTime)
		cancel()
		running.Wait()
		for _, portal := range portals {
			require.InDelta(t, 200, hashed[portal], 20)
		}
	})
}

// Within a portal it is first come, first served.
func TestCallersOfAPortalAreServedInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := NewPool(1, time.Minute, Cheapest)
		occupy(t, pool)
		var order []int
		var callers sync.WaitGroup
		for i := range 20 {
			callers.Go(func() {
				require.NoError(t, pool.For(anyPortal).run(t.Context(), func() { order = append(order, i) }))
			})
			synctest.Wait()
		}
		pool.queue.release(false)
		callers.Wait()
		require.IsIncreasing(t, order)
	})
}

// A portal may have so many callers waiting and no more. Those beyond are refused at once, and other portals still wait.
func TestWaitingIsBoundedForAPortal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool, portals := NewPool(1, time.Minute, Cheapest), newPortals(t, 2)
		occupy(t, pool)
		ctx, leave := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		for range maxWaiting {
			callers.Go(func() { require.ErrorIs(t, pretend(ctx, pool, portals[0]), context.Canceled) })
		}
		synctest.Wait()
		began := time.Now()
		require.Equal(t, fault.Overloaded, fault.CodeOf(pretend(t.Context(), pool, portals[0])))
		require.Zero(t, time.Since(began))

		callers.Go(func() { require.NoError(t, pretend(t.Context(), pool, portals[1])) })
		synctest.Wait()
		require.Equal(t, maxWaiting+1, pool.Stats().Waiting)
		leave()
		synctest.Wait()
		require.Equal(t, 1, pool.Stats().Waiting)
		pool.queue.release(false)
		callers.Wait()
		stats := pool.Stats()
		require.Zero(t, stats.Waiting)
		require.Zero(t, stats.Running)
		require.EqualValues(t, maxWaiting, stats.Abandoned)
		require.EqualValues(t, 1, stats.Overloaded)
		require.Empty(t, pool.queue.turns)
		require.Empty(t, pool.queue.waiting)
	})
}

// Callers who leave, time out and hash in every order lose no slot and leave nothing behind.
func TestNoSlotIsLost(t *testing.T) {
	t.Parallel()
	pool, portals := NewPool(3, 2*time.Millisecond, Cheapest), newPortals(t, 5)
	var callers sync.WaitGroup
	for i := range 64 {
		callers.Go(func() {
			for round := range 100 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(round%5)*time.Millisecond)
				_ = pool.For(portals[(i+round)%len(portals)]).run(ctx, func() { time.Sleep(100 * time.Microsecond) })
				cancel()
			}
		})
	}
	callers.Wait()
	stats := pool.Stats()
	require.Zero(t, stats.Running)
	require.Zero(t, stats.Waiting)
	require.NotZero(t, stats.Hashed)
	require.Empty(t, pool.queue.turns)
	require.Empty(t, pool.queue.waiting)
	require.EqualValues(t, 6400, stats.Hashed+stats.Overloaded+stats.Abandoned)
}
