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
	Resource   string // what the person wants to reach; "" for nothing in particular
}

// attemptTries is how often a login starts anew because the account changed while its hash was computed.
const attemptTries = 3

// ErrLockBegan is the cause of an incorrect_credentials that locked the password.
var ErrLockBegan = errors.New("login: this failure locks the password")

// privateFailure is the least time that a failure takes at a private portal. It is longer than the difference between
// an address with an account and one without.
const privateFailure = 500 * time.Millisecond

// WithPassword signs a person in. The outcome is decided at one moment, after the hash, so that concurrent logins
// count as if they had come one after another.
//
// Errors, in this order: channel_unavailable, account_locked (locked_until), password_reset_required,
// password_not_set, incorrect_credentials (attempts_remaining, null at a private portal; hints), account_disabled,
// email_not_confirmed, resource_not_granted; and overloaded. At a private portal an account without a password, or
// unconfirmed, answers as a wrong password does.
func (s *Service) WithPassword(ctx context.Context, p *portal.Portal, try Attempt) (session.Granted, error) {
	if !p.Allows(portal.Password) {
		return session.Granted{}, fault.New(fault.ChannelUnavailable)
	}
	begun := time.Now()
	granted, err := s.decide(ctx, p, try)
	if err != nil && p.Private() && decided(err) {
		waitUntil(ctx, begun.Add(privateFailure))
	}
	return granted, err
}

// decide repeats the attempt until the account did not change during a hash, and records the outcome.
func (s *Service) decide(ctx context.Context, p *portal.Portal, try Attempt) (session.Granted, error) {
	addressDigest := s.digests.OfEmail(p.ID, try.Email)
	return database.Retry(attemptTries, session.ErrChanged, func() (session.Granted, error) {
		read, err := s.repo.read(ctx, p.ID, try.Email, addressDigest)
		if err != nil {
			return session.Granted{}, err
		}
		granted, err := s.attempt(ctx, p, try, read)
		if errors.Is(err, session.ErrChanged) {
			return session.Granted{}, err
		}
		s.record(ctx, p, read, err)
		return granted, err
	})
}

// attempt compares the password with the facts that were read, and decides. Errors: session.ErrChanged when the
// account changed meanwhile.
func (s *Service) attempt(ctx context.Context, p *portal.Portal, try Attempt, read facts) (session.Granted, error) {
	situation := admission.Situation{
		Portal: p, Address: try.Email, Account: read.account, Lock: read.lock, Resource: try.Resource, Now: s.clock.Now(),
	}
	if refused := situation.At(admission.BeforePassword); refused.Err() != nil {
		return session.Granted{}, s.withSetPasswordMail(ctx, situation, refused.Err())
	}
	result, fresh, err := s.compareAt(ctx, p, read.account, try.Password)
	if err != nil {
		return session.Granted{}, err // the caller left, or the pool is overloaded: nothing is decided or counted
	}
	ctx, cancel := database.Detached(ctx)
	defer cancel()
	refused := situation.At(admission.AfterPassword)
	if !result.Match || refused.Code() == fault.IncorrectCredentials {
		return session.Granted{}, s.countFailure(ctx, p, try, read.digest)
	}
	if err := refused.Err(); err != nil {
		return session.Granted{}, s.unlessLocked(ctx, p, lockout.Login, read.digest, err)
	}
	granted, err := s.start(ctx, p, try, read)
	if err == nil && result.Outdated {
		s.rehash(ctx, p, read.account, try.Password, fresh)
	}
	return granted, err
}

// compareAt compares the password of a login. At a private portal the work depends on the portal and never on the
// account: each kind of hash that the portal has is computed for every try. fresh is then the hash that replaces an
// outdated one.
func (s *Service) compareAt(
	ctx context.Context, p *portal.Portal, a *account.Account, secret string,
) (result password.Result, fresh string, err error) {
	if !p.Private() {
		result, err = s.compare(ctx, p, a, secret)
		return result, "", err
	}
	tried := password.Equal{Password: secret}
	if a != nil {
		tried.Stored = a.PasswordHash
	}
	if tried.Kinds, err = s.repo.hashKinds(ctx, p.ID); err != nil {
		return password.Result{}, "", err
	}
	result, fresh, err = s.pool.For(p.ID).VerifyEqual(ctx, tried)
	if errors.Is(err, password.ErrUnreadable) {
		s.log.ErrorContext(ctx, "stored password hash is unreadable", "account", a.ID)
		return password.Result{}, "", nil
	}
	return result, fresh, err
}

// withSetPasswordMail mails the link to set a password if the refusal is that there is none, as the lookup does, and
// adds the receipt of that mail to the refusal.
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

