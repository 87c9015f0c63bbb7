package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/clock"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/mail"
	"github.com/latchkey-auth/latchkey/pkg/portal"
	"github.com/latchkey-auth/latchkey/pkg/queue"
)

// Dependencies are what a Service works with.
type Dependencies struct {
	DB      *database.DB
	Queue   *queue.Queue
	Outage  *mail.Outage // what the process knows of the relay
	Digests *digest.Digester
	// PublicURL gives the sender of portals that set none: no-reply at its host.
	PublicURL string
	Now       clock.Clock
}

// Service queues messages. It is safe for concurrent use.
type Service struct {
	db       *database.DB
	repo     repository
	queue    *queue.Queue
	outage   *mail.Outage
	digests  *digest.Digester
	host     string // of the public URL
	clock    clock.Clock
	degraded degradedCache
}

// NewService queues messages with the parts. Errors: the public URL has no host.
func NewService(with Dependencies) (*Service, error) {
	public, err := url.Parse(with.PublicURL)
	if err != nil || public.Hostname() == "" {
		return nil, errors.New("delivery: the public URL has no host")
	}
	return &Service{
		db: with.DB, repo: repository{with.DB}, queue: with.Queue, outage: with.Outage, digests: with.Digests,
		host: public.Hostname(), clock: with.Now,
	}, nil
}

// Send queues a message in the transaction of ctx, or in one of its own where there is none.
func (s *Service) Send(ctx context.Context, p *portal.Portal, m Message) (Receipt, error) {
	receipts, err := s.SendAll(ctx, p, []Message{m})
	if err != nil {
		return Receipt{}, err
	}
	return receipts[0], nil
}

// SendAll queues messages, a few hundred at most, as Send does one; the receipts stand in their order.
func (s *Service) SendAll(ctx context.Context, p *portal.Portal, messages []Message) ([]Receipt, error) {
	if len(messages) == 0 {
		return nil, nil
	}
	queued, jobs := make([]*Delivery, len(messages)), make([]queue.Job, len(messages))
	receipts := make([]Receipt, len(messages))
	for i := range messages {
		queued[i], jobs[i] = s.deliveryOf(p, &messages[i]), Job{p.ID, messages[i].ID}
		receipts[i] = s.receipt(p, queued[i])
	}
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		if err := s.repo.insert(ctx, queued); err != nil {
			return err
		}
		return s.queue.Insert(ctx, jobs...)
	})
	if err != nil {
		return nil, fmt.Errorf("queue a message: %w", err)
	}
	return receipts, nil
}

func (s *Service) deliveryOf(p *portal.Portal, m *Message) *Delivery {
	d := &Delivery{
		PortalID: p.ID, ID: m.ID, Kind: m.Kind, Channel: Email, Purpose: m.Purpose, EmailDigest: m.EmailDigest,
		Generation: m.Generation, Locale: cmp.Or(m.Locale, p.DefaultLocale), Network: m.Network, Status: Queued,
		CreatedAt: s.clock.Now(),
	}
	switch {
	case m.Account != nil:
		d.AccountID = m.Account.ID
	case m.Invitation != nil:
		d.InvitationID, d.Generation = m.Invitation.ID, m.Invitation.Counter
	}
	if m.Typed != "" {
		d.Masked = email.Mask(m.Typed)
	}
	return d
}

// SendPasswordChanged tells the owner of an account that its password was changed, and from where.
func (s *Service) SendPasswordChanged(ctx context.Context, p *portal.Portal, a *account.Account) error {
	id, err := ids.New[ids.Delivery]()
	if err != nil {
		return err
	}
	_, err = s.Send(ctx, p, Message{
		ID: id, Kind: PasswordChanged, Account: a, Locale: a.Locale, Network: audit.CallerOf(ctx).Network,
	})
	return err
}

// privatePause is after how long everybody's receipt at a private portal says that the message was sent.
const privatePause = 5 * time.Second

// Receipt tells how far a message has come. At a private portal it goes by the clock alone, for everyone: whether
// something was really sent would tell whether the address has an account.
//
// Errors: not_found.
func (s *Service) Receipt(ctx context.Context, p *portal.Portal, id ids.Delivery) (Receipt, error) {
	d, err := s.repo.get(ctx, p.ID, id)
	if errors.Is(err, database.ErrNotFound) {
		return Receipt{}, fault.New(fault.NotFound)
	}
	if err != nil {
		return Receipt{}, err
	}
	r := s.receipt(p, d)
	if !p.Private() {
		return r, nil
	}
	switch {
	case s.clock.Now().Sub(d.CreatedAt) < privatePause:
		r.Status = Queued
	case s.Degraded(ctx):
		r.Status = Delayed
	default:
		r.Status = Sent
	}
	return r, nil
}

// Reports tell how far messages have really come, for administrators, at a private portal too. What was swept is
// not among them.
func (s *Service) Reports(ctx context.Context, p *portal.Portal, wanted []ids.Delivery) (map[ids.Delivery]Receipt, error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	found, err := s.repo.list(ctx, p.ID, wanted)
	if err != nil {
		return nil, err
	}
	reports := make(map[ids.Delivery]Receipt, len(found))
	for _, d := range found {
		reports[d.ID] = s.receipt(p, d)
	}
	return reports, nil
}

// SenderAddress is the address that a portal's mail comes from: its own, or no-reply at the host of the public URL.
func (s *Service) SenderAddress(p *portal.Portal) string {
	if p.Sender.Address != nil {
		if own, err := email.Parse(*p.Sender.Address); err == nil {
			return own.Mailbox()
		}
	}
	return "no-reply@" + mail.HostLiteral(s.host)
}

func (s *Service) receipt(p *portal.Portal, d *Delivery) Receipt {
	r := Receipt{ID: d.ID, Channel: d.Channel, Sender: s.SenderAddress(p), Status: d.Status, CreatedAt: d.CreatedAt}
	if d.Masked != "" {
		r.To = &d.Masked
	}
	return r
}

// Forget unties the messages of an account that is deleted, and of its invitations, from them: what is still queued is
// not sent. The zero id is no account.
func (s *Service) Forget(ctx context.Context, p *portal.Portal, accountID ids.Account, invitations []ids.Invitation) error {
	return s.repo.forget(ctx, p.ID, accountID, invitations)
}

// Sweep deletes at most batch messages, and as many recipients, that nothing has happened to since before, and tells
// how many rows went. Kept is how long they are of use.
func (s *Service) Sweep(ctx context.Context, before time.Time, batch int) (int, error) {
	return s.repo.sweep(ctx, before, batch)
}
