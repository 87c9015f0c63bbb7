package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/clock"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/mail"
	"github.com/latchkey-auth/latchkey/pkg/portal"
	"github.com/latchkey-auth/latchkey/pkg/queue"
)

// Dependencies are what a Service works with.
type Dependencies struct {
	DB      *database.DB
	Queue   *queue.Queue
	Outage  *mail.Outage // shared with package dispatch
	Digests *digest.Digester
	Ring    *keyring.Ring // seals the addresses of notices
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
	ring     *keyring.Ring
	host     string // of the public URL
	clock    clock.Clock
	degraded degradedCache
}

// NewService makes a service of its dependencies. Errors: the public URL has no host.
func NewService(with Dependencies) (*Service, error) {
	public, err := url.Parse(with.PublicURL)
	if err != nil || public.Hostname() == "" {
		return nil, errors.New("delivery: the public URL has no host")
	}
	return &Service{
		db: with.DB, repo: repository{with.DB}, queue: with.Queue, outage: with.Outage, digests: with.Digests,
		ring: with.Ring, host: public.Hostname(), clock: with.Now,
	}, nil
}

// Send queues a message in the transaction of ctx, or in a new one.
func (s *Service) Send(ctx context.Context, p *portal.Portal, m Message) (Receipt, error) {
	receipts, err := s.SendAll(ctx, p, []Message{m})
	if err != nil {
		return Receipt{}, err
	}
	return receipts[0], nil
}

// SendAll queues a few hundred messages at most, as Send does. The receipts have the order of the messages.
func (s *Service) SendAll(ctx context.Context, p *portal.Portal, messages []Message) ([]Receipt, error) {
	if len(messages) == 0 {
		return nil, nil
	}
	queued := make([]*Delivery, len(messages))
	for i := range messages {
		queued[i] = s.deliveryOf(p, &messages[i])
	}
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		if err := s.suppress(ctx, p, messages, queued); err != nil {
			return err
		}
		if err := s.repo.insert(ctx, queued); err != nil {
			return err
		}
		turn := queue.Turn{Urgency: queue.Waiting, Owner: p.ID.String()}
		switch {
		case len(messages) > 1:
			turn.Urgency = queue.Bulk
		case messages[0].ByAdministrator:
			turn.Urgency = queue.Single
		}
		var jobs []queue.Job
		for _, d := range queued {
			if d.OnItsWay() {
				jobs = append(jobs, Job{p.ID, d.ID})
			}
		}
		return s.queue.Insert(ctx, turn, jobs...)
	})
	if err != nil {
		return nil, fmt.Errorf("queue a message: %w", err)
	}
	receipts := make([]Receipt, len(messages))
	for i, d := range queued {
		receipts[i] = s.receipt(p, d)
		if p.Private() {
			receipts[i].Status = Queued // as Receipt says
		}
	}
	return receipts, nil
}

// suppress counts messages in the pots of their addresses, and marks those as suppressed that find their pot empty.
func (s *Service) suppress(ctx context.Context, p *portal.Portal, messages []Message, queued []*Delivery) error {
	waiting := make([]int, 0, len(messages))
	for i := range messages {
		if messages[i].unproved(p) {
			waiting = append(waiting, i)
		}
	}
	for len(waiting) > 0 { // once, unless an address occurs more than once
		var entries []potEntry
		var later []int
		counted := make(map[digest.Digest]int, len(waiting))
		for _, i := range waiting {
			entry := s.potEntry(p, &messages[i])
			if _, twice := counted[entry.pot]; twice {
				later = append(later, i)
				continue
			}
			counted[entry.pot], entries = i, append(entries, entry)
		}
		empty, err := s.repo.count(ctx, entries, s.clock.Now())
		if err != nil {
			return err
		}
		for pot, i := range counted {
			if empty[pot] {
				queued[i].Status, queued[i].ProviderAnswer = Suppressed, suppressedAnswer
			}
		}
		waiting = later
	}
	return nil
}

func (s *Service) deliveryOf(p *portal.Portal, m *Message) *Delivery {
	d := &Delivery{
		PortalID: p.ID, ID: m.ID, Kind: m.Kind, Channel: Email, Purpose: m.Purpose, EmailDigest: m.EmailDigest,
		Generation: m.Generation, Locale: cmp.Or(m.Locale, p.DefaultLocale), Network: m.Network, Status: Queued,
		CreatedAt: s.clock.Now(), Recipient: m.recipient,
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

// privatePause is how long every receipt at a private portal says queued.
const privatePause = 5 * time.Second

// Receipt reads the status of a message. At a private portal the status depends on the clock alone, because the real one
// would reveal whether the address has an account.
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

// Reports reads the real status of messages, for administrators, at private portals too. Swept messages are left out.
func (s *Service) Reports(
	ctx context.Context, p *portal.Portal, wanted []ids.Delivery,
) (map[ids.Delivery]Receipt, error) {
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

// SenderAddress is the sender of a portal's mail: the portal's own address, or no-reply at the host of the public URL.
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

// Forget removes a deleted account and its invitations from their messages. Messages that are still queued are not
// sent. The zero id is no account.
func (s *Service) Forget(
	ctx context.Context, p *portal.Portal, accountID ids.Account, invitations []ids.Invitation,
) error {
	return s.repo.forget(ctx, p.ID, accountID, invitations)
}

// Sweep deletes at most batch messages, and at most batch recipients, that are older than before. It returns the number
// of rows deleted.
func (s *Service) Sweep(ctx context.Context, before time.Time, batch int) (int, error) {
	return s.repo.sweep(ctx, before, batch)
}
