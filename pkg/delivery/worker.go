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

	noInvitationAnswer = "the invitation was deleted before it was sent"
	registeredAnswer   = "the recipient had an account before it was sent"
)

// deadAnswers say why a secret is not sent, by the fault that deriving it answered.
var deadAnswers = map[fault.Code]string{
	fault.TokenSuperseded: supersededAnswer, fault.TokenExpired: expiredAnswer, fault.TokenUsed: usedAnswer,
	fault.AccountDisabled: disabledAnswer, fault.EmailAlreadyRegistered: registeredAnswer,
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
	case d.toNobody():
		return 0, s.end(ctx, d, Sent, "")
	case s.clock().Sub(d.createdAt) >= giveUpAfter:
		return 0, s.end(ctx, d, Failed, cut(gaveUpAnswer+d.providerAnswer))
	}
	p, err := s.Portals.ByID(ctx, d.portalID)
	if fault.CodeOf(err) == fault.OrganizationNotFound {
		return 0, s.end(ctx, d, Failed, noPortalAnswer)
	}
	if err != nil {
		return 0, err
	}
	to, secret, dead, err := s.addressee(ctx, d)
	switch {
	case err != nil:
		return 0, err
	case dead != "":
		return 0, s.end(ctx, d, Failed, dead)
	}
	if answer, ok := s.outage.worthTrying(s.ProbeEvery); !ok {
		return s.delay(ctx, d, secret, answer)
	}
	admitted, err := s.repo.begin(ctx, d, s.Digests.Subject(uuid.Nil, to.address.Canonical()), s.clock())
	switch {
	case err != nil:
		return 0, err
	case !admitted:
		return 0, s.end(ctx, d, Suppressed, suppressedAnswer)
	}
	m, err := s.write(p, to, d, secret)
	if err != nil {
		return 0, err
	}
	return s.send(ctx, d, m, secret)
}

// addressee is whom a message goes to, and what it says of people.
type addressee struct {
	address   email.Address
	givenName string // "" for none, and for one that a stranger chose
	inviter   string
}

// addressee finds whom a message goes to and derives the secret that it carries, if it does; dead says why nothing is
// to be sent any more.
func (s *Service) addressee(ctx context.Context, d *delivery) (to addressee, secret Secret, dead string, err error) {
	if d.invitationID.Valid {
		invitee, err := s.Invitee(ctx, d.portalID, Invitation{d.invitationID.UUID, d.generation})
		dead, err := s.dead(err, invitee.Secret, noInvitationAnswer)
		d.origin, d.originAt = "", d.createdAt
		return addressee{address: invitee.Address, inviter: invitee.Inviter}, invitee.Secret, dead, err
	}
	a, err := s.Accounts.ByID(ctx, d.portalID, d.accountID.UUID)
	if errors.Is(err, database.ErrNotFound) {
		return to, secret, noAccountAnswer, nil
	}
	if err != nil {
		return to, secret, "", err
	}
	to.address = a.Email
	if a.GivenName != nil && a.Claimed == nil { // a stranger's choice until the mailbox is proved
		to.givenName = *a.GivenName
	}
	if err := s.trace(ctx, d, a); err != nil || !d.kind.carriesSecret() {
		return to, secret, "", err
	}
	secret, current, err := s.Secret(ctx, d.portalID, d.purpose, d.subject, d.generation)
	if err == nil && !current {
		return to, secret, supersededAnswer, nil
	}
	dead, err = s.dead(err, secret, noAccountAnswer)
	return to, secret, dead, err
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

// dead says why a secret is not sent, by what deriving it answered; gone is the answer for one whose owner is.
func (s *Service) dead(derived error, secret Secret, gone string) (why string, err error) {
	code := fault.CodeOf(derived)
	answer, known := deadAnswers[code]
	switch {
	case code == fault.NotFound:
		return gone, nil
	case known:
		return answer, nil
	case derived != nil:
		return "", derived
	case !s.clock().Before(secret.ExpiresAt):
		return expiredAnswer, nil
	}
	return "", nil
}

// write makes the mail. It goes to the stored address, whatever a request typed.
func (s *Service) write(p *portal.Portal, to addressee, d *delivery, secret Secret) (*Mail, error) {
	l := compose(p, to, d, secret, s.clock())
	page, err := l.html()
	if err != nil {
		return nil, err
	}
	m := &Mail{
		ID: d.id, Kind: d.kind, Portal: p.Slug, From: mail.Address{Name: l.Portal, Address: s.senderAddress(p)},
		To: mailbox(to.address), Subject: l.Subject, Text: l.text(), HTML: page, Date: s.Now(),
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
		sender = logSender{s.Log, s.Inbox != nil}
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
