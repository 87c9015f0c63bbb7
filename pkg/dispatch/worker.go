package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/mail"
	"github.com/latchkey-auth/latchkey/pkg/queue"
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
	looking, cancel := context.WithTimeout(ctx, queue.JobTimeout)
	defer cancel()
	d, err := s.messages.Get(looking, job.PortalID, job.ID)
	switch {
	case errors.Is(err, database.ErrNotFound):
		return 0, nil // the portal was deleted
	case err != nil:
		return 0, err
	case !d.OnItsWay():
		return 0, nil
	case s.held(d) > 0:
		return s.held(d), nil
	case d.ToNobody():
		return 0, s.end(ctx, d, delivery.Sent, "")
	case s.clock.Now().Sub(d.CreatedAt) >= giveUpAfter:
		return 0, s.end(ctx, d, delivery.Failed, cut(gaveUpAnswer+d.ProviderAnswer))
	}
	p, err := s.portals.ByID(looking, d.PortalID)
	if fault.CodeOf(err) == fault.OrganizationNotFound {
		return 0, s.end(ctx, d, delivery.Failed, noPortalAnswer)
	}
	if err != nil {
		return 0, err
	}
	to, dead, err := s.recipient(looking, d)
	switch {
	case err != nil:
		return 0, err
	case dead != "":
		return 0, s.end(ctx, d, delivery.Failed, dead)
	}
	if answer, ok := s.outage.WorthTrying(s.probeEvery); !ok {
		return s.delay(ctx, d, to.secret, answer, 0)
	}
	o, err := s.write(p, d, to)
	if err != nil {
		return 0, err
	}
	return s.try(ctx, d, o, to)
}

// busyPause is the pause before a message is looked at again that waits for other mail to its domain.
const busyPause = 2 * time.Second

// try sends a message if its domain takes mail, and no other worker sends it.
func (s *Service) try(
	ctx context.Context, d *delivery.Delivery, o *outgoing, to recipient,
) (again time.Duration, err error) {
	entry := s.domains.Enter(ctx, domainOf(to.address), d.Attempts == 1)
	switch {
	case entry.Answer != "":
		return s.delay(ctx, d, to.secret, entry.Answer, 0)
	case !entry.OK:
		return busyPause, nil
	}
	outcome := mail.Outcome{Reach: mail.Unreached}
	defer func() { entry.Leave(outcome) }()
	begun, err := s.messages.BeginTry(ctx, d)
	if err != nil || !begun {
		return heldPause, err // held, or final: the next look finds out
	}
	outcome, again, err = s.send(ctx, d, o, to)
	return again, err
}

func domainOf(address email.Address) string {
	canonical := address.Canonical()
	return canonical[strings.LastIndexByte(canonical, '@')+1:]
}

// heldPause bounds the pause before a message is looked at again that another worker holds.
const heldPause = delivery.Lease

// held returns the pause before a message is looked at again that another worker seems to hold; 0 for none. The clock
// may differ from the database's: BeginTry decides.
func (s *Service) held(d *delivery.Delivery) time.Duration {
	if d.HeldUntil == nil {
		return 0
	}
	return min(max(d.HeldUntil.Sub(s.clock.Now()), 0), heldPause)
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
// life, so that its expiry is noted in time. Within hold from now the message is not tried, because the relay may have
// taken it.
func (s *Service) delay(
	ctx context.Context, d *delivery.Delivery, carried secret, answer string, hold time.Duration,
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
	pause = max(pause, hold, time.Millisecond)
	return pause, s.messages.Delay(ctx, d, answer, now.Add(pause), hold)
}
