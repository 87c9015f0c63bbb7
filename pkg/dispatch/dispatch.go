// Package dispatch sends the messages that package delivery queues. For each message it finds the recipient, derives the
// secret, writes the letter, hands it to the relay and notes the outcome. A secret is derived only when it is sent, and
// only while it is current.
package dispatch

import (
	"context"
	"log/slog"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/clock"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/invitation"
	"github.com/latchkey-auth/latchkey/pkg/mail"
	"github.com/latchkey-auth/latchkey/pkg/onetime"
	"github.com/latchkey-auth/latchkey/pkg/portal"
	"github.com/latchkey-auth/latchkey/pkg/queue"
)

// Dependencies are what a Service works with. Sender, Inbox and the times are optional.
type Dependencies struct {
	Queue       *queue.Queue
	Messages    *delivery.Service
	Portals     *portal.Service
	Accounts    *account.Repository
	Secrets     *onetime.Service
	Invitations *invitation.Service
	Outage      *mail.Outage // shared with Messages
	Sender      *mail.SMTP   // nil only notes messages in the log
	Inbox       *Inbox       // gets a copy of each message; nil keeps none
	Log         *slog.Logger
	Now         clock.Clock

	FirstRetry  time.Duration // the pause after a first refusal; 0 means 20 s
	SendTimeout time.Duration // of one try to send; 0 means the sender's times
	ProbeEvery  time.Duration // how often a relay that was away is tried; 0 means 5 s
}

const (
	// firstRetry makes the first retry come within 30 s: the queue looks for due jobs every 5 s.
	firstRetry = 20 * time.Second
	probeEvery = 5 * time.Second
)

// Service sends messages while its queue is started. It is safe for concurrent use.
type Service struct {
	queue       *queue.Queue
	messages    *delivery.Service
	portals     *portal.Service
	accounts    *account.Repository
	secrets     *onetime.Service
	invitations *invitation.Service
	outage      *mail.Outage
	domains     *mail.Domains
	sender      *mail.SMTP
	inbox       *Inbox
	log         *slog.Logger
	clock       clock.Clock

	firstRetry, sendTimeout, probeEvery time.Duration
}

// NewService makes a service of its dependencies, and registers it with the queue as the worker that sends messages.
func NewService(with Dependencies) *Service {
	s := &Service{
		queue: with.Queue, messages: with.Messages, portals: with.Portals, accounts: with.Accounts, secrets: with.Secrets,
		invitations: with.Invitations, outage: with.Outage, domains: mail.NewDomains(), sender: with.Sender,
		inbox: with.Inbox, log: with.Log,
		clock: with.Now, firstRetry: with.FirstRetry, sendTimeout: with.SendTimeout, probeEvery: with.ProbeEvery,
	}
	if s.firstRetry == 0 {
		s.firstRetry = firstRetry
	}
	if s.probeEvery == 0 {
		s.probeEvery = probeEvery
	}
	queue.Register(s.queue, queue.NoLimit, s.work)
	s.queue.While(s.probe)
	return s
}

// Configured reports whether messages leave the process. Without a sender they are only noted in the log.
func (s *Service) Configured() bool { return s.sender != nil }

// Close closes the connections to the relay. Stop the queue first.
func (s *Service) Close() error {
	if s.sender == nil {
		return nil
	}
	return s.sender.Close()
}

// probe tries a waiting message from time to time while an outage is suspected, so that the end of the outage is found
// soon, even when all pauses are long.
func (s *Service) probe(ctx context.Context) {
	tick := time.NewTicker(s.probeEvery)
	defer tick.Stop()
	for nth := 1; ; nth++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// An absent database is logged elsewhere, and the next tick comes.
		switch {
		case s.outage.Suspected(nth):
			_ = s.queue.WakeOne(ctx, delivery.JobKind)
		case s.outage.Stragglers():
			_ = s.queue.WakeAll(ctx, delivery.JobKind)
		}
	}
}
