package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/mail"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// outgoing is a mail ready to be sent, with the secrets in its text. The developer's inbox shows them, and they are
// removed from the relay's answer.
type outgoing struct {
	*mail.Message

	token, code, link string
	portal            string // its slug, for the log
}

// write makes the mail. It goes to the stored address, not to the address that a request typed.
func (s *Service) write(p *portal.Portal, d *delivery.Delivery, to recipient) (*outgoing, error) {
	l := compose(p, d, to, s.clock.Now())
	page, err := l.html()
	if err != nil {
		return nil, err
	}
	m := &mail.Message{
		From: mail.Address{Name: l.Portal, Address: s.messages.SenderAddress(p)}, To: to.address.Mailbox(),
		Subject: l.Subject, Text: l.text(), HTML: page, Date: s.clock.Now(),
	}
	m.MessageID = d.ID.String() + m.From.Address[strings.LastIndexByte(m.From.Address, '@'):]
	if p.Support.Email != nil {
		if support, err := email.Parse(*p.Support.Email); err == nil {
			m.ReplyTo = support.Mailbox()
		}
	}
	return &outgoing{m, to.secret.token, to.secret.code, l.Link, p.Slug}, nil
}

// send gives the mail to the relay and notes the outcome.
func (s *Service) send(
	ctx context.Context, d *delivery.Delivery, o *outgoing, to recipient,
) (outcome mail.Outcome, again time.Duration, err error) {
	begun, dotted := time.Now(), new(moment)
	answer, err := s.handOn(ctx, d, o, dotted)
	answer = clean(answer, o)
	if err == nil {
		if s.inbox != nil {
			s.inbox.add(o)
		}
		s.wakeIf(ctx, s.outage.Succeeded())
		return mail.Outcome{Sent: true}, 0, s.end(ctx, d, delivery.Sent, answer)
	}
	f := &mail.Failure{Answer: "the message could not be handed on"}
	_ = errors.As(err, &f)
	answer = clean(f.Answer, o)
	s.log.WarnContext(ctx, "a message was not sent", slog.String("kind", string(d.Kind)),
		slog.String("portal", o.portal), slog.String("delivery", d.ID.String()),
		slog.Bool("for_good", f.Reach == mail.RefusedForGood), slog.String("answer", answer))
	outcome = mail.Outcome{Reach: f.Reach, Answer: answer}
	hold := time.Duration(0)
	switch f.Reach {
	case mail.RefusedForGood:
		s.wakeIf(ctx, s.outage.RefusedForGood())
		return outcome, 0, s.end(ctx, d, delivery.Failed, answer)
	case mail.RefusedForNow:
		s.wakeIf(ctx, s.outage.RefusedForNow(domainOf(to.address)))
	case mail.Unknown:
		hold = max(0, s.sender.Times.Taken-dotted.ago())
	default:
		s.outage.Unreached(begun, answer, s.probeEvery)
	}
	again, err = s.delay(ctx, d, to.secret, answer, hold)
	return outcome, again, err
}

// handOn gives the mail to the relay, or notes it in the log where none is configured. Errors: *mail.Failure.
func (s *Service) handOn(
	ctx context.Context, d *delivery.Delivery, o *outgoing, dotted *moment,
) (answer string, err error) {
	if s.sender != nil {
		if s.sendTimeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, s.sendTimeout)
			defer cancel()
		}
		defer s.keepHeld(ctx, d, dotted)()
		return s.sender.Send(ctx, o.Message, dotted.isNow)
	}
	text := "mail is not configured: a message was not sent"
	if s.inbox != nil {
		text = "mail is not configured: a message is in the developer's inbox"
	}
	s.log.InfoContext(ctx, text, slog.String("kind", string(d.Kind)), slog.String("portal", o.portal),
		slog.String("delivery", d.ID.String()))
	return "noted in the log", nil
}

// wakeIf makes every delayed message due if an outage is over.
func (s *Service) wakeIf(ctx context.Context, over bool) {
	if !over {
		return
	}
	if err := s.queue.WakeAll(context.WithoutCancel(ctx), delivery.JobKind); err != nil {
		s.log.WarnContext(ctx, "delayed messages keep to their pauses", slog.Any("error", err))
	}
}
