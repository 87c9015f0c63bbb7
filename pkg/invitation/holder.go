package invitation

import (
	"context"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/admission"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// Holder is the account or the invitation that has an address. A member is nil for none. Both are set if the account
// is an unverified registration.
type Holder struct {
	Account *account.Account
	Waiting *Waiting
}

// Waiting is an invitation that holds its address: it was neither accepted nor deleted, and no account ended it. It
// may have expired.
type Waiting struct {
	ID        ids.Invitation
	Counter   int64
	Locale    string
	ExpiresAt time.Time

	key keyring.ID
}

// Facts is the invitation as admission sees it; nil for none.
func (w *Waiting) Facts() *admission.Invitation {
	if w == nil {
		return nil
	}
	return &admission.Invitation{ExpiresAt: w.ExpiresAt}
}

// Holder finds the holder of an address, in one statement.
func (s *Service) Holder(ctx context.Context, p *portal.Portal, address email.Address) (Holder, error) {
	return s.repo.holder(ctx, p.ID, address)
}
