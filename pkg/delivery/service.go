package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/installation"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// Options say what a Service works with. All but Sender, Inbox, Tasks and the times are required.
type Options struct {
	DB       *database.DB
	Portals  *portal.Service
	Accounts *account.Repository
	Digests  *installation.Digests
	// PublicURL gives the sender of portals that set none: no-reply at its host.
	PublicURL string
	// Secret derives what a message carries. current is false when it is not to be sent any more; so are the faults
	// token_superseded, token_used, token_expired and account_disabled, which say why.
	Secret func(ctx context.Context, portalID uuid.UUID, purpose string, subject []byte, generation int64) (
		secret Secret, current bool, err error)
	// Invitee is whom a message with the code of an invitation goes to. Errors: Secret's, and not_found.
	Invitee func(ctx context.Context, portalID uuid.UUID, of Invitation) (Invitee, error)
	// Sender sends; nil means that messages are only noted in the log.
	Sender Sender
	// Inbox gets a copy of all that was sent; nil keeps none.
	Inbox *Inbox
	// Tasks run from time to time, each on one instance at a time.
	Tasks []Task
	Log   *slog.Logger
	Now   func() time.Time

	FirstRetry  time.Duration // the pause after a first refusal; 0 means 20 s
	SendTimeout time.Duration // of one try to send; 0 means 25 s
	ProbeEvery  time.Duration // how often a server that was away is tried; 0 means 5 s
}

const (
	// firstRetry keeps the promise of a first retry within 30 s (contract §2): the queue looks for what is due every 5 s.
	firstRetry = 20 * time.Second
	// sendTimeout leaves a job time to note what came of sending before jobTimeout ends it.
	sendTimeout = 25 * time.Second
	probeEvery  = 5 * time.Second
)

// Service queues messages and, once started, sends them. It is safe for concurrent use.
type Service struct {
	Options

	repo     repository
	queue    *queue
	outage   outage
	host     string // of the public URL
	degraded degradedCache
}

// NewService makes a service that queues messages; Start makes it send them as well.
func NewService(o Options) (*Service, error) {
	public, err := url.Parse(o.PublicURL)
	if err != nil || public.Hostname() == "" {
		return nil, errors.New("delivery: the public URL has no host")
	}
	if o.FirstRetry == 0 {
		o.FirstRetry = firstRetry
	}
	if o.SendTimeout == 0 {
		o.SendTimeout = sendTimeout
	}
	if o.ProbeEvery == 0 {
		o.ProbeEvery = probeEvery
	}
	s := &Service{Options: o, repo: repository{o.DB}, host: public.Hostname()}
	s.outage.unsure = true
	if s.queue, err = newQueue(o.DB, s); err != nil {
		return nil, err
	}
	return s, nil
}

// Configured reports whether messages leave the process; without a Sender they are only noted in the log.
func (s *Service) Configured() bool { return s.Sender != nil }

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
	queued, jobs := make([]*delivery, len(messages)), make([]jobArgs, len(messages))
	receipts := make([]Receipt, len(messages))
	for i := range messages {
		queued[i], jobs[i] = s.deliveryOf(p, &messages[i]), jobArgs{p.ID, messages[i].ID}
		receipts[i] = s.receipt(p, queued[i])
	}
	err := s.DB.InTx(ctx, func(ctx context.Context) error {
		if err := s.repo.insert(ctx, queued); err != nil {
			return err
		}
		tx, ok := database.SQLTx(s.DB.From(ctx))
		if !ok {
			return errors.New("delivery: no transaction to queue in")
		}
		return s.queue.insert(ctx, tx, jobs)
	})
	if err != nil {
		return nil, fmt.Errorf("queue a message: %w", err)
	}
	return receipts, nil
}

func (s *Service) deliveryOf(p *portal.Portal, m *Message) *delivery {
	d := &delivery{
		portalID: p.ID, id: m.ID, kind: m.Kind, channel: Email, purpose: m.Purpose, subject: m.Subject,
		generation: m.Generation, locale: cmp.Or(m.Locale, p.DefaultLocale), network: m.Network, status: Queued,
		createdAt: s.clock(),
	}
	switch {
	case m.Account != nil:
		d.accountID = uuid.NullUUID{UUID: m.Account.ID, Valid: true}
	case m.Invitation != nil:
		d.invitationID, d.generation = uuid.NullUUID{UUID: m.Invitation.ID, Valid: true}, m.Invitation.Counter
	}
	if m.Typed != "" {
		d.masked = email.Mask(m.Typed)
	}
	if d.subject == nil {
		d.subject = []byte{}
	}
	return d
}

// SendPasswordChanged tells the owner of an account that its password was changed, and from where.
func (s *Service) SendPasswordChanged(ctx context.Context, p *portal.Portal, a *account.Account) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	_, err = s.Send(ctx, p, Message{
		ID: id, Kind: PasswordChanged, Account: a, Locale: a.Locale, Network: audit.CallerOf(ctx).Network,
	})
	return err
}

// privatePause is after how long everybody's receipt at a private portal says that the message was sent (contract §3).
const privatePause = 5 * time.Second

// Receipt tells how far a message has come. At a private portal it goes by the clock alone, for everyone: whether
// something was really sent would tell whether the address has an account.
//
// Errors: not_found.
func (s *Service) Receipt(ctx context.Context, p *portal.Portal, id uuid.UUID) (Receipt, error) {
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
	case s.clock().Sub(d.createdAt) < privatePause:
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
func (s *Service) Reports(ctx context.Context, p *portal.Portal, ids []uuid.UUID) (map[uuid.UUID]Receipt, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	found, err := s.repo.list(ctx, p.ID, ids)
	if err != nil {
		return nil, err
	}
	reports := make(map[uuid.UUID]Receipt, len(found))
	for _, d := range found {
		reports[d.id] = s.receipt(p, d)
	}
	return reports, nil
}

func (s *Service) receipt(p *portal.Portal, d *delivery) Receipt {
	r := Receipt{ID: d.id, Channel: d.channel, Sender: s.senderAddress(p), Status: d.status, CreatedAt: d.createdAt}
	if d.masked != "" {
		r.To = &d.masked
	}
	return r
}

// Forget unties the messages of an account that is deleted, and of its invitations, from them: what is still queued is
// not sent. uuid.Nil is no account.
func (s *Service) Forget(ctx context.Context, p *portal.Portal, accountID uuid.UUID, invitations []uuid.UUID) error {
	return s.repo.forget(ctx, p.ID, append(invitations, accountID))
}

// Sweep deletes at most batch messages, and as many recipients, that nothing has happened to since before, and tells
// how many rows went. Kept is how long they are of use.
func (s *Service) Sweep(ctx context.Context, before time.Time, batch int) (int, error) {
	return s.repo.sweep(ctx, before, batch)
}

// clock is the time as the tables keep it, in milliseconds.
func (s *Service) clock() time.Time { return s.Now().UTC().Truncate(time.Millisecond) }
