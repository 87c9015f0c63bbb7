package account

import (
	"context"
	"errors"

	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/password"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// Passwords checks and hashes new passwords, by one rule for every way to set one.
type Passwords struct {
	pool   *password.Pool
	policy password.Policy
}

// NewPasswords checks by policy and hashes in pool.
func NewPasswords(pool *password.Pool, policy password.Policy) *Passwords {
	return &Passwords{pool, policy}
}

// Check says whether an account may have a new password. It hashes nothing. Errors: password_rejected with reasons.
func (w *Passwords) Check(ctx context.Context, p *portal.Portal, address email.Address, secret string) error {
	reasons := w.policy.Check(ctx, secret, password.Facts{
		MinLength: p.PasswordMinLength, Email: address.Canonical(), PortalName: p.Name,
	})
	if len(reasons) > 0 {
		return fault.New(fault.PasswordRejected).With("reasons", reasons)
	}
	return nil
}

// Set checks a new password and returns its hash. Errors: Check's; overloaded.
func (w *Passwords) Set(ctx context.Context, p *portal.Portal, address email.Address, secret string) (string, error) {
	if err := w.Check(ctx, p, address, secret); err != nil {
		return "", err
	}
	return w.pool.For(p.ID).Hash(ctx, secret)
}

// Matches reports whether a password is the account's. Errors: overloaded.
func (w *Passwords) Matches(ctx context.Context, p *portal.Portal, a *Account, secret string) (bool, error) {
	if !a.HasPassword() {
		return false, nil
	}
	result, err := w.pool.For(p.ID).Verify(ctx, secret, a.PasswordHash)
	if errors.Is(err, password.ErrUnreadable) {
		return false, nil
	}
	return result.Match, err
}
