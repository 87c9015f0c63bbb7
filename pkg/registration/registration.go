// Package registration lets people make accounts for themselves, and prove that the mailbox is theirs.
package registration

import (
	"context"
	"errors"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/admission"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/challenge"
	"github.com/latchkey-auth/latchkey/pkg/clock"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/invitation"
	"github.com/latchkey-auth/latchkey/pkg/onetime"
	"github.com/latchkey-auth/latchkey/pkg/passwordreset"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// Service registers people.
type Service struct {
	accounts    *account.Repository
	invitations *invitation.Service
	passwords   *account.Passwords
	resets      *passwordreset.Service
	mail        *challenge.Service
	audit       *audit.Recorder
	clock       clock.Clock
}

// Dependencies are what NewService needs. All are required.
type Dependencies struct {
	Accounts    *account.Repository
	Invitations *invitation.Service
	Passwords   *account.Passwords
	Resets      *passwordreset.Service
	Mail        *challenge.Service
	Audit       *audit.Recorder
	Now         clock.Clock
}

// NewService makes a service of its dependencies.
func NewService(with Dependencies) *Service {
	return &Service{
		accounts: with.Accounts, invitations: with.Invitations, passwords: with.Passwords, resets: with.Resets,
		mail: with.Mail, audit: with.Audit, clock: with.Now,
	}
}

// New is a person who registers.
type New struct {
	Email      email.Address
	Password   string
	GivenName  *string
	FamilyName *string
	Locale     string
}

// Registered is the outcome of a registration.
type Registered struct {
	Next    admission.Next
	Receipt delivery.Receipt
}

// registerTries is how often a registration starts anew because the holder of the address changed meanwhile.
const registerTries = 3

// errHolderChanged means that the address got another holder after it was read.
var errHolderChanged = errors.New("registration: the address got another holder meanwhile")

// Register makes an unverified account, which reserves nothing. Registering again replaces its password and names, and
// makes it contested. The owner of the mailbox is mailed, and only their confirmation makes it an account that lasts. At
// a portal that requires no confirmation it is an account at once, which nobody replaces.
//
// Errors: pending_invitation, email_already_registered (open portals); registration_closed, password_rejected
// (reasons), resend_too_soon.
func (s *Service) Register(ctx context.Context, p *portal.Portal, n New) (Registered, error) {
	if p.Private() { // the settings alone decide, and no account is read before
		situation := admission.Situation{Portal: p, Now: s.clock.Now()}
		if err := situation.At(admission.Register).Err(); err != nil {
			return Registered{}, err
		}
	}
	has, err := s.holderOf(ctx, p, n.Email)
	if err != nil {
		return Registered{}, err
	}
	hash, err := s.passwords.Set(ctx, p, n.Email, n.Password) // always hashed: the same work for every address
	if err != nil {
		return Registered{}, err
	}
	return database.Retry(registerTries, errHolderChanged, func() (Registered, error) {
		registered, err := s.register(ctx, p, n, hash, has)
		if errors.Is(err, errHolderChanged) {
			var readErr error
			if has, readErr = s.holderOf(ctx, p, n.Email); readErr != nil {
				err = readErr
			}
		}
		return registered, err
	})
}

// holder is the holder of the address that a person registers.
type holder struct {
	owner       *account.Account    // nil for none
	invited     *invitation.Waiting // nil for no pending invitation
	replaceable bool                // whether the registration takes the place of owner
}

// holderOf finds the holder of an address.
//
// Errors, at open portals: pending_invitation, email_already_registered, registration_closed.
func (s *Service) holderOf(ctx context.Context, p *portal.Portal, address email.Address) (holder, error) {
	found, err := s.invitations.Holder(ctx, p, address)
	if err != nil {
		return holder{}, err
	}
	situation := admission.Situation{
		Portal: p, Address: address, Account: found.Account, Invitation: found.Waiting.Facts(), Now: s.clock.Now(),
	}
	has := holder{owner: found.Account, replaceable: situation.Replaceable()}
	if situation.Invited() {
		has.invited = found.Waiting
	}
	return has, situation.At(admission.Register).Err()
}

// register makes one attempt. Errors: errHolderChanged, resend_too_soon.
func (s *Service) register(
	ctx context.Context, p *portal.Portal, n New, hash string, has holder,
) (Registered, error) {
	registered, err := s.accountOf(p, n, hash)
	if err != nil {
		return Registered{}, err
	}
	var mail challenge.Request
	switch owner := has.owner; {
	case has.invited != nil:
		mail = s.invitationAgain(p, n.Email, has.invited)
	case has.replaceable:
		mail.Account, mail.Kind = registered, delivery.Confirm
	case owner.Disabled != nil: // no mail is sent, and it counts all the same
		mail.Kind = delivery.AlreadyRegistered
	case owner.Confirmed == nil:
		mail.Account, mail.Kind = owner, delivery.Confirm
	default:
		mail.Account, mail.Kind = owner, delivery.AlreadyRegistered
	}
	if has.invited == nil {
		mail.Then = func(ctx context.Context, _ ids.Delivery) error { return s.replace(ctx, p, registered, has) }
	}
	mail.Address, mail.Purpose, mail.Event = n.Email, onetime.Confirmation, audit.Registration
	mail.TTL = p.ConfirmationTTL.Duration()
	issued, err := s.mail.Issue(ctx, p, mail)
	if err != nil {
		return Registered{}, err
	}
	next := admission.Situation{Portal: p, Account: registered, Now: s.clock.Now()}.NextOfOwner()
	return Registered{next, issued.Receipt}, nil
}

// invitationAgain mails an invited person the invitation instead of a confirmation, with the same number of
// statements. It makes no account, and deletes an unverified one with the address.
func (s *Service) invitationAgain(
	p *portal.Portal, address email.Address, invited *invitation.Waiting,
) challenge.Request {
	mail := s.invitations.CodeMail(p, address, invited)
	sent := mail.Then
	mail.Then = func(ctx context.Context, messageID ids.Delivery) error {
		if err := sent(ctx, messageID); err != nil {
			return err
		}
		return s.accounts.DropUnverified(ctx, p.ID, []string{address.Canonical()})
	}
	return mail
}

// accountOf makes the account of a registration. It is unverified at a portal that requires confirmation.
func (s *Service) accountOf(p *portal.Portal, n New, hash string) (*account.Account, error) {
	now := s.clock.Now()
	a, err := account.New(n.Email, n.Locale, now)
	if err != nil {
		return nil, err
	}
	a.PasswordHash, a.GivenName, a.FamilyName = hash, n.GivenName, n.FamilyName
	if p.RequireConfirmation {
		a.UnverifiedSince = &now
	}
	return a, nil
}

// replace writes a registration. It runs the same statements when the owner of the address keeps it out, so that its
// time tells a stranger nothing at a private portal.
//
// Errors: errHolderChanged.
func (s *Service) replace(ctx context.Context, p *portal.Portal, registered *account.Account, has holder) error {
	replaced, err := s.accounts.ReplaceUnverified(ctx, p.ID, registered)
	if err == nil && replaced != has.replaceable {
		err = errHolderChanged
	}
	return err
}
