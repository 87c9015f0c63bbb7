// Package registration lets people make accounts of their own, and prove that the mailbox is theirs.
package registration

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/invitation"
	"github.com/latchkey-auth/latchkey/pkg/login"
	"github.com/latchkey-auth/latchkey/pkg/onetime"
	"github.com/latchkey-auth/latchkey/pkg/portal"
	"github.com/latchkey-auth/latchkey/pkg/secretmail"
)

// Service registers people.
type Service struct{ Parts }

// Parts are what a Service works with.
type Parts struct {
	Accounts    *account.Repository
	Holders     *invitation.Repository
	Invitations *invitation.Service
	Passwords   *account.Passwords
	Mail        *secretmail.Service
	Audit       *audit.Recorder
	Now         func() time.Time
}

// NewService registers people with the parts.
func NewService(with Parts) *Service { return &Service{with} }

// New is a person who registers.
type New struct {
	Email      email.Address
	Password   string
	GivenName  *string
	FamilyName *string
	Locale     string
}

// Registered is what comes after a registration.
type Registered struct {
	Next    login.Next
	Receipt delivery.Receipt
}

// registerTries is how often a registration starts anew because the address changed hands meanwhile.
const registerTries = 3

// Register makes an account whose mailbox is still to be proved: a claim, which reserves nothing. Registering again
// replaces its password and names; who owns the mailbox is told, and only a proof makes the account last.
//
// Errors: pending_invitation, email_already_registered (open portals); registration_closed, password_rejected (reasons),
// resend_too_soon.
func (s *Service) Register(ctx context.Context, p *portal.Portal, n New) (Registered, error) {
	closed := p.Registration != portal.RegistrationOpen
	if closed && p.Private() {
		return Registered{}, fault.New(fault.RegistrationClosed)
	}
	has, err := s.holder(ctx, p, n.Email) // who is known is told so, though registration is closed
	if err != nil {
		return Registered{}, err
	}
	if closed {
		return Registered{}, fault.New(fault.RegistrationClosed)
	}
	hash, err := s.Passwords.Set(ctx, p, n.Email, n.Password) // whoever has the address: the same work for all
	if err != nil {
		return Registered{}, err
	}
	for range registerTries {
		registered, err := s.register(ctx, p, n, hash, has)
		if !errors.Is(err, errTaken) {
			return registered, err
		}
		if has, err = s.holder(ctx, p, n.Email); err != nil {
			return Registered{}, err
		}
	}
	return Registered{}, fault.New(fault.Unavailable).After(time.Second)
}

// errTaken means that an account that is no claim came between.
var errTaken = errors.New("registration: the address was taken meanwhile")

// holder is who has an address already.
type holder struct {
	account *account.Account    // nil for none
	invited *invitation.Waiting // nil for none; a claim gives way to one
}

// holder finds who has an address.
//
// Errors, at open portals: pending_invitation, email_already_registered.
func (s *Service) holder(ctx context.Context, p *portal.Portal, address email.Address) (holder, error) {
	owner, invited, err := s.Holders.Holder(ctx, p.ID, address)
	if err != nil {
		return holder{}, err
	}
	if !invited.Pending(s.Now()) {
		invited = nil
	}
	switch {
	case p.Private():
	case invited != nil:
		return holder{}, fault.New(fault.PendingInvitation)
	case !replaceable(owner):
		return holder{}, fault.New(fault.EmailAlreadyRegistered)
	}
	return holder{owner, invited}, nil
}

func (s *Service) register(ctx context.Context, p *portal.Portal, n New, hash string, has holder) (Registered, error) {
	claim, err := s.claim(n, hash)
	if err != nil {
		return Registered{}, err
	}
	var mail secretmail.Mail
	owner := has.account
	switch {
	case has.invited != nil:
		mail = s.again(p, n.Email, has.invited)
	case replaceable(owner):
		mail.Account, mail.Kind = claim, delivery.Confirm
	case owner.Disabled != nil: // nobody is told
	case owner.Confirmed == nil:
		mail.Account, mail.Kind = owner, delivery.Confirm
	default:
		mail.Account, mail.Kind = owner, delivery.AlreadyRegistered
	}
	if has.invited == nil {
		mail.Then = func(ctx context.Context, _ uuid.UUID) error { return s.replace(ctx, p, claim, owner) }
	}
	mail.Address, mail.Purpose, mail.Event = n.Email, onetime.Confirmation, audit.Registration
	mail.TTL = p.ConfirmationTTL.Duration()
	issued, err := s.Mail.Issue(ctx, p, mail)
	if err != nil {
		return Registered{}, err
	}
	return Registered{login.NextOf(p, claim), issued.Receipt}, nil
}

