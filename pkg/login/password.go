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
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/lockout"
	"github.com/latchkey-auth/latchkey/pkg/password"
	"github.com/latchkey-auth/latchkey/pkg/portal"
	"github.com/latchkey-auth/latchkey/pkg/session"
)

// Attempt is one try to log in with a password.
type Attempt struct {
	Email      email.Address
	Password   string
	Transport  string
	DeviceName *string
	Resource   string // what the person wants to get at; "" asks for nothing in particular
}

// attemptTries is how often a try starts anew because the account changed while its hash was computed.
const attemptTries = 3

// privateFailure is how long a failure takes at a private portal at least (contract §3): longer than what differs
// between an account and none.
const privateFailure = 500 * time.Millisecond

// WithPassword signs a person in. The outcome is decided at one moment, after the hash: what happens is as if the
// tries that run at once had come one after another.
//
// Errors, in this order: channel_unavailable, account_locked (locked_until), password_reset_required,
// password_not_set, incorrect_credentials (attempts_remaining, hints), account_disabled, email_not_confirmed,
// resource_not_granted; and overloaded. At a private portal an account without a password, or unconfirmed, answers as
// a wrong password does.
func (s *Service) WithPassword(ctx context.Context, p *portal.Portal, try Attempt) (session.Granted, error) {
	if !p.Allows(portal.Password) {
		return session.Granted{}, fault.New(fault.ChannelUnavailable)
	}
	begun := time.Now()
	granted, err := s.decide(ctx, p, try)
	if err != nil && p.Private() && heard(err) {
		waitUntil(ctx, begun.Add(privateFailure))
	}
	return granted, err
}

// decide tries until the account stands still for the length of a hash, and records the outcome.
func (s *Service) decide(ctx context.Context, p *portal.Portal, try Attempt) (session.Granted, error) {
	subject := s.digests.OfEmail(p.ID, try.Email)
	for range attemptTries {
		a, state, err := s.repo.read(ctx, p.ID, try.Email, subject)
		if err != nil {
			return session.Granted{}, err
		}
		granted, err := s.attempt(ctx, p, try, subject, a, state)
		if errors.Is(err, session.ErrChanged) {
			continue
		}
		return granted, s.recorded(ctx, p, subject, a, err)
	}
	return session.Granted{}, fault.New(fault.Unavailable).After(time.Second)
}

// attempt compares the password with what was read, and decides.
func (s *Service) attempt(ctx context.Context, p *portal.Portal, try Attempt, subject digest.Digest, a *account.Account,
	state lockout.State) (session.Granted, error) {
	situation := admission.Situation{
		Portal: p, Address: try.Email, Account: a, Lock: state, Resource: try.Resource, Now: s.clock.Now(),
	}
	if refused := situation.At(admission.BeforePassword); refused.Err() != nil {
		return session.Granted{}, s.withSetPasswordMail(ctx, situation, refused.Err())
	}
	result, err := s.compare(ctx, a, try.Password)
	if err != nil {
		return session.Granted{}, err // gone, or overloaded: nothing was decided and nothing is counted
	}
	ctx, cancel := database.Detached(ctx)
	defer cancel()
	refused := situation.At(admission.AfterPassword)
	if !result.Match || refused.Code() == fault.IncorrectCredentials {
		return session.Granted{}, s.countFailure(ctx, p, try, subject)
	}
	if err := refused.Err(); err != nil {
		return session.Granted{}, s.unlessLocked(ctx, p, lockout.Login, subject, err)
	}
	granted, err := s.start(ctx, p, try, subject, a, state)
	if err == nil && result.Outdated {
		s.rehash(ctx, p, a, try.Password)
	}
	return granted, err
}

// withSetPasswordMail mails the link to set a password where that is what is missing, as the lookup does, and adds its
// receipt to the refusal.
func (s *Service) withSetPasswordMail(ctx context.Context, situation admission.Situation, refusal error) error {
	var f *fault.Error
	if !errors.As(refusal, &f) || f.Code != fault.PasswordNotSet || !situation.At(admission.RequestReset).Open() {
		return refusal
	}
	receipt, err := s.resets.Outstanding(ctx, situation.Portal, situation.Account)
	if err != nil {
		return err
	}
	if receipt != nil {
		f = f.With("delivery", *receipt)
	}
	return f
}

