package dispatch

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/delivery"
)

// moment is a time that is set once. It is safe for concurrent use.
type moment struct{ at atomic.Pointer[time.Time] }

func (m *moment) isNow() {
	now := time.Now()
	m.at.Store(&now)
}

// ago is how long ago the moment was; 0 if it was not set.
func (m *moment) ago() time.Duration {
	if at := m.at.Load(); at != nil {
		return time.Since(*at)
	}
	return 0
}

func (m *moment) isSet() bool { return m.at.Load() != nil }

const (
	// holdEvery is how often the lease of a message that is being sent is extended.
	holdEvery = delivery.Lease / 5
	// holdSlack is how much longer than the relay may take a message is held.
	holdSlack = time.Minute
)

// keepHeld extends the lease of a message until the function that it returns is called: a relay may take longer than the
// lease. Once the whole mail was sent, the message is held for as long as the relay may take to answer, even if this
// process is killed meanwhile: the relay may have taken the mail.
func (s *Service) keepHeld(ctx context.Context, d *delivery.Delivery, dotted *moment) (release func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(holdEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			duration, last := delivery.Lease, dotted.isSet()
			if last {
				duration = s.sender.Times.Taken - dotted.ago() + holdSlack
			}
			if err := s.messages.Hold(ctx, d, duration); err != nil {
				if ctx.Err() == nil {
					s.log.WarnContext(ctx, "a message that is being sent may be sent twice: it could not be held",
						slog.String("delivery", d.ID.String()), slog.Any("error", err))
				}
				continue
			}
			if last {
				return
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}
