package account

import (
	"context"
	"errors"

	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/clock"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/digest"
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