// unlessLocked returns why, unless a lock came while the hash was computed. The lock comes first: otherwise tries that
// run at once could find a right password after any number of wrong ones.
func (s *Service) unlessLocked(ctx context.Context, p *portal.Portal, kind lockout.Kind, subject digest.Digest, why error) error {
	state, err := s.lockouts.Get(ctx, p.ID, kind, subject)
	if err != nil {
		return err
	}
	if refusal := s.locked(p, state); refusal != nil {
		return refusal
	}
	return why
}

// locked is the refusal of a lock, whoever asks; nil where it refuses nothing.
func (s *Service) locked(p *portal.Portal, state lockout.State) error {
	return admission.Situation{Portal: p, Lock: state, Now: s.clock.Now()}.At(admission.OwnPassword).Err()
}

// compare hashes once whoever is asked for, also nobody.
func (s *Service) compare(ctx context.Context, a *account.Account, secret string) (password.Result, error) {
	if a == nil || !a.HasPassword() {
		return password.Result{}, s.pool.VerifyAbsent(ctx, secret)
	}
	result, err := s.pool.Verify(ctx, secret, a.PasswordHash)
	if errors.Is(err, password.ErrUnreadable) {
		s.log.ErrorContext(ctx, "stored password hash is unreadable", "account", a.ID)
		return password.Result{}, nil
	}
	return result, err
}

// start begins the session if no lock came meanwhile. Where failures stood they are cleared in the same transaction,
// which takes everything back if a lock came first. The session is written before the count: its foreign key locks the
// account, and accounts are locked before counts.
func (s *Service) start(ctx context.Context, p *portal.Portal, try Attempt, subject digest.Digest, a *account.Account,
	state lockout.State) (granted session.Granted, err error) {
	begin := session.Begin{Transport: try.Transport, DeviceName: try.DeviceName, Guarded: subject}
	if state.Clean() {
		return s.sessions.Start(ctx, p, a, begin)
	}
	err = s.db.InTx(ctx, func(ctx context.Context) error {
		if granted, err = s.sessions.Start(ctx, p, a, begin); err != nil {
			return err
		}
		cleared, err := s.lockouts.Succeed(ctx, p.ID, lockout.Login, subject, s.clock.Now())
		if err == nil && !cleared {
			err = session.ErrChanged
		}
		return err
	})
	if err != nil {
		return session.Granted{}, err
	}
	return granted, nil
}

// countFailure counts a wrong password and says how many are left, or that the lock came first.
func (s *Service) countFailure(ctx context.Context, p *portal.Portal, try Attempt, subject digest.Digest) error {
	now := s.clock.Now()
	state, counted, err := s.lockouts.Fail(ctx, p.ID, lockout.Failure{
		Kind: lockout.Login, Digest: subject, Rules: p.Lockout, At: now,
	})
	if err != nil {
		return err
	}
	if !counted {
		return s.locked(p, state)
	}
	f := fault.New(fault.IncorrectCredentials).With("attempts_remaining", state.Remaining(p.Lockout, now))
	if hints := password.Hints(try.Password, p.PasswordMinLength); len(hints) > 0 {
		f = f.With("hints", hints)
	}
	return f
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

// heard reports whether a try was decided: what the server could not decide is no outcome.
func heard(err error) bool {
	var f *fault.Error
	return err == nil || (errors.As(err, &f) && f.Code != fault.Overloaded && f.Code != fault.Unavailable)
}

// recorded writes the outcome of a try to the audit trail and gives it back. What was decided and counted is told even
// if it cannot be recorded.
func (s *Service) recorded(ctx context.Context, p *portal.Portal, subject digest.Digest, a *account.Account, outcome error) error {
	if !heard(outcome) {
		return outcome
	}
	event := audit.OfAddress(p.ID, audit.Login, subject).Failed(outcome)
	if a != nil {
		event = event.WithAccount(a.ID)
	}
	var f *fault.Error
	if errors.As(outcome, &f) {
		hints, _ := f.Members["hints"].([]string)
		event = event.WithHints(hints)
	}
	ctx, cancel := database.Detached(ctx)
	defer cancel()
	if err := s.audit.Record(ctx, event); err != nil {
		s.log.ErrorContext(ctx, "login not recorded", "portal", p.Slug, "error", err)
	}
	return outcome
}

// waitUntil waits, unless the caller leaves.
func waitUntil(ctx context.Context, moment time.Time) {
	timer := time.NewTimer(time.Until(moment))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
