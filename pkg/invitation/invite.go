package invitation

import (
	"context"
	"encoding/json"

	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// MaxBatch is how many invitations are made in one transaction.
const MaxBatch = 200

// Invite invites an address: the claim that somebody may have on it gives way.
//
// Errors: email_already_registered; invitation_pending, with the invitation_id of the one that is.
func (s *Service) Invite(ctx context.Context, p *portal.Portal, by Inviter, n New) (*Invitation, error) {
	made, err := s.InviteAll(ctx, p, by, []New{n})
	if err != nil {
		return nil, err
	}
	if made[0].Err != nil {
		return nil, s.pending(ctx, p, n, made[0].Err)
	}
	return s.Get(ctx, p, made[0].Invitation.ID)
}

// pending tells which invitation is in the way, if one is.
func (s *Service) pending(ctx context.Context, p *portal.Portal, n New, why error) error {
	if fault.CodeOf(why) != fault.InvitationPending {
		return why
	}
	holder, err := s.Holder(ctx, p, n.Email)
	if err != nil || holder.Waiting == nil {
		return why // it went meanwhile
	}
	return fault.New(fault.InvitationPending).With("invitation_id", holder.Waiting.ID)
}

// Outcome is what came of inviting one of many.
type Outcome struct {
	Invitation *Invitation
	Err        error // email_already_registered or invitation_pending
}

// InviteAll invites up to MaxBatch addresses in one transaction, each as Invite would: what stands in the way of one
// does not stand in the way of another. What was made stands in the order of what was asked for.
func (s *Service) InviteAll(ctx context.Context, p *portal.Portal, by Inviter, all []New) ([]Outcome, error) {
	made := make([]Outcome, len(all))
	for at := range all {
		i, err := s.prepare(by, &all[at])
		if err != nil {
			return nil, err
		}
		made[at].Invitation = i
	}
	err := s.db.InTx(ctx, func(ctx context.Context) error { return s.invite(ctx, p, made) })
	if err != nil {
		return nil, err
	}
	return made, nil
}

func (s *Service) prepare(by Inviter, n *New) (*Invitation, error) {
	now := s.clock.Now()
	id, err := ids.New[ids.Invitation]()
	if err != nil {
		return nil, err
	}
	if n.Metadata == nil {
		n.Metadata = json.RawMessage("{}")
	}
	i := &Invitation{
		ID: id, Email: n.Email, Roles: append([]string{}, n.Roles...), Entitlements: append([]string{}, n.Entitlements...),
		Metadata: n.Metadata, Locale: n.Locale,
		Inviter: by, Term: n.Term, CreatedAt: now, IssuedAt: now, ExpiresAt: now.Add(n.Term),
		serial: serial{key: s.ring.Primary()}, open: true,
	}
	if n.Send {
		messageID, err := ids.New[ids.Delivery]()
		if err != nil {
			return nil, err
		}
		i.SentAt, i.DeliveryID = &now, messageID
	}
	return i, nil
}

// invite writes what can be made, and notes why the rest cannot. Invitations are locked before accounts, as where they
// are redeemed.
func (s *Service) invite(ctx context.Context, p *portal.Portal, made []Outcome) error {
	canonical := make([]string, len(made))
	for at, m := range made {
		canonical[at], made[at].Err = m.Invitation.Email.Canonical(), nil
	}
	wanted, err := s.wanted(ctx, p, made, canonical)
	if err != nil {
		return err
	}
	inserted, err := s.insert(ctx, p, wanted)
	if err != nil {
		return err
	}
	if err := s.accounts.DropUnverified(ctx, p.ID, canonical); err != nil {
		return err
	}
	var messages []delivery.Message
	events := make([]audit.Event, len(made))
	for at, m := range made {
		switch {
		case m.Err != nil:
		case !inserted[m.Invitation.ID]: // an expired one was renewed meanwhile
			made[at].Err = fault.New(fault.InvitationPending)
		case !m.Invitation.DeliveryID.IsZero():
			messages = append(messages, s.message(p, m.Invitation))
		}
		events[at] = audit.OfAddress(p.ID, audit.InvitationCreated, s.subject(p, m.Invitation)).Failed(made[at].Err)
		if made[at].Err == nil { // else there is no invitation of this id
			events[at] = events[at].WithTarget(audit.InvitationTarget(m.Invitation.ID))
		}
	}
	if _, err := s.messages.SendAll(ctx, p, messages); err != nil {
		return err
	}
	return s.audit.RecordAll(ctx, events)
}

// wanted are the invitations that nothing stands in the way of, each with its number. One batch of a portal waits for
// the other.
func (s *Service) wanted(ctx context.Context, p *portal.Portal, made []Outcome, canonical []string) ([]*Invitation, error) {
	if _, err := s.repo.nextNumbers(ctx, p.ID, 0); err != nil {
		return nil, err
	}
	if err := s.repo.retire(ctx, p.ID, canonical, s.clock.Now()); err != nil {
		return nil, err
	}
	held, err := s.repo.held(ctx, p.ID, canonical)
	if err != nil {
		return nil, err
	}
	owned, err := s.repo.owned(ctx, p.ID, canonical) // after held: one that is redeemed meanwhile is in either
	if err != nil {
		return nil, err
	}
	var wanted []*Invitation
	for at, m := range made {
		switch address := canonical[at]; {
		case owned[address]:
			made[at].Err = fault.New(fault.EmailAlreadyRegistered)
		case held[address]:
			made[at].Err = fault.New(fault.InvitationPending)
		default:
			held[address] = true
			wanted = append(wanted, m.Invitation)
		}
	}
	first, err := s.repo.nextNumbers(ctx, p.ID, len(wanted))
	for at, i := range wanted {
		i.number = first + int64(at)
	}
	return wanted, err
}

func (s *Service) insert(ctx context.Context, p *portal.Portal, wanted []*Invitation) (map[ids.Invitation]bool, error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	return s.repo.insert(ctx, p.ID, wanted, func(i *Invitation) digest.Digest { return s.subject(p, i) })
}

func (s *Service) subject(p *portal.Portal, i *Invitation) digest.Digest {
	return s.digests.OfEmail(p.ID, i.Email)
}

// message is the mail of an invitation's newest code. Where the administrator sat is nothing to keep with it.
func (s *Service) message(p *portal.Portal, i *Invitation) delivery.Message {
	return delivery.Message{
		ID: i.DeliveryID, Kind: delivery.Invited, Invitation: &delivery.Invitation{ID: i.ID, Counter: i.counter},
		Typed: i.Email.Typed(), EmailDigest: s.subject(p, i), Locale: i.Locale,
	}
}
