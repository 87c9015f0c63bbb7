package delivery

import (
	"context"
	"errors"
	"log/slog"
	"net/mail"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// Why a message was not sent, in the words of provider_answer.
const (
	supersededAnswer = "superseded before it was sent"
	expiredAnswer    = "expired before it was sent"
	usedAnswer       = "used before it was sent"
	disabledAnswer   = "the account was disabled before it was sent"
	noAccountAnswer  = "the account was deleted before it was sent"
	noPortalAnswer   = "the portal was deleted before it was sent"
	suppressedAnswer = "the recipient got too many messages within a day"
	gaveUpAnswer     = "given up after 24 hours; the last answer: "
)

// deadAnswers say why a secret is not sent, by the fault that deriving it answered.
var deadAnswers = map[fault.Code]string{
	fault.TokenSuperseded: supersededAnswer, fault.TokenExpired: expiredAnswer, fault.TokenUsed: usedAnswer,
	fault.AccountDisabled: disabledAnswer,
}

// work does what there is to do about a message, and says after what time to look again; 0 is never. An error says
// that the database could not be asked or told.
func (s *Service) work(ctx context.Context, portalID, id uuid.UUID) (again time.Duration, err error) {
	d, err := s.repo.get(ctx, portalID, id)
	switch {
	case errors.Is(err, database.ErrNotFound):
		return 0, nil // the portal was deleted
	case err != nil:
		return 0, err
	case !d.onItsWay():
		return 0, nil
	case !d.accountID.Valid:
		return 0, s.end(ctx, d, Sent, "")
	case s.clock().Sub(d.createdAt) >= giveUpAfter:
		return 0, s.end(ctx, d, Failed, cut(gaveUpAnswer+d.providerAnswer))
	}
	p, a, err := s.people(ctx, d)
	if err != nil || a == nil {
		return 0, err
	}
	if err := s.trace(ctx, d, a); err != nil {
		return 0, err
	}
	secret, dead, err := s.derive(ctx, d)
	switch {
	case err != nil:
		return 0, err
	case dead != "":
		return 0, s.end(ctx, d, Failed, dead)
	}
	if answer, ok := s.outage.worthTrying(s.ProbeEvery); !ok {
		return s.delay(ctx, d, secret, answer)
	}
	admitted, err := s.repo.begin(ctx, d, s.Digests.Subject(uuid.Nil, a.Email.Canonical()), s.clock())
	switch {
	case err != nil:
		return 0, err
	case !admitted:
		return 0, s.end(ctx, d, Suppressed, suppressedAnswer)
	}
	m, err := s.write(p, a, d, secret)
	if err != nil {
		return 0, err
	}
	return s.send(ctx, d, m, secret)
}

// trace notes what a message says of its origin: when it was asked for, and from where. The confirmation of a claim tells
// of the registration, whoever asked for another since: its owner is to see whether it was himself.
func (s *Service) trace(ctx context.Context, d *delivery, a *account.Account) error {
	d.origin, d.originAt = d.network, d.createdAt
	if d.kind != Confirm || a.Claimed == nil {
		return nil
	}
	network, at, err := s.repo.registered(ctx, d.portalID, a.ID)
	if errors.Is(err, database.ErrNotFound) {
		network, at, err = "", *a.Claimed, nil
	}
	d.origin, d.originAt = network, at
	return err
}

// derive makes the secret that the message carries, if it does, or says why that is dead.
func (s *Service) derive(ctx context.Context, d *delivery) (secret Secret, dead string, err error) {
	if !d.kind.carriesSecret() {
		return Secret{}, "", nil
	}
	secret, current, err := s.Secret(ctx, d.portalID, d.purpose, d.subject, d.generation)
	dead, known := deadAnswers[fault.CodeOf(err)]
	switch {
	case known:
		return Secret{}, dead, nil
	case err != nil:
		return Secret{}, "", err
	case !current:
		return Secret{}, supersededAnswer, nil
	case !s.clock().Before(secret.ExpiresAt):
		return Secret{}, expiredAnswer, nil
	}
	return secret, "", nil
}

// people are the portal and whom the message goes to. A nil account is gone, and the message has come to its end.
func (s *Service) people(ctx context.Context, d *delivery) (*portal.Portal, *account.Account, error) {
	p, err := s.Portals.ByID(ctx, d.portalID)
	if fault.CodeOf(err) == fault.OrganizationNotFound {
		return nil, nil, s.end(ctx, d, Failed, noPortalAnswer)
	}
	if err != nil {
		return nil, nil, err
	}
	a, err := s.Accounts.ByID(ctx, d.portalID, d.accountID.UUID)
	if errors.Is(err, database.ErrNotFound) {
		return p, nil, s.end(ctx, d, Failed, noAccountAnswer)
	}
	return p, a, err
}

// write makes the mail. It goes to the stored address, whatever a request typed.
func (s *Service) write(p *portal.Portal, a *account.Account, d *delivery, secret Secret) (*Mail, error) {
	l := compose(p, a, d, secret, s.clock())
	page, err := l.html()
	if err != nil {
		return nil, err
	}
	m := &Mail{
		ID: d.id, Kind: d.kind, Portal: p.Slug, From: mail.Address{Name: l.Portal, Address: s.senderAddress(p)},
		To: mailbox(a.Email), Subject: l.Subject, Text: l.text(), HTML: page, Date: s.Now(),
		Token: secret.Token, Code: secret.Code, Link: l.Link,
	}
	m.MessageID = d.id.String() + "@" + domainOf(m.From.Address)
	if p.Support.Email != nil {
		if support, err := email.Parse(*p.Support.Email); err == nil {
			m.ReplyTo = mailbox(support)
		}
	}
	return m, nil
}

// send hands the mail on and notes what came of it.
func (s *Service) send(ctx context.Context, d *delivery, m *Mail, secret Secret) (again time.Duration, err error) {
	sender, begun := s.Sender, time.Now()
	if sender == nil {
		sender = logSender{s.Log}
	}
	sending, cancel := context.WithTimeout(ctx, s.SendTimeout)
	answer, err := sender.Send(sending, m)
	cancel()
	if err == nil {
		if s.Inbox != nil {
			s.Inbox.add(m)
		}
		s.wakeIf(ctx, s.outage.succeeded())
		return 0, s.end(ctx, d, Sent, clean(answer, m))
	}
	f := &Failure{Answer: "the message could not be handed on"}
	_ = errors.As(err, &f)
	answer = clean(f.Answer, m)
	s.Log.WarnContext(ctx, "a message was not sent", slog.String("kind", string(d.kind)), slog.String("portal", m.Portal),
		slog.String("delivery", d.id.String()), slog.Bool("for_good", f.Reach == RefusedForGood), slog.String("answer", answer))
	switch f.Reach {
	case RefusedForGood:
		s.wakeIf(ctx, s.outage.refusedForGood())
		return 0, s.end(ctx, d, Failed, answer)
	case RefusedForNow:
		s.wakeIf(ctx, s.outage.refusedForNow(d.id))
	default:
		s.outage.unreached(begun, answer, s.ProbeEvery)
	}
	return s.delay(ctx, d, secret, answer)
}

// noteTime is how long noting what came of a message may take, though its job was told to end.
const noteTime = 3 * time.Second

// end notes the end of a message.
func (s *Service) end(ctx context.Context, d *delivery, status Status, answer string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer cancel()
	var sent *time.Time
	if status == Sent {
		now := s.clock()
		sent = &now
	}
	return s.repo.note(ctx, d, status, answer, sent, nil)
}

// maxPause is the longest pause between two tries.
const maxPause = time.Hour

// delay notes that a message was refused for now. Pauses grow with its age, which doubles from try to try: 20 s, then
// about 30 s, 1, 2, 4, 8, … minutes, then an hour. None goes beyond the end of what the message carries, so that its
// expiry is told in time.
func (s *Service) delay(ctx context.Context, d *delivery, secret Secret, answer string) (again time.Duration, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer cancel()
	now := s.clock()
	age := now.Sub(d.createdAt)
	pause := s.FirstRetry
	if d.status == Delayed {
		pause = min(max(age, s.FirstRetry), maxPause)
	}
	pause = min(pause, giveUpAfter-age)
	if d.kind.carriesSecret() {
		pause = min(pause, secret.ExpiresAt.Sub(now))
	}
	pause = max(pause, time.Millisecond)
	next := now.Add(pause)
	return pause, s.repo.note(ctx, d, Delayed, answer, nil, &next)
}

// wakeIf has every message tried that waits for its next try, if an outage is over.
func (s *Service) wakeIf(ctx context.Context, over bool) {
	if !over {
		return
	}
	if err := s.repo.wake(context.WithoutCancel(ctx), allJobs); err != nil {
		s.Log.WarnContext(ctx, "delayed messages keep to their pauses", slog.Any("error", err))
	}
}
