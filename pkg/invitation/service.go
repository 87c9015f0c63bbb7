package invitation

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/challenge"
	"github.com/latchkey-auth/latchkey/pkg/clock"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/portal"
	"github.com/latchkey-auth/latchkey/pkg/session"
)

// Service makes, mails, lists and redeems invitations.
type Service struct {
	db        *database.DB
	repo      *Repository
	accounts  *account.Repository
	passwords *account.Passwords
	sessions  *session.Service
	mail      *challenge.Service
	messages  *delivery.Service
	audit     *audit.Recorder
	digests   *digest.Digester
	ring      *keyring.Ring
	clock     clock.Clock

	codes codes
}

// Dependencies are what NewService needs. All are required.
type Dependencies struct {
	DB          *database.DB
	Invitations *Repository
	Accounts    *account.Repository
	Passwords   *account.Passwords
	Sessions    *session.Service
	Mail        *challenge.Service
	Messages    *delivery.Service
	Audit       *audit.Recorder
	Digests     *digest.Digester
	Ring        *keyring.Ring
	Now         clock.Clock
}

// NewService makes a service of its dependencies.
func NewService(with Dependencies) *Service {
	return &Service{
		db: with.DB, repo: with.Invitations, accounts: with.Accounts, passwords: with.Passwords, sessions: with.Sessions,
		mail: with.Mail, messages: with.Messages, audit: with.Audit, digests: with.Digests, ring: with.Ring,
		clock: with.Now, codes: codes{with.Ring},
	}
}

// Get finds an invitation. Errors: not_found.
func (s *Service) Get(ctx context.Context, p *portal.Portal, id ids.Invitation) (*Invitation, error) {
	i, err := s.repo.byID(ctx, p.ID, id)
	if errors.Is(err, database.ErrNotFound) {
		return nil, fault.New(fault.NotFound)
	}
	return i, err
}

// List gives the invitations that match a filter, newest first.
func (s *Service) List(ctx context.Context, p *portal.Portal, f Filter) ([]*Invitation, error) {
	return s.repo.page(ctx, p.ID, f, s.clock.Now())
}

// Code is the code of a pending invitation. It is "" for one that is not pending, and for one whose secret key is no
// longer configured.
func (s *Service) Code(p *portal.Portal, i *Invitation) (string, error) {
	if i.Status(s.clock.Now()) != Pending {
		return "", nil
	}
	code, err := s.codes.derive(p.ID, i.serial)
	if errors.Is(err, keyring.ErrUnknownKey) {
		return "", nil
	}
	return code, err
}

// Exported records that the invitations of a portal were exported, with their codes.
func (s *Service) Exported(ctx context.Context, p *portal.Portal) error {
	return s.audit.Record(ctx, audit.OfTarget(p.ID, audit.InvitationsExported, audit.PortalTarget(p.ID, p.Slug)))
}

// Delete deletes an invitation that was not accepted: its codes expire, and its address is free.
//
// Errors: not_found; email_already_registered for an accepted invitation.
func (s *Service) Delete(ctx context.Context, p *portal.Portal, id ids.Invitation) error {
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		addressDigest, err := s.repo.delete(ctx, p.ID, id, s.clock.Now())
		if err != nil {
			return err
		}
		if err := s.messages.Forget(ctx, p, ids.Account{}, []ids.Invitation{id}); err != nil {
			return err
		}
		return s.audit.Record(ctx, audit.OfAddress(p.ID, audit.InvitationDeleted, addressDigest).
			WithTarget(audit.InvitationTarget(id)))
	})
	if !errors.Is(err, database.ErrNotFound) {
		return err
	}
	if _, err := s.Get(ctx, p, id); err != nil {
		return err
	}
	return fault.New(fault.EmailAlreadyRegistered)
}

// Forget deletes the invitations of a person, in the transaction of ctx that deletes the account, and gives their
// ids.
func (s *Service) Forget(ctx context.Context, p *portal.Portal, a *account.Account) ([]ids.Invitation, error) {
	return s.repo.deleteOf(ctx, p.ID, a, s.clock.Now())
}

// Invitee is the person whom an invitation is mailed to, and the facts that the mail states.
type Invitee struct {
	Address   email.Address
	Inviter   string // a person's name; "" when an API key invited
	Code      string
	ExpiresAt time.Time
}

// String keeps the code out of logs.
func (Invitee) String() string { return "invitee" }

// GoString keeps the code out of logs.
func (Invitee) GoString() string { return "invitee" }

// Invitee gives the recipient of a message with the code of an invitation, at the time of sending.
//
// Errors: not_found, token_used, token_superseded, email_already_registered, token_expired; then nothing is to be
// sent.
func (s *Service) Invitee(ctx context.Context, portalID ids.Portal, of delivery.Invitation) (Invitee, error) {
	i, err := s.repo.byID(ctx, portalID, of.ID)
	if errors.Is(err, database.ErrNotFound) {
		return Invitee{}, fault.New(fault.NotFound)
	}
	if err != nil {
		return Invitee{}, err
	}
	if err := i.verdict(serial{i.number, of.Counter, i.key}, s.clock.Now()); err != nil {
		return Invitee{}, err
	}
	code, err := s.codes.derive(portalID, i.serial)
	if errors.Is(err, keyring.ErrUnknownKey) {
		err = fault.Wrap(fault.TokenExpired, err)
	}
	return Invitee{i.Email, i.InviterName(), code, i.ExpiresAt}, err
}
