package login

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/admission"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/lockout"
	"github.com/latchkey-auth/latchkey/pkg/portal"
	"github.com/latchkey-auth/latchkey/pkg/session"
)

// ChangeOwnPassword sets a new password for a person who knows the current one; every session but the one that it is
// done in ends. Wrong current passwords are counted apart from logins, so that neither locks the other.
//
// Errors: password_not_set, account_locked, current_password_incorrect (attempts_remaining), password_rejected
// (reasons), access_token_invalid when the account changed meanwhile.
func (s *Service) ChangeOwnPassword(ctx context.Context, p *portal.Portal, a *account.Account, sessionID ids.Session,
	current, next string) error {
	for range attemptTries {
		err := s.changeOwn(ctx, p, a, sessionID, current, next)
		if !errors.Is(err, session.ErrChanged) {
			return err
		}
		a, err = s.accounts.InSession(ctx, p.ID, a.ID, sessionID, s.clock.Now())
		if errors.Is(err, database.ErrNotFound) {
			return fault.New(fault.AccessTokenInvalid)
		}
		if err != nil {
			return err
		}
	}
	return fault.New(fault.Unavailable).After(time.Second)
}

// changeOwn is one try. Errors: session.ErrChanged when the account changed meanwhile.
func (s *Service) changeOwn(ctx context.Context, p *portal.Portal, a *account.Account, sessionID ids.Session,
	current, next string) error {
	subject := s.digests.OfAccount(p.ID, a.ID)
	state, err := s.lockouts.Get(ctx, p.ID, lockout.CurrentPassword, subject)
	if err != nil {
		return err
	}
	situation := admission.Situation{Portal: p, Account: a, Lock: state, Now: s.clock.Now()}
	if err := situation.At(admission.OwnPassword).Err(); err != nil {
		return err
	}
	result, err := s.compare(ctx, a, current)
	if err != nil {
		return err
	}
	if !result.Match {
		counting, cancel := database.Detached(ctx)
		defer cancel()
		return s.countWrongCurrent(counting, p, a, subject)
	}
	hash, err := s.passwords.Set(ctx, p, a.Email, next)
	if err != nil {
		return s.unlessLocked(ctx, p, lockout.CurrentPassword, subject, err)
	}
	return s.db.InTx(ctx, func(ctx context.Context) error {
		stamp, err := s.accounts.SetPassword(ctx, p.ID, a, hash, s.clock.Now())
		if errors.Is(err, database.ErrNotFound) {
			return session.ErrChanged
		}
		if err != nil {
			return err
		}
		cleared, err := s.lockouts.Succeed(ctx, p.ID, lockout.CurrentPassword, subject, s.clock.Now())
		if err == nil && !cleared { // there was nothing to clear, or a lock came meanwhile
			err = s.unlessLocked(ctx, p, lockout.CurrentPassword, subject, nil)
		}
		if err != nil {
			return err
		}
		if err := s.sessions.Keep(ctx, p, sessionID, stamp); err != nil {
			return err
		}
		if a.UnverifiedSince == nil { // who registered has not shown that the mailbox is his: its owner is not to be flooded
			if err := s.messages.SendPasswordChanged(ctx, p, a); err != nil {
				return err
			}
		}
		return s.recordOwn(ctx, p, a, nil)
	})
}

func (s *Service) countWrongCurrent(ctx context.Context, p *portal.Portal, a *account.Account, subject digest.Digest) error {
	now := s.clock.Now()
	state, counted, err := s.lockouts.Fail(ctx, p.ID, lockout.Failure{
		Kind: lockout.CurrentPassword, Digest: subject, Rules: p.Lockout, At: now,
	})
	if err != nil {
		return err
	}
	refusal := s.locked(p, state)
	if counted {
		refusal = fault.New(fault.CurrentPasswordIncorrect).With("attempts_remaining", state.Remaining(p.Lockout, now))
	}
	if err := s.recordOwn(ctx, p, a, refusal); err != nil {
		return err
	}
	return refusal
}

func (s *Service) recordOwn(ctx context.Context, p *portal.Portal, a *account.Account, why error) error {
	digest := s.digests.OfEmail(p.ID, a.Email)
	return s.audit.Record(ctx, audit.OfAccount(p.ID, audit.OwnPassword, a.ID, digest).Failed(why))
}