// unlessLocked returns refusal, unless a lock came while the hash was computed. The lock comes first: otherwise
// concurrent logins could find a right password after any number of wrong ones.
func (s *Service) unlessLocked(
	ctx context.Context, p *portal.Portal, kind lockout.Kind, of digest.Digest, refusal error,
) error {
	state, err := s.lockouts.Get(ctx, p.ID, kind, of)
	if err != nil {
		return err
	}
	if locked := s.locked(p, state); locked != nil {
		return locked
	}
	return refusal
}

// locked is the refusal of a lock; nil when it refuses nothing.
func (s *Service) locked(p *portal.Portal, state lockout.State) error {
	return admission.Situation{Portal: p, Lock: state, Now: s.clock.Now()}.At(admission.OwnPassword).Err()
}

// compare hashes once, also without an account or a password to compare with.
func (s *Service) compare(
	ctx context.Context, p *portal.Portal, a *account.Account, secret string,
) (password.Result, error) {
	if a == nil || !a.HasPassword() {
		return password.Result{}, s.pool.For(p.ID).VerifyAbsent(ctx, secret)
	}
	result, err := s.pool.For(p.ID).Verify(ctx, secret, a.PasswordHash)
	if errors.Is(err, password.ErrUnreadable) {
		s.log.ErrorContext(ctx, "stored password hash is unreadable", "account", a.ID)
		return password.Result{}, nil
	}
	return result, err
}

// start begins the session if no lock came meanwhile. If there were failures it clears them in the same transaction,
// which is rolled back if a lock came first. The session is written before the count is cleared: its foreign key
// locks the account, and accounts are locked before counts.
func (s *Service) start(
	ctx context.Context, p *portal.Portal, try Attempt, read facts,
) (granted session.Granted, err error) {
	begin := session.Begin{
		Methods: []string{session.Password}, Transport: try.Transport, DeviceName: try.DeviceName, Guarded: read.digest,
	}
	end, clean := s.lockouts.Succeed, read.lock.Clean()
	if p.Private() { // the failures of the window stay
		end, clean = s.lockouts.EndRun, !read.lock.HasRun()
	}
	if clean {
		return s.sessions.Start(ctx, p, read.account, begin)
	}
	err = s.db.InTx(ctx, func(ctx context.Context) error {
		if granted, err = s.sessions.Start(ctx, p, read.account, begin); err != nil {
			return err
		}
		cleared, err := end(ctx, p.ID, lockout.Login, read.digest, s.clock.Now())
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

// countFailure counts a wrong password. It returns how many tries are left, or that the lock came first.
func (s *Service) countFailure(ctx context.Context, p *portal.Portal, try Attempt, addressDigest digest.Digest) error {
	now := s.clock.Now()
	state, counted, err := s.lockouts.Fail(ctx, p.ID, lockout.Failure{
		Kind: lockout.Login, Digest: addressDigest, Rules: p.Lockout, At: now,
	})
	if err != nil {
		return err
	}
	if !counted {
		return s.locked(p, state)
	}
	left := state.Remaining(p.Lockout, now)
	f := fault.New(fault.IncorrectCredentials).With("attempts_remaining", left)
	if left == 0 {
		f.Cause = ErrLockBegan
	}
	if p.Private() {
		f = f.With("attempts_remaining", nil)
	}
	if hints := password.Hints(try.Password, p.PasswordMinLength); len(hints) > 0 {
		f = f.With("hints", hints)
	}
	return f
}

// rehash replaces an old or foreign hash by one with today's parameters: fresh, or else a new one. The login has
// succeeded by then, so a failure is only logged, and the next login tries again.
func (s *Service) rehash(ctx context.Context, p *portal.Portal, a *account.Account, secret, fresh string) {
	hash, err := fresh, error(nil)
	if fresh == "" {
		hash, err = s.pool.For(p.ID).Hash(ctx, secret)
	}
	if err == nil {
		err = s.accounts.Rehash(ctx, p.ID, a.ID, a.PasswordHash, hash)
	}
	if err != nil {
		s.log.WarnContext(ctx, "password not rehashed", "account", a.ID, "error", err)
	}
}

// decided reports whether the login was decided. An overloaded or unavailable server decides nothing.
func decided(err error) bool {
	var f *fault.Error
	return err == nil || (errors.As(err, &f) && f.Code != fault.Overloaded && f.Code != fault.Unavailable)
}

// record writes the outcome of a login to the audit trail. The outcome is decided and counted by then, so a failure
// to record it is only logged.
func (s *Service) record(ctx context.Context, p *portal.Portal, read facts, outcome error) {
	if !decided(outcome) {
		return
	}
	event := audit.OfAddress(p.ID, audit.Login, read.digest).Failed(outcome)
	if read.account != nil {
		event = event.WithAccount(read.account.ID)
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
}

// waitUntil waits for a moment, or until ctx ends.
func waitUntil(ctx context.Context, moment time.Time) {
	timer := time.NewTimer(time.Until(moment))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
