package login

import (
	"context"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/lockout"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// LockStatus is the state of the lock of an address, whether or not the address has an account.
type LockStatus struct {
	LockedUntil *time.Time    // nil when not locked
	RetryAfter  time.Duration // zero when not locked
	Failed      int
	Remaining   int
}

// LockStatus reads the state of the lock of an address.
func (s *Service) LockStatus(ctx context.Context, p *portal.Portal, address email.Address) (LockStatus, error) {
	state, err := s.lockouts.Get(ctx, p.ID, lockout.Login, s.digests.OfEmail(p.ID, address))
	if err != nil {
		return LockStatus{}, err
	}
	now := s.clock.Now()
	status := LockStatus{Failed: state.Failed(p.Lockout, now), Remaining: state.Remaining(p.Lockout, now)}
	if until, locked := state.Locked(now); locked {
		status.LockedUntil, status.RetryAfter = &until, until.Sub(now)
	}
	return status, nil
}

// LockedUntil gives the ends of the locks of those accounts that are locked, by id.
func (s *Service) LockedUntil(
	ctx context.Context, p *portal.Portal, accounts ...*account.Account,
) (map[ids.Account]time.Time, error) {
	digests := make([]digest.Digest, len(accounts))
	for i, a := range accounts {
		digests[i] = s.digests.OfEmail(p.ID, a.Email)
	}
	byDigest, err := s.lockouts.LockedUntil(ctx, p.ID, lockout.Login, digests, s.clock.Now())
	if err != nil {
		return nil, err
	}
	locked := make(map[ids.Account]time.Time, len(byDigest))
	for i, a := range accounts {
		if until, ok := byDigest[digests[i]]; ok {
			locked[a.ID] = until
		}
	}
	return locked, nil
}

// Unlock is what an administrator does: it ends the locks of an account and forgets their counts, doubling included. It
// forgets wrong codes too, so that the next code is short.
func (s *Service) Unlock(ctx context.Context, p *portal.Portal, a *account.Account) error {
	addressDigest := s.digests.OfEmail(p.ID, a.Email)
	return s.db.InTx(ctx, func(ctx context.Context) error {
		if err := s.secrets.ForgetWrongCodes(ctx, p.ID, addressDigest); err != nil {
			return err
		}
		if err := s.lockouts.Forget(ctx, p.ID, lockout.Login, addressDigest); err != nil {
			return err
		}
		if err := s.lockouts.Forget(ctx, p.ID, lockout.CurrentPassword, s.digests.OfAccount(p.ID, a.ID)); err != nil {
			return err
		}
		return s.audit.Record(ctx, audit.OfAccount(p.ID, audit.AccountUnlocked, a.ID, addressDigest))
	})
}
