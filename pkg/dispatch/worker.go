package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/fault"
)

// troubleRetry is the pause after the database did not answer.
const troubleRetry = 3 * time.Second

// giveUpAfter is how long a message that is refused for now is tried again.
const giveUpAfter = 24 * time.Hour

// work handles a job. It returns the pause before the job is run again, 0 for never.
func (s *Service) work(ctx context.Context, job delivery.Job) (again time.Duration) {
	again, err := s.process(ctx, job)
	if err != nil {
		s.log.WarnContext(ctx, "a message waits: its row could not be read or written",
			slog.String("delivery", job.ID.String()), slog.Any("error", err))
		return troubleRetry
	}
	return again
}

// process sends a message if it is still to be sent. An error means that the database did not answer.
func (s *Service) process(ctx context.Context, job delivery.Job) (again time.Duration, err error) {
	d, err := s.messages.Get(ctx, job.PortalID, job.ID)
	switch {
	case errors.Is(err, database.ErrNotFound):
		return 0, nil // the portal was deleted
	case err != nil:
		return 0, err
	case !d.OnItsWay():
		return 0, nil
	case d.ToNobody():
		return 0, s.end(ctx, d, delivery.Sent, "")
	case s.clock.Now().Sub(d.CreatedAt) >= giveUpAfter:
		return 0, s.end(ctx, d, delivery.Failed, cut(gaveUpAnswer+d.ProviderAnswer))
	}
	p, err := s.portals.ByID(ctx, d.PortalID)
	if fault.CodeOf(err) == fault.OrganizationNotFound {
		return 0, s.end(ctx, d, delivery.Failed, noPortalAnswer)
	}
	if err != nil {
		return 0, err
	}
	to, dead, err := s.recipient(ctx, d)
	switch {
	case err != nil:
		return 0, err
	case dead != "":
		return 0, s.end(ctx, d, delivery.Failed, dead)
	}
	if answer, ok := s.outage.WorthTrying(s.probeEvery); !ok {
		return s.delay(ctx, d, to.secret, answer)
	}
	if err := s.messages.BeginTry(ctx, d); err != nil {
		return 0, err
	}
	o, err := s.write(p, d, to)
	if err != nil {
		return 0, err
	}
	return s.send(ctx, d, o, to.secret)
}

// noteTime is how long noting the outcome may take after the job's context ended.
const noteTime = 3 * time.Second

// end notes the end of a message.
func (s *Service) end(ctx context.Context, d *delivery.Delivery, status delivery.Status, answer string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer cancel()
	return s.messages.End(ctx, d, status, answer)
}

// maxPause is the longest pause between two tries.
const maxPause = time.Hour

// delay notes that a message was refused for now, and returns the pause before the next try. Pauses grow with the age of
// the message: 20 s, then about 30 s, 1, 2, 4, 8, … minutes, then an hour. None is longer than the rest of the secret's
// life, so that its expiry is noted in time.
func (s *Service) delay(
	ctx context.Context, d *delivery.Delivery, carried secret, answer string,
) (again time.Duration, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer cancel()
	now := s.clock.Now()
	age := now.Sub(d.CreatedAt)
	pause := s.firstRetry
	if d.Status == delivery.Delayed {
		pause = min(max(age, s.firstRetry), maxPause)
	}
	pause = min(pause, giveUpAfter-age)
	if d.Kind.CarriesSecret() {
		pause = min(pause, carried.expiresAt.Sub(now))
	}
	pause = max(pause, time.Millisecond)
	return pause, s.messages.Delay(ctx, d, answer, now.Add(pause))
}
