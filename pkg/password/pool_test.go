package password

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

const (
	umlautNFC = "Gr\u00fc\u00dfe aus K\u00f6ln 7"
	umlautNFD = "Gru\u0308\u00dfe aus Ko\u0308ln 7"
)

// anyPortal is the portal of tests in which portals do not matter.
var anyPortal = ids.Portal{}

// occupy takes a slot that must be free.
func occupy(t *testing.T, pool *Pool) {
	t.Helper()
	running := pool.Stats().Running
	require.Less(t, running, pool.Stats().Slots)
	require.NoError(t, pool.queue.acquire(t.Context(), anyPortal))
	require.Equal(t, running+1, pool.Stats().Running)
}

func cheapPool() *Pool { return NewPool(2, time.Minute, Cheapest) }

func TestHashVerifies(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		set, tried string
		match      bool
	}{
		"the same":                   {"correct horse battery staple", "correct horse battery staple", true},
		"other case":                 {"correct horse battery staple", "Correct horse battery staple", false},
		"set in NFC, typed in NFD":   {umlautNFC, umlautNFD, true},
		"set in NFD, typed in NFC":   {umlautNFD, umlautNFC, true},
		"compatible is not the same": {"\ufb01ne day at the sea", "fine day at the sea", false},
		"as long as allowed":         {strings.Repeat("\u00fc", MaxLength), strings.Repeat("u\u0308", MaxLength), true},
		"empty":                      {"something or other", "", false},
		"invalid UTF-8":              {"\xff\xfe and more of it", "\xff\xfe and more of it", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := cheapPool()
			encoded, err := pool.For(anyPortal).Hash(t.Context(), test.set)
			require.NoError(t, err)
			require.Regexp(t, `^\$argon2id\$v=19\$m=8,t=1,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$`, encoded)
			require.NoError(t, supported(encoded))

			result, err := pool.For(anyPortal).Verify(t.Context(), test.tried, encoded)
			require.NoError(t, err)
			require.Equal(t, Result{Match: test.match}, result)
		})
	}
}

func TestHashesOfOnePasswordDiffer(t *testing.T) {
	t.Parallel()
	pool := cheapPool()
	first, err := pool.For(anyPortal).Hash(t.Context(), "correct horse battery staple")
	require.NoError(t, err)
	second, err := pool.For(anyPortal).Hash(t.Context(), "correct horse battery staple")
	require.NoError(t, err)
	require.NotEqual(t, first, second)
}

func TestTooLongIsNeverHashedAndNeverMatches(t *testing.T) {
	t.Parallel()
	pool := cheapPool()
	long := strings.Repeat("a", MaxLength+1)
	_, err := pool.For(anyPortal).Hash(t.Context(), long)
	require.ErrorIs(t, err, ErrTooLong)
	require.Zero(t, pool.Stats().Hashed)

	for _, set := range []string{"", long[:MaxLength]} {
		encoded, err := pool.For(anyPortal).Hash(t.Context(), set)
		require.NoError(t, err)
		before := pool.Stats().Hashed
		result, err := pool.For(anyPortal).Verify(t.Context(), long, encoded)
		require.NoError(t, err)
		require.False(t, result.Match)
		require.Equal(t, before+1, pool.Stats().Hashed, "the same work as for any other password")
	}
}

func TestOutdated(t *testing.T) {
	t.Parallel()
	stored, err := NewPool(1, time.Minute, Params{MemoryKiB: 16, Iterations: 2, Parallelism: 2}).For(anyPortal).Hash(t.Context(), "correct horse battery staple")
	require.NoError(t, err)
	for name, test := range map[string]struct {
		params   Params
		outdated bool
	}{
		"same":               {Params{MemoryKiB: 16, Iterations: 2, Parallelism: 2}, false},
		"other memory":       {Params{MemoryKiB: 17, Iterations: 2, Parallelism: 2}, true},
		"other iterations":   {Params{MemoryKiB: 16, Iterations: 1, Parallelism: 2}, true},
		"other lanes":        {Params{MemoryKiB: 16, Iterations: 2, Parallelism: 1}, true},
		"memory of one lane": {Params{MemoryKiB: 1, Iterations: 2, Parallelism: 2}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := NewPool(1, time.Minute, test.params).For(anyPortal).Verify(t.Context(), "correct horse battery staple", stored)
			require.NoError(t, err)
			require.Equal(t, Result{Match: true, Outdated: test.outdated}, result)
		})
	}
}

func TestZeroParamsAreTheDefault(t *testing.T) {
	t.Parallel()
	encoded, err := NewPool(0, time.Minute, Params{}).For(anyPortal).Hash(t.Context(), "correct horse battery staple")
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(encoded, "$argon2id$v=19$m=19456,t=2,p=1$"))
}

