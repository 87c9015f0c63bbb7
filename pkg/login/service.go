// Package login decides who gets in: what comes after an address was typed, and whether a password is right.
package login

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/google/uuid"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/installation"
	"github.com/latchkey-auth/latchkey/pkg/password"
	"github.com/latchkey-auth/latchkey/pkg/portal"
	"github.com/latchkey-auth/latchkey/pkg/session"
)

// Service logs people in.
type Service struct {
	accounts *account.Repository
	sessions *session.Service
	pool     *password.Pool
	audit    *audit.Recorder
	digests  *installation.Digests
	log      *slog.Logger
}

// NewService logs people in with the passwords of accounts.
func NewService(accounts *account.Repository, sessions *session.Service, pool *password.Pool, recorder *audit.Recorder,
	digests *installation.Digests, log *slog.Logger) *Service {
	return &Service{accounts, sessions, pool, recorder, digests, log}
}

// Attempt is one try to log in with a password.
type Attempt struct {
	Email      email.Address
	Password   string
	Transport  string
	DeviceName *string
	Resource   string // what the person wants to get at; "" asks for nothing in particular
}

// SignedIn is a person who got in.
type SignedIn struct {
	session.Granted
	Account *account.Account
}

// attemptTries is how often a try starts anew because the account changed while its hash was computed.
const attemptTries = 3

// WithPassword signs a person in.
//
// Errors, in this order: channel_unavailable, password_not_set, incorrect_credentials (hints), account_disabled,
// email_not_confirmed, resource_not_granted; and overloaded.
func (s *Service) WithPassword(ctx context.Context, p *portal.Portal, try Attempt) (SignedIn, error) {
	if !p.Allows(portal.Password) {
		return SignedIn{}, fault.New(fault.ChannelUnavailable)
	}
	for range attemptTries {
		in, a, err := s.attempt(ctx, p, try)
		if errors.Is(err, session.ErrSubjectChanged) {
			continue
		}
		return in, s.recorded(ctx, p, try, a, err)
	}
	return SignedIn{}, fault.New(fault.Unavailable)
}

// attempt reads the account, compares the password and starts the session; the account comes back with a refusal too.
func (s *Service) attempt(ctx context.Context, p *portal.Portal, try Attempt) (SignedIn, *account.Account, error) {
	a, err := s.accounts.ByEmail(ctx, p.ID, try.Email)
	if errors.Is(err, database.ErrNotFound) {
		if err := s.pool.VerifyAbsent(ctx, try.Password); err != nil {
			return SignedIn{}, nil, err
		}
		return SignedIn{}, nil, s.incorrect(p, try)
	}
	if err != nil {
		return SignedIn{}, nil, err
	}
	if !a.HasPassword() {
		return SignedIn{}, a, fault.New(fault.PasswordNotSet)
	}
	result, err := s.pool.Verify(ctx, try.Password, a.PasswordHash)
	if errors.Is(err, password.ErrUnreadable) {
		s.log.ErrorContext(ctx, "stored password hash is unreadable", "account", a.ID)
	} else if err != nil {
		return SignedIn{}, a, err
	}
	if !result.Match {
		return SignedIn{}, a, s.incorrect(p, try)
	}
	if err := admit(p, a, try.Resource); err != nil {
		return SignedIn{}, a, err
	}
	granted, err := s.sessions.Start(ctx, p, subjectOf(a), try.Transport, try.DeviceName)
	if err != nil {
		return SignedIn{}, a, err
	}
	if result.Outdated {
		s.rehash(ctx, p, a, try.Password)
	}
	a.LastLoginAt = &granted.At
	return SignedIn{granted, a}, a, nil
}

// admit says what keeps out a person whose password is right.
func admit(p *portal.Portal, a *account.Account, resource string) error {
	switch {
	case a.Disabled != nil:
		return fault.New(fault.AccountDisabled)
	case unconfirmed(p, a):
		return fault.New(fault.EmailNotConfirmed)
	case resource != "" && !slices.Contains(a.Entitlements, resource):
		return fault.New(fault.ResourceNotGranted)
	}
	return nil
}

func (s *Service) incorrect(p *portal.Portal, try Attempt) error {
	f := fault.New(fault.IncorrectCredentials)
	if hints := password.Hints(try.Password, p.PasswordMinLength); len(hints) > 0 {
		f = f.With("hints", hints)
	}
	return f
}

func subjectOf(a *account.Account) session.Subject {
	return session.Subject{
		AccountID: a.ID, SecurityStamp: a.SecurityStamp, Roles: a.Roles, Entitlements: a.Entitlements,
	}
}

// rehash brings an old or foreign hash up to today's parameters. The login has succeeded by then: that it could not
// be done is for the log, and the next login tries again.
func (s *Service) rehash(ctx context.Context, p *portal.Portal, a *account.Account, secret string) {
	hash, err := s.pool.Hash(ctx, secret)
	if err == nil {
		err = s.accounts.Rehash(ctx, p.ID, a.ID, a.PasswordHash, hash)
	}
	if err != nil {
		s.log.WarnContext(ctx, "password not rehashed", "account", a.ID, "error", err)
	}
}

// recorded writes the outcome of a try to the audit trail and gives it back. What the server could not decide is no
// outcome.
func (s *Service) recorded(ctx context.Context, p *portal.Portal, try Attempt, a *account.Account, outcome error) error {
	var f *fault.Error
	if outcome != nil && (!errors.As(outcome, &f) || f.Code == fault.Overloaded || f.Code == fault.Unavailable) {
		return outcome
	}
	event := audit.Event{
		PortalID: p.ID, Type: audit.Login, Err: outcome, EmailDigest: s.digests.Subject(p.ID, try.Email.Canonical()),
	}
	if a != nil {
		event.AccountID = uuid.NullUUID{UUID: a.ID, Valid: true}
	}
	if f != nil {
		event.Hints, _ = f.Members["hints"].([]string)
	}
	if err := s.audit.Record(ctx, event); err != nil {
		return err
	}
	return outcome
}
