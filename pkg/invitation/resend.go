package invitation

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-auth/latchkey/pkg/admission"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/challenge"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/onetime"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// Resend gives an invitation a new code and a new term, as long as its first, and mails the code. Older codes are
// superseded.
//
// Errors: not_found; email_already_registered; invitation_pending (invitation_id) when a newer invitation holds the
// address; resend_too_soon.
func (s *Service) Resend(
	ctx context.Context, p *portal.Portal, id ids.Invitation,
) (*Invitation, challenge.Issued, error) {
	issued, err := database.Retry(renewTries, database.ErrNotFound, func() (challenge.Issued, error) {
		i, err := s.Get(ctx, p, id)
		if err != nil {
			return challenge.Issued{}, err
		}
		if i.AcceptedAt != nil || i.taken {
			return challenge.Issued{}, fault.New(fault.EmailAlreadyRegistered)
		}
		issued, err := s.renew(ctx, p, i)
		if database.ConflictOn(err, "email_canonical") {
			err = s.pending(ctx, p, New{Email: i.Email}, fault.New(fault.InvitationPending))
		}
		return issued, err
	})
	if err != nil {
		return nil, challenge.Issued{}, err
	}
	i, err := s.Get(ctx, p, id)
	return i, issued, err
}

// renewTries is how often an invitation is read anew because it changed meanwhile.
const renewTries = 3

// renew makes and mails a new code, if the invitation is still as it was read.
//
// Errors: database.ErrNotFound when it was accepted, deleted or renewed meanwhile; *database.ConflictError on
// email_canonical when another invitation holds the address; resend_too_soon.
func (s *Service) renew(ctx context.Context, p *portal.Portal, was *Invitation) (challenge.Issued, error) {
	to, now := *was, s.clock.Now()
	to.key, to.IssuedAt, to.ExpiresAt, to.SentAt = s.ring.Primary(), now, now.Add(was.Term), &now
	to.counter++
	carried := delivery.Invitation{ID: to.ID, Counter: to.counter}
	return s.mail.Issue(ctx, p, challenge.Request{
		Address: to.Email, Purpose: onetime.Invitation, Kind: delivery.Invited, Invitation: &carried, TTL: was.Term,
		Locale: to.Locale, Event: audit.InvitationResent, ByAdministrator: true,
		Then: func(ctx context.Context, messageID ids.Delivery) error {
			if to.counter > maxCounter { // every counter of its number was used
				number, err := s.repo.nextNumbers(ctx, p.ID, 1)
				if err != nil {
					return err
				}
				to.number, to.counter, carried.Counter = number, 0, 0
			}
			to.DeliveryID = messageID
			if err := s.repo.renew(ctx, p.ID, was, &to); err != nil {
				return err
			}
			return s.accounts.DropUnverified(ctx, p.ID, []string{to.Email.Canonical()})
		},
	})
}

// SendAgain mails the present code of an invitation once more.
//
// Errors, at open portals: email_not_found; email_already_registered; token_expired when the invitation has expired,
// or its secret key is no longer configured. At all portals: resend_too_soon.
func (s *Service) SendAgain(ctx context.Context, p *portal.Portal, address email.Address) (challenge.Issued, error) {
	holder, err := s.Holder(ctx, p, address)
	if err != nil {
		return challenge.Issued{}, err
	}
	waiting := holder.Waiting
	situation := admission.Situation{
		Portal: p, Address: address, Account: holder.Account, Invitation: waiting.Facts(), Now: s.clock.Now(),
	}
	if waiting != nil {
		situation.Invitation.KeyLost = !s.ring.Has(waiting.key)
	}
	answer := situation.At(admission.ResendInvitation)
	if err := answer.Err(); err != nil {
		return challenge.Issued{}, err
	}
	if answer.Silent() {
		waiting = nil
	}
	mail := s.CodeMail(p, address, waiting)
	mail.Purpose, mail.Event = onetime.Invitation, audit.InvitationRequested
	issued, err := s.mail.Issue(ctx, p, mail)
	issued.ExpiresIn = p.InvitationTTL.Duration()
	if !p.Private() { // a private portal answers the same to everyone
		issued.ExpiresIn = max(waiting.ExpiresAt.Sub(s.clock.Now()), time.Second)
	}
	return issued, err
}

// CodeMail is the mail with the present code of an invitation. It writes the same rows when waiting is nil, and sends
// nothing then.
func (s *Service) CodeMail(p *portal.Portal, address email.Address, waiting *Waiting) challenge.Request {
	mail := challenge.Request{Address: address, Kind: delivery.Invited, TTL: p.InvitationTTL.Duration()}
	of := Waiting{ID: ids.Invitation{UUID: uuid.New()}} // no invitation has this id, so the statement changes nothing
	if waiting != nil {
		of, mail.Locale = *waiting, waiting.Locale
		mail.Invitation = &delivery.Invitation{ID: of.ID, Counter: of.Counter}
	}
	mail.Then = func(ctx context.Context, messageID ids.Delivery) error {
		return s.repo.sentAgain(ctx, p.ID, of, messageID, s.clock.Now())
	}
	return mail
}
