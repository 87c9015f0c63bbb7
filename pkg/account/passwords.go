package account

import (
	"context"

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

// Set checks a new password and returns its hash. Errors: password_rejected with reasons, overloaded.
func (w *Passwords) Set(ctx context.Context, p *portal.Portal, address email.Address, secret string) (string, error) {
	reasons := w.policy.Check(ctx, secret, password.Facts{
		MinLength: p.PasswordMinLength, Email: address.Canonical(), PortalName: p.Name,
	})
	if len(reasons) > 0 {
		return "", fault.New(fault.PasswordRejected).With("reasons", reasons)
	}
	return w.pool.For(p.ID).Hash(ctx, secret)
}
