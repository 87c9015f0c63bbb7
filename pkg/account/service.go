package account

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/clock"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// Service changes accounts: those of others for administrators, and their own for people.
type Service struct {
	db        *database.DB
	repo      *Repository
	passwords *Passwords
	audit     *audit.Recorder
	digests   *digest.Digester
	clock     clock.Clock
}

// Dependencies are what a Service is made of.
type Dependencies struct {
	DB        *database.DB
	Accounts  *Repository
	Passwords *Passwords
	Audit     *audit.Recorder
	Digests   *digest.Digester
	Now       clock.Clock
}

// NewService makes a Service.
func NewService(with Dependencies) *Service {
	return &Service{
		db: with.DB, repo: with.Accounts, passwords: with.Passwords, audit: with.Audit, digests: with.Digests,
		clock: with.Now,
	}
}

// Changes are the new values of an account's members; nil members stay as they are. All but the password are checked
// already.
type Changes struct {
	Email        *email.Address
	Password     *string
	Confirmed    *bool
	Phone        **string
	GivenName    **string
	FamilyName   **string
	Locale       *string
	Roles        *[]string
	Entitlements *[]string
	Metadata     *json.RawMessage
	Disabled     *bool
	OptedOut     *bool
}

// Create makes an account for an administrator.
//
// Errors: email_already_registered, phone_already_registered, password_rejected, overloaded.
func (s *Service) Create(ctx context.Context, p *portal.Portal, c Changes) (*Account, error) {
	a, err := New(*c.Email, p.DefaultLocale, s.clock.Now())
	if err != nil {
		return nil, err
	}
	hash, err := s.hash(ctx, p, *c.Email, c.Password)
	if err != nil {
		return nil, err
	}
	s.apply(a, c, hash)
	err = s.db.InTx(ctx, func(ctx context.Context) error {
		inserted, err := s.repo.ReplaceUnverified(ctx, p.ID, a)
		if err == nil && !inserted {
			err = fault.New(fault.EmailAlreadyRegistered)
		}
		if err != nil {
			return taken(err)
		}
		return s.audit.Record(ctx, s.event(p, audit.AccountCreated, a))
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// Get finds an account. Errors: not_found.
func (s *Service) Get(ctx context.Context, p *portal.Portal, id ids.Account) (*Account, error) {
	a, err := s.repo.ByID(ctx, p.ID, id)
	return a, notFound(err)
}

// InSession finds the person of a live session. Errors: access_token_invalid when it has ended.
func (s *Service) InSession(
	ctx context.Context, p *portal.Portal, id ids.Account, sessionID ids.Session,
) (*Account, error) {
	a, err := s.repo.InSession(ctx, p.ID, id, sessionID, s.clock.Now())
	if errors.Is(err, database.ErrNotFound) {
		return nil, fault.New(fault.AccessTokenInvalid)
	}
	return a, err
}

// Search lists the accounts that match q, newest first, from before the id.
func (s *Service) Search(
	ctx context.Context, p *portal.Portal, q string, before ids.Account, limit int,
) ([]*Account, error) {
	return s.repo.Page(ctx, p.ID, q, before, limit)
}

// Change makes an administrator's changes. A new address is unconfirmed unless the changes confirm it. A new password,
// a new address and disabling end every session.
//
// Errors: not_found, and Create's.
func (s *Service) Change(ctx context.Context, p *portal.Portal, id ids.Account, c Changes) (*Account, error) {
	return s.change(ctx, p, id, audit.AccountChanged, c)
}

// ChangeOwn makes a person's changes to their own account. Errors: not_found.
func (s *Service) ChangeOwn(ctx context.Context, p *portal.Portal, id ids.Account, c Changes) (*Account, error) {
	return s.change(ctx, p, id, audit.ProfileChanged, c)
}

func (s *Service) change(
	ctx context.Context, p *portal.Portal, id ids.Account, what audit.Type, c Changes,
) (*Account, error) {
	read, err := s.repo.ByID(ctx, p.ID, id)
	if err != nil {
		return nil, notFound(err)
	}
	address := read.Email // a new password must not be made of it
	if c.Email != nil {
		address = *c.Email
	}
	hash, err := s.hash(ctx, p, address, c.Password) // before the transaction: nothing holds a connection while hashing
	if err != nil {
		return nil, err
	}
	var changed *Account
	err = s.db.InTx(ctx, func(ctx context.Context) error {
		if err := s.endInvitations(ctx, p, read, c); err != nil {
			return err
		}
		a, err := s.repo.forUpdate(ctx, p.ID, id)
		if err != nil {
			return notFound(err)
		}
		before := *a
		s.apply(a, c, hash)
		if c.Email != nil {
			if err := s.repo.DropOtherUnverified(ctx, p.ID, *c.Email, a.ID); err != nil {
				return err
			}
		}
		if err := s.repo.update(ctx, p.ID, a); err != nil {
			return taken(err)
		}
		changed = a
		return s.audit.Record(ctx, s.event(p, what, a).Changed(changedMembers(&before, a)...))
	})
	return changed, err
}

// endInvitations ends the invitations for the addresses of a change: the new one; the old one, so that nobody gets in
// with it; and the account's own when the change confirms an unverified registration.
func (s *Service) endInvitations(ctx context.Context, p *portal.Portal, before *Account, c Changes) error {
	var addresses []email.Address
	if c.Email != nil && c.Email.Canonical() != before.Email.Canonical() {
		addresses = append(addresses, *c.Email)
		if before.UnverifiedSince == nil {
			addresses = append(addresses, before.Email)
		}
	}
	if before.UnverifiedSince != nil && c.Confirmed != nil && *c.Confirmed {
		addresses = append(addresses, before.Email)
	}
	for _, address := range addresses {
		if err := s.repo.endInvitations(ctx, p.ID, address, before.ID, s.clock.Now()); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) hash(ctx context.Context, p *portal.Portal, address email.Address, secret *string) (string, error) {
	if secret == nil {
		return "", nil
	}
	return s.passwords.Set(ctx, p, address, *secret)
}

// apply sets the members of c. hash is the hash of c.Password.
func (s *Service) apply(a *Account, c Changes, hash string) {
	now := s.clock.Now()
	if c.Email != nil {
		if c.Email.Canonical() != a.Email.Canonical() {
			a.Confirmed = nil
			a.Restamp()
		}
		a.Email = *c.Email
	}
	if c.Password != nil {
		a.PasswordHash = hash
		a.Restamp()
	}
	if c.Disabled != nil {
		if *c.Disabled && a.Disabled == nil {
			a.Restamp()
		}
		mark(&a.Disabled, *c.Disabled, now)
	}
	if c.Confirmed != nil {
		mark(&a.Confirmed, *c.Confirmed, now)
		if *c.Confirmed {
			a.UnverifiedSince = nil
		}
	}
	set(&a.Phone, c.Phone)
	set(&a.GivenName, c.GivenName)
	set(&a.FamilyName, c.FamilyName)
	set(&a.Locale, c.Locale)
	set(&a.Roles, c.Roles)
	set(&a.Entitlements, c.Entitlements)
	set(&a.Metadata, c.Metadata)
	set(&a.OptedOut, c.OptedOut)
	a.UpdatedAt = now
}

func set[T any](member *T, to *T) {
	if to != nil {
		*member = *to
	}
}

// mark sets since to now where holds is true and it is not set yet, and to nil where holds is false.
func mark(since **time.Time, holds bool, now time.Time) {
	switch {
	case !holds:
		*since = nil
	case *since == nil:
		*since = &now
	}
}

// Erase deletes an account and its sessions in the transaction of ctx. Package erasure deletes the person's data in
// other tables. Errors: not_found.
func (s *Service) Erase(ctx context.Context, p *portal.Portal, a *Account) error {
	if err := s.repo.delete(ctx, p.ID, a.ID); err != nil {
		return notFound(err)
	}
	return s.audit.Record(ctx, s.event(p, audit.AccountDeleted, a))
}

func (s *Service) event(p *portal.Portal, what audit.Type, a *Account) audit.Event {
	return audit.OfAccount(p.ID, what, a.ID, s.digests.OfEmail(p.ID, a.Email))
}

func notFound(err error) error {
	if errors.Is(err, database.ErrNotFound) {
		return fault.New(fault.NotFound)
	}
	return err
}

func taken(err error) error {
	switch {
	case database.ConflictOn(err, "email_canonical"):
		return fault.New(fault.EmailAlreadyRegistered)
	case database.ConflictOn(err, "phone"):
		return fault.New(fault.PhoneAlreadyRegistered)
	}
	return err
}
