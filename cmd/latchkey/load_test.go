//go:build load

package main

import (
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

// The limits of the test.
const (
	mostMemory = 128 // MiB
	atOnce     = 500
	waves      = 4
)

// TestLoad lets 500 people log in at once, four times over, with passwords hashed at the default cost, on the real
// program, and prints what became of them:
//
//	go test -tags load ./cmd/latchkey -run Load -v
func TestLoad(t *testing.T) {
	for _, dialect := range databasetest.Dialects() {
		t.Run(string(dialect), func(t *testing.T) {
			variables := append(keyed(databasetest.URL(t, dialect), keyring.Generate()),
				"LATCHKEY_HASH_MEMORY=19456", "LATCHKEY_HASH_ITERATIONS=2")
			p := serve(t, variables, "--dev")
			require.NotEmpty(t, p.logIn(t).AccessToken)

			var over atomic.Bool
			var health sync.WaitGroup
			var healthy []time.Duration
			health.Go(func() {
				for !over.Load() {
					begun := time.Now()
					a, err := p.try(t.Context(), http.MethodGet, "/healthz", "", "")
					if err != nil || a.status != http.StatusOK {
						t.Errorf("/healthz: %d, %v", a.status, err)
					}
					healthy = append(healthy, time.Since(begun))
					time.Sleep(10 * time.Millisecond)
				}
			})
			for range waves {
				p.wave(t)
			}
			over.Store(true)
			health.Wait()

			peak := p.memory(t, "VmHWM")
			t.Logf("peak memory %.1f MiB; /healthz %s", peak, spread(healthy))
			require.Less(t, peak, float64(mostMemory))
			p.stop(t)
		})
	}
}

// outcome is how a login went, and how long it took.
type outcome struct {
	answer
	err  error
	took time.Duration
}

// wave is 500 logins at once, each answered by 200 or, when the queue is full, 503.
func (p *process) wave(t *testing.T) {
	t.Helper()
	outcomes := make(chan outcome, atOnce)
	begun := time.Now()
	for range atOnce {
		go func() {
			start := time.Now()
			a, err := p.try(t.Context(), http.MethodPost, demoPath+"/login", "", demoLogin)
			outcomes <- outcome{a, err, time.Since(start)}
		}()
	}
	took := map[int][]time.Duration{}
	for range atOnce {
		o := <-outcomes
		require.NoError(t, o.err)
		if o.status != http.StatusOK {
			require.Contains(t, []string{"overloaded", "unavailable"}, read[refusal](t, o.answer, http.StatusServiceUnavailable).Code)
			require.NotEmpty(t, o.header.Get("Retry-After"))
		}
		took[o.status] = append(took[o.status], o.took)
	}
	good := len(took[http.StatusOK])
	require.Positive(t, good)
	t.Logf("%d logged in (%.0f/s with %d cores), %s; %d refused, %s", good, float64(good)/time.Since(begun).Seconds(),
		runtime.GOMAXPROCS(0), spread(took[http.StatusOK]), atOnce-good, spread(took[http.StatusServiceUnavailable]))
}

// spread tells the median and the slowest.
func spread(of []time.Duration) string {
	if len(of) == 0 {
		return "none"
	}
	slices.Sort(of)
	return "median " + of[len(of)/2].Round(time.Millisecond).String() + ", slowest " + of[len(of)-1].Round(time.Millisecond).String()
}
