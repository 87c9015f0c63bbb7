package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/mail/smtptest"
)

const (
	// drainTime is how soon after an outage everything that waited is sent.
	drainTime = 60 * time.Second
	// swift is how soon a registration is answered, whatever becomes of its mail.
	swift = time.Second
)

// The relay goes away in every way that it can, under two instances where the database allows it. Registrations are
// answered as ever, receipts tell that the mail is delayed, and once the relay is back everything is sent, each mail
// once.
func TestRelayGoesAway(t *testing.T) {
	onEachAtOnce(t, func(t *testing.T, d database.Dialect) {
		relay := smtptest.New(t, smtptest.Options{})
		_, variables := acme(t, d, relay)
		instances := []*process{serve(t, variables)}
		if d == database.Postgres {
			instances = append(instances, serve(t, variables))
		}
		people := newArrivals(t, instances)
		outages := []struct {
			name       string
			begin, end func()
		}{
			{"hangs after the greeting", func() { relay.Hang(true) }, func() { relay.Hang(false) }},
			{"refuses for now", func() { relay.Judge(func(string) error { return smtptest.ForNow }) }, func() { relay.Judge(nil) }},
			{"is away", func() { relay.Down(t) }, func() { relay.Up(t) }},
		}
		var ids []string
		for i, outage := range outages {
			outage.begin()
			if i > 0 {
				outages[i-1].end()
			}
			begun := time.Now()
			queued := people.register(t, amount(67, 334))
			for _, id := range queued {
				instances[0].awaitStatus(t, id, "delayed", patience)
			}
			t.Logf("the relay %s: all receipts say so after %v", outage.name, time.Since(begun).Round(100*time.Millisecond))
			require.Equal(t, "degraded", instances[0].mailStatus(t), outage.name)
			ids = append(ids, queued...)
		}
		require.Empty(t, relay.Messages())

		outages[len(outages)-1].end()
		back := time.Now()
		relay.Wait(t, len(ids), drainTime)
		t.Logf("%d mails were sent %v after the relay was back", len(ids), time.Since(back).Round(100*time.Millisecond))
		for _, id := range ids {
			instances[0].awaitStatus(t, id, "sent", soon)
		}
		require.Eventually(t, func() bool { return instances[0].mailStatus(t) == "ok" }, soon, 100*time.Millisecond)
		people.end(t)
		for _, p := range instances {
			p.stop(t)
		}
		requireOnce(t, relay, ids)
	})
}

// arrivals are people who register at several instances, and how long that took.
type arrivals struct {
	instances []*process
	asked     atomic.Int64
	slowest   atomic.Int64
	late      atomic.Int64 // the longest that /healthz took, which does nothing: so late is this machine itself
	cancel    context.CancelFunc
	health    sync.WaitGroup
}

func newArrivals(t *testing.T, instances []*process) *arrivals {
	t.Helper()
	a := &arrivals{instances: instances}
	ctx, cancel := context.WithCancel(t.Context())
	a.cancel = cancel
	t.Cleanup(func() {
		cancel()
		a.health.Wait()
	})
	for _, p := range instances {
		a.health.Go(func() {
			for ; ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
				begun := time.Now()
				if got, err := p.try(ctx, http.MethodGet, "/healthz", "", ""); ctx.Err() == nil && (err != nil || got.status != http.StatusOK) {
					t.Errorf("/healthz: %d, %v", got.status, err)
				}
				raise(&a.late, int64(time.Since(begun)))
			}
		})
	}
	return a
}

// register has people register, some at a time, and gives the ids of their mails.
func (a *arrivals) register(t *testing.T, howMany int) []string {
	t.Helper()
	ids := make([]string, howMany)
	var next atomic.Int64
	var callers sync.WaitGroup
	for caller := range 4 {
		p := a.instances[caller%len(a.instances)]
		callers.Go(func() {
			for i := next.Add(1) - 1; int(i) < howMany && !t.Failed(); i = next.Add(1) - 1 {
				begun := time.Now()
				answer, err := p.tryToRegister(t.Context(), fmt.Sprintf("person-%d@example.com", a.asked.Add(1)))
				raise(&a.slowest, int64(time.Since(begun)))
				if ids[i], err = deliveryIn(answer, err); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	require.False(t, t.Failed())
	return ids
}

// end wants the slowest answer to have come in time, apart from what this machine itself was late.
func (a *arrivals) end(t *testing.T) {
	t.Helper()
	a.cancel()
	a.health.Wait()
	slowest, late := time.Duration(a.slowest.Load()), time.Duration(a.late.Load())
	t.Logf("the slowest registration took %v, /healthz %v", slowest, late)
	require.Less(t, slowest, swift+late)
}
