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

// send hands the mail on and notes the outcome.
func (s *Service) send(ctx context.Context, d *delivery.Delivery, o *outgoing, carried secret) (again time.Duration, err error) {
	begun := time.Now()
	answer, err := s.handOn(ctx, d, o)
	if err == nil {
		if s.inbox != nil {
			s.inbox.add(o)
		}
		s.wakeIf(ctx, s.outage.Succeeded())
		return 0, s.end(ctx, d, delivery.Sent, clean(answer, o))
	}
	f := &mail.Failure{Answer: "the message could not be handed on"}
	_ = errors.As(err, &f)
	answer = clean(f.Answer, o)
	s.log.WarnContext(ctx, "a message was not sent", slog.String("kind", string(d.Kind)),
		slog.String("portal", o.portal), slog.String("delivery", d.ID.String()),
		slog.Bool("for_good", f.Reach == mail.RefusedForGood), slog.String("answer", answer))
	switch f.Reach {
	case mail.RefusedForGood:
		s.wakeIf(ctx, s.outage.RefusedForGood())
		return 0, s.end(ctx, d, delivery.Failed, answer)
	case mail.RefusedForNow:
		s.wakeIf(ctx, s.outage.RefusedForNow(d.ID.UUID))
	default:
		s.outage.Unreached(begun, answer, s.probeEvery)
	}
	return s.delay(ctx, d, carried, answer)
}

// handOn gives the mail to the relay, or notes it in the log where none is configured. Errors: *mail.Failure.
func (s *Service) handOn(ctx context.Context, d *delivery.Delivery, o *outgoing) (answer string, err error) {
	if s.sender != nil {
		ctx, cancel := context.WithTimeout(ctx, s.sendTimeout)
		defer cancel()
		return s.sender.Send(ctx, o.Message, func() {})
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
