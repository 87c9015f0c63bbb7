package main

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/mail/smtptest"
)

// soon is how long a mail takes with nothing in its way, on a busy machine.
const soon = 15 * time.Second

// foundWell is how long after its first mail a new process may wake what waits, in case that an outage has ended.
const foundWell = 8 * time.Second

// A relay refuses one address for good and another for now: the receipts say so, the second is tried again within 30 s,
// and nobody else waits.
func TestMailRefused(t *testing.T) {
	onEachAtOnce(t, func(t *testing.T, d database.Dialect) {
		const never, later = "never@example.com", "later@example.com"
		relay := smtptest.New(t, smtptest.Options{})
		tries := new(tryLog)
		relay.Judge(func(recipient string) error {
			switch recipient {
			case never:
				return smtptest.ForGood
			case later:
				if tries.add() == 1 {
					return smtptest.ForNow
				}
			}
			return nil
		})
		_, variables := acme(t, d, relay)
		p := serve(t, variables)
		before := p.register(t, "before@example.com")
		p.awaitStatus(t, before, "sent", soon)
		time.Sleep(foundWell)

		refused, delayed := p.register(t, never), p.register(t, later)
		p.awaitStatus(t, refused, "failed", soon)
		p.awaitStatus(t, delayed, "delayed", soon)
		between := p.register(t, "between@example.com")
		p.awaitStatus(t, between, "sent", soon)
		require.Equal(t, "delayed", p.statusOf(t, delayed))
		require.Equal(t, "ok", p.mailStatus(t), "one recipient's trouble is none of ours")

		p.awaitStatus(t, delayed, "sent", patience)
		at := tries.all()
		require.Len(t, at, 2)
		t.Logf("tried again after %v", at[1].Sub(at[0]).Round(time.Millisecond))
		require.Less(t, at[1].Sub(at[0]), 30*time.Second)
		require.Equal(t, "failed", p.statusOf(t, refused))
		requireOnce(t, relay, []string{before, between, delayed})
		p.stop(t)
	})
}

// tryLog is when a relay was asked to take a mail.
type tryLog struct {
	mu    sync.Mutex
	times []time.Time
}

// add notes a try and counts it.
func (l *tryLog) add() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times = append(l.times, time.Now())
	return len(l.times)
}

func (l *tryLog) all() []time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]time.Time(nil), l.times...)
}

// mailStatus is what the status page says of mail.
func (p *process) mailStatus(t *testing.T) string {
	t.Helper()
	return read[struct {
		Components struct {
			Mail string `json:"mail"`
		} `json:"components"`
	}](t, p.call(t, http.MethodGet, "/status", "", ""), http.StatusOK).Components.Mail
}
