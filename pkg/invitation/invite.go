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

// MaxBatch is the largest number of invitations that one transaction makes.
const MaxBatch = 200

// Invite invites an address. It deletes an unverified registration of the address.
//
// Errors: email_already_registered; invitation_pending (invitation_id).
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

// pending adds the id of the pending invitation to an invitation_pending fault. Other errors are returned unchanged.
func (s *Service) pending(ctx context.Context, p *portal.Portal, n New, refusal error) error {
	if fault.CodeOf(refusal) != fault.InvitationPending {
		return refusal
	}
	holder, err := s.Holder(ctx, p, n.Email)
	if err != nil || holder.Waiting == nil {
		return refusal // the invitation was deleted or accepted meanwhile
	}
	return fault.New(fault.InvitationPending).With("invitation_id", holder.Waiting.ID)
}

// Outcome is the result of one invitation of many.
type Outcome struct {
	Invitation *Invitation
	Err        error // email_already_registered or invitation_pending
}

// InviteAll invites up to MaxBatch addresses in one transaction, each as Invite would. One that cannot be invited
// does not stop the others. The outcomes are in the order of all.
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

// invite writes the invitations that can be made, and notes in the outcomes why the rest cannot. It locks invitations
// before accounts, as redeeming does.
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
		case !inserted[m.Invitation.ID]: // an expired invitation of the address was renewed meanwhile
			made[at].Err = fault.New(fault.InvitationPending)
		case !m.Invitation.DeliveryID.IsZero():
			messages = append(messages, s.message(p, m.Invitation))
		}
		events[at] = audit.OfAddress(p.ID, audit.InvitationCreated, s.digestOf(p, m.Invitation)).Failed(made[at].Err)
		if made[at].Err == nil { // else no invitation has this id
			events[at] = events[at].WithTarget(audit.InvitationTarget(m.Invitation.ID))
		}
	}
	if _, err := s.messages.SendAll(ctx, p, messages); err != nil {
		return err
	}
	return s.audit.RecordAll(ctx, events)
}

// wanted gives the invitations that can be made, each with its number. Concurrent batches of a portal wait for each
// other.
func (s *Service) wanted(
	ctx context.Context, p *portal.Portal, made []Outcome, canonical []string,
) ([]*Invitation, error) {
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
	// Read after held, so that an invitation that is redeemed meanwhile is in one of the two.
	owned, err := s.repo.owned(ctx, p.ID, canonical)
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

func (s *Service) insert(
	ctx context.Context, p *portal.Portal, wanted []*Invitation,
) (map[ids.Invitation]bool, error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	return s.repo.insert(ctx, p.ID, wanted, func(i *Invitation) digest.Digest { return s.digestOf(p, i) })
}

func (s *Service) digestOf(p *portal.Portal, i *Invitation) digest.Digest {
	return s.digests.OfEmail(p.ID, i.Email)
}

// message is the mail with an invitation's newest code. It keeps no network, because an administrator asked for it.
func (s *Service) message(p *portal.Portal, i *Invitation) delivery.Message {
	return delivery.Message{
		ID: i.DeliveryID, Kind: delivery.Invited, Invitation: &delivery.Invitation{ID: i.ID, Counter: i.counter},
		Address: i.Email, Typed: i.Email.Typed(), EmailDigest: s.digestOf(p, i), Locale: i.Locale,
		ByAdministrator: true,
	}
}