// again is the mail that brings an invited person the invitation instead of a confirmation, and as many statements:
// no claim is made, and the one that there is goes.
func (s *Service) again(p *portal.Portal, address email.Address, invited *invitation.Waiting) secretmail.Mail {
	mail := s.Invitations.Again(p, address, invited)
	sent := mail.Then
	mail.Then = func(ctx context.Context, messageID uuid.UUID) error {
		if err := sent(ctx, messageID); err != nil {
			return err
		}
		return s.Accounts.DropClaims(ctx, p.ID, []string{address.Canonical()})
	}
	return mail
}

func (s *Service) claim(n New, hash string) (*account.Account, error) {
	now := s.Now().UTC().Truncate(time.Millisecond)
	a, err := account.New(n.Email, n.Locale, now)
	if err != nil {
		return nil, err
	}
	a.PasswordHash, a.GivenName, a.FamilyName, a.Claimed = hash, n.GivenName, n.FamilyName, &now
	return a, nil
}

// replaceable reports whether a registration takes the place of what has the address: nothing, or a claim. A claim that
// an administrator disabled stays.
func replaceable(owner *account.Account) bool {
	return owner == nil || (owner.Claimed != nil && owner.Disabled == nil)
}

// replace puts the claim in its place, with the same statements where an owner keeps it out: a private portal's stranger
// is not to tell by time. Errors: errTaken when the address changed hands meanwhile.
func (s *Service) replace(ctx context.Context, p *portal.Portal, claim, owner *account.Account) error {
	replaced, err := s.Accounts.ReplaceClaim(ctx, p.ID, claim)
	if err == nil && replaced != replaceable(owner) {
		err = errTaken
	}
	return err
}

// Verified is a secret that is good.
type Verified struct {
	Email     string
	ExpiresAt time.Time
}

// IssueConfirmation mails the link and the code anew.
//
// Errors: email_not_found, email_already_confirmed, account_disabled (open portals); resend_too_soon.
func (s *Service) IssueConfirmation(ctx context.Context, p *portal.Portal, address email.Address) (secretmail.Issued, error) {
	a, err := s.Accounts.ByEmail(ctx, p.ID, address)
	if errors.Is(err, database.ErrNotFound) {
		if !p.Private() {
			return secretmail.Issued{}, account.NotFound(address)
		}
		return s.issue(ctx, p, address, nil)
	}
	if err != nil {
		return secretmail.Issued{}, err
	}
	return s.issueFor(ctx, p, address, a)
}

// IssueConfirmationAgain does so for whom an older link was sent to. Errors: IssueConfirmation's, token_invalid,
// token_expired.
func (s *Service) IssueConfirmationAgain(ctx context.Context, p *portal.Portal, token string) (secretmail.Issued, error) {
	a, err := s.Mail.Addressee(ctx, p, onetime.Confirmation, token)
	if err != nil {
		return secretmail.Issued{}, err
	}
	return s.issueFor(ctx, p, a.Email, a)
}

func (s *Service) issueFor(ctx context.Context, p *portal.Portal, address email.Address, a *account.Account) (secretmail.Issued, error) {
	switch {
	case p.Private() && (a.Confirmed != nil || a.Disabled != nil):
		a = nil // nothing to confirm, and nobody is told
	case a.Confirmed != nil:
		return secretmail.Issued{}, fault.New(fault.EmailAlreadyConfirmed)
	case a.Disabled != nil:
		return secretmail.Issued{}, fault.New(fault.AccountDisabled)
	}
	return s.issue(ctx, p, address, a)
}

func (s *Service) issue(ctx context.Context, p *portal.Portal, address email.Address, a *account.Account) (secretmail.Issued, error) {
	return s.Mail.Issue(ctx, p, secretmail.Mail{
		Address: address, Account: a, Purpose: onetime.Confirmation, Kind: delivery.Confirm,
		TTL: p.ConfirmationTTL.Duration(), Event: audit.ConfirmationRequested,
	})
}

// Verify says whether a secret is good. Errors: onetime's.
func (s *Service) Verify(ctx context.Context, p *portal.Portal, given onetime.Given) (Verified, error) {
	found, err := s.Mail.Check(ctx, p, onetime.Confirmation, given, audit.Confirmation)
	return Verified{found.Email, found.ExpiresAt}, err
}

// Confirm proves the mailbox: the account is no claim any more. It tells what comes next. Errors: onetime's.
func (s *Service) Confirm(ctx context.Context, p *portal.Portal, given onetime.Given) (next login.Next, err error) {
	now := s.Now().UTC().Truncate(time.Millisecond)
	err = s.Mail.Redeem(ctx, p, onetime.Confirmation, given, audit.Confirmation, nil,
		func(ctx context.Context, a *account.Account, found onetime.Found) error {
			if err := s.Accounts.Confirm(ctx, p.ID, a, found.SecurityStamp, now); err != nil {
				return err
			}
			a.Confirmed = &now
			next = login.NextOf(p, a)
			return s.Audit.Record(ctx, audit.Event{
				PortalID: p.ID, Type: audit.Confirmation, EmailDigest: found.Subject,
				AccountID: uuid.NullUUID{UUID: a.ID, Valid: true},
			})
		})
	return next, err
}
