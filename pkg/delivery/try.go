package delivery

import (
	"context"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// Lease is how long a message is held for the worker that sends it. The worker extends the lease while it sends, so
// that the message of a killed process is free again soon.
const Lease = 30 * time.Second

// Get reads a message. Errors: database.ErrNotFound.
func (s *Service) Get(ctx context.Context, portalID ids.Portal, id ids.Delivery) (*Delivery, error) {
	return s.repo.get(ctx, portalID, id)
}

// BeginTry counts a try to send and holds the message for Lease. It reports false if the message is held by another
// worker, or has a final status: then it must not be sent.
func (s *Service) BeginTry(ctx context.Context, d *Delivery) (bool, error) {
	return s.repo.begin(ctx, d)
}

// Hold holds a message that is being sent for a time from now. No other worker sends it before.
func (s *Service) Hold(ctx context.Context, d *Delivery, duration time.Duration) error {
	return s.repo.hold(ctx, d, duration)
}

// End notes the final status of a message, with the relay's answer or the reason. A message that already has a final
// status keeps it.
func (s *Service) End(ctx context.Context, d *Delivery, status Status, answer string) error {
	var sent *time.Time
	if status == Sent {
		now := s.clock.Now()
		sent = &now
	}
	return s.repo.note(ctx, d, outcome{status: status, answer: answer, sent: sent})
}

// Delay notes that a message was not sent for now, and when it is tried next. hold is how long it stays held, because
// the relay may have taken it all the same; 0 ends the lease.
func (s *Service) Delay(ctx context.Context, d *Delivery, answer string, next time.Time, hold time.Duration) error {
	return s.repo.note(ctx, d, outcome{status: Delayed, answer: answer, next: &next, hold: hold})
}

// FirstConfirmation says from where, and when, the first confirmation of an account was asked for. Errors:
// database.ErrNotFound.
func (s *Service) FirstConfirmation(
	ctx context.Context, portalID ids.Portal, accountID ids.Account,
) (network string, at time.Time, err error) {
	d, err := s.repo.firstConfirmation(ctx, portalID, accountID)
	if err != nil {
		return "", time.Time{}, err
	}
	return d.Network, d.CreatedAt, nil
}