func TestVerifyAbsentDoesTheWork(t *testing.T) {
	t.Parallel()
	pool := cheapPool()
	require.NoError(t, pool.For(anyPortal).VerifyAbsent(t.Context(), "correct horse battery staple"))
	require.NoError(t, pool.For(anyPortal).VerifyAbsent(t.Context(), strings.Repeat("a", MaxLength+1)))
	require.EqualValues(t, 2, pool.Stats().Hashed)
}

func TestUnreadableHashCostsAHash(t *testing.T) {
	t.Parallel()
	pool := cheapPool()
	result, err := pool.For(anyPortal).Verify(t.Context(), "correct horse battery staple", "$argon2id$v=19$m=8,t=0,p=1$c2FsdA$aGFzaA")
	require.ErrorIs(t, err, ErrUnreadable)
	require.Equal(t, Result{}, result)
	require.EqualValues(t, 1, pool.Stats().Hashed)
}

func TestWaitEndsInOverloaded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := NewPool(1, 2*time.Second, Cheapest)
		occupy(t, pool)

		began := time.Now()
		_, err := pool.For(anyPortal).Verify(t.Context(), "correct horse battery staple", "not a hash")
		require.Equal(t, 2*time.Second, time.Since(began))
		require.NotErrorIs(t, err, ErrUnreadable, "nothing was compared, so nothing may be counted")

		var overloaded *fault.Error
		require.ErrorAs(t, err, &overloaded)
		require.Equal(t, fault.Overloaded, overloaded.Code)
		require.Equal(t, time.Second, overloaded.RetryAfter)
		require.Equal(t, Stats{Slots: 1, Running: 1, Waited: 1, WaitTime: 2 * time.Second, Overloaded: 1}, pool.Stats())
	})
}

func TestCallerWhoLeavesIsNotHashed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := NewPool(1, time.Hour, Cheapest)
		left, leave := context.WithCancel(t.Context())
		leave()
		require.ErrorIs(t, pool.For(anyPortal).VerifyAbsent(left, "correct horse battery staple"), context.Canceled)

		occupy(t, pool)
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := pool.For(anyPortal).Hash(impatient, "correct horse battery staple")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, Stats{Slots: 1, Running: 1, Waited: 1, WaitTime: time.Second, Abandoned: 2}, pool.Stats())
	})
}

func TestWaiterGetsTheFreedSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := NewPool(1, time.Minute, Cheapest)
		occupy(t, pool)
		var hashed sync.WaitGroup
		hashed.Go(func() {
			require.NoError(t, pool.For(anyPortal).VerifyAbsent(t.Context(), "correct horse battery staple"))
		})
		synctest.Wait()
		require.Equal(t, 1, pool.Stats().Waiting)

		time.Sleep(time.Second)
		pool.queue.release(false)
		hashed.Wait()
		require.Equal(t, Stats{Slots: 1, Hashed: 1, Waited: 1, WaitTime: time.Second}, pool.Stats())
	})
}

func TestSlotAndCancellationAtOnce(t *testing.T) {
	t.Parallel()
	// select prefers neither, so a number of tries makes sure that both orders were met.
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			pool := NewPool(1, time.Minute, Cheapest)
			occupy(t, pool)
			ctx, cancel := context.WithCancel(t.Context())
			var gone sync.WaitGroup
			gone.Go(func() {
				err := pool.For(anyPortal).run(ctx, func() { t.Error("hashed for a caller who had left") })
				require.ErrorIs(t, err, context.Canceled)
			})
			synctest.Wait()
			cancel()
			pool.queue.release(false)
			gone.Wait()
			require.Zero(t, pool.Stats().Running, "the slot was given back")
		})
	}
}

func TestBegunWorkIsFinished(t *testing.T) {
	t.Parallel()
	pool := cheapPool()
	ctx, hangUp := context.WithCancel(t.Context())
	finished := false
	err := pool.For(anyPortal).run(ctx, func() {
		hangUp()
		finished = true
	})
	require.NoError(t, err)
	require.True(t, finished)
}

func TestNoMoreThanTheSlotsRun(t *testing.T) {
	t.Parallel()
	const slots = 3
	pool := NewPool(slots, time.Minute, Cheapest)
	var running, most atomic.Int64
	var callers sync.WaitGroup
	for range 64 {
		callers.Go(func() {
			err := pool.For(anyPortal).run(t.Context(), func() {
				now := running.Add(1)
				for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
				}
				time.Sleep(time.Millisecond)
				running.Add(-1)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	require.EqualValues(t, slots, most.Load())
	require.EqualValues(t, 64, pool.Stats().Hashed)
}

func TestPanicGivesTheSlotBack(t *testing.T) {
	t.Parallel()
	pool := NewPool(1, time.Minute, Cheapest)
	require.Panics(t, func() { _ = pool.For(anyPortal).run(t.Context(), func() { panic("hash") }) })
	require.NoError(t, pool.For(anyPortal).VerifyAbsent(t.Context(), "correct horse battery staple"))
}
