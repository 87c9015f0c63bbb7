package delivery

import (
	"context"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// Get reads a message. Errors: database.ErrNotFound.
func (s *Service) Get(ctx context.Context, portalID ids.Portal, id ids.Delivery) (*Delivery, error) {
	return s.repo.get(ctx, portalID, id)
}

// BeginTry counts a try to send.
func (s *Service) BeginTry(ctx context.Context, d *Delivery) error { return s.repo.begin(ctx, d) }

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

// Delay notes that a message was refused for now, and when it is tried next.
func (s *Service) Delay(ctx context.Context, d *Delivery, answer string, next time.Time) error {
	return s.repo.note(ctx, d, outcome{status: Delayed, answer: answer, next: &next})
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
