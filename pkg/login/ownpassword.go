package login

import (
	"context"
	"errors"

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

// PasswordChange is a change of password that a person asks for in a session.
type PasswordChange struct {
	Session ids.Session
	Current string
	New     string
}

// ChangeOwnPassword sets a new password for a person who knows the current one, and ends every other session. Wrong
// current passwords are counted apart from logins, so that neither count locks the other out.
//
// Errors, in this order: password_not_set, account_locked, password_reset_required, password_rejected (reasons),
// current_password_incorrect (attempts_remaining), access_token_invalid when the session ended meanwhile; overloaded.
func (s *Service) ChangeOwnPassword(
	ctx context.Context, p *portal.Portal, a *account.Account, change PasswordChange,
) error {
	_, err := database.Retry(attemptTries, session.ErrChanged, func() (struct{}, error) {
		err := s.changeOwn(ctx, p, a, change)
		if errors.Is(err, session.ErrChanged) {
			var readErr error
			if a, readErr = s.accounts.InSession(ctx, p.ID, a.ID, change.Session, s.clock.Now()); readErr != nil {
				err = readErr
			}
		}
		return struct{}{}, err
	})
	if errors.Is(err, database.ErrNotFound) {
		return fault.New(fault.AccessTokenInvalid)
	}
	return err
}

// changeOwn is one attempt. Errors: session.ErrChanged when the account changed meanwhile.
func (s *Service) changeOwn(ctx context.Context, p *portal.Portal, a *account.Account, change PasswordChange) error {
	accountDigest := s.digests.OfAccount(p.ID, a.ID)
	state, err := s.lockouts.Get(ctx, p.ID, lockout.CurrentPassword, accountDigest)
	if err != nil {
		return err
	}
	situation := admission.Situation{Portal: p, Account: a, Lock: state, Now: s.clock.Now()}
	if err := situation.At(admission.OwnPassword).Err(); err != nil {
		return err
	}
	// The rules are asked before anything is hashed: a refused password must cost the server nothing.
	if err := s.passwords.Check(ctx, p, a.Email, change.New); err != nil {
		return err
	}
	result, err := s.compare(ctx, p, a, change.Current)
	if err != nil {
		return err
	}
	if !result.Match {
		counting, cancel := database.Detached(ctx)
		defer cancel()
		return s.countWrongCurrent(counting, p, a, accountDigest)
	}
	hash, err := s.pool.For(p.ID).Hash(ctx, change.New)
	if err != nil {
		return err
	}
	return s.db.InTx(ctx, func(ctx context.Context) error {
		return s.replaceOwn(ctx, p, a, change.Session, hash)
	})
}

// replaceOwn writes the new hash, and what belongs to it, in the transaction of ctx.
func (s *Service) replaceOwn(
	ctx context.Context, p *portal.Portal, a *account.Account, sessionID ids.Session, hash string,
) error {
	stamp, err := s.accounts.SetPassword(ctx, p.ID, a, hash, s.clock.Now())
	if errors.Is(err, database.ErrNotFound) {
		return session.ErrChanged
	}
	if err != nil {
		return err
	}
	accountDigest := s.digests.OfAccount(p.ID, a.ID)
	cleared, err := s.lockouts.Succeed(ctx, p.ID, lockout.CurrentPassword, accountDigest, s.clock.Now())
	if err == nil && !cleared { // there was nothing to clear, or a lock came meanwhile
		err = s.unlessLocked(ctx, p, lockout.CurrentPassword, accountDigest, nil)
	}
	if err != nil {
		return err
	}
	if err := s.sessions.Keep(ctx, p, sessionID, stamp); err != nil {
		return err
	}
	if a.Confirmed != nil || p.RequireConfirmation { // else the mailbox may be a stranger's, who must not be flooded
		if err := s.messages.SendPasswordChanged(ctx, p, a); err != nil {
			return err
		}
	}
	return s.recordOwn(ctx, p, a, nil)
}

func (s *Service) countWrongCurrent(
	ctx context.Context, p *portal.Portal, a *account.Account, accountDigest digest.Digest,
) error {
	now := s.clock.Now()
	state, counted, err := s.lockouts.Fail(ctx, p.ID, lockout.Failure{
		Kind: lockout.CurrentPassword, Digest: accountDigest, Rules: p.Lockout, At: now,
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

func (s *Service) recordOwn(ctx context.Context, p *portal.Portal, a *account.Account, outcome error) error {
	addressDigest := s.digests.OfEmail(p.ID, a.Email)
	return s.audit.Record(ctx, audit.OfAccount(p.ID, audit.OwnPassword, a.ID, addressDigest).Failed(outcome))
}
