// Package administration changes accounts for administrators, with all that follows from a change in other packages.
package administration

import (
	"context"
	"slices"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/apikey"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// Dependencies are what a Service is made of.
type Dependencies struct {
	Accounts *account.Service
	APIKeys  *apikey.Service
}

// Service changes accounts for administrators.
type Service struct {
	accounts *account.Service
	apiKeys  *apikey.Service
}

// NewService makes a Service.
func NewService(with Dependencies) *Service {
	return &Service{accounts: with.Accounts, apiKeys: with.APIKeys}
}

// Change makes an administrator's changes to an account, in one transaction with what follows from them: the API keys of
// a person who is no administrator any more end.
//
// Errors: those of account.Service.Change.
func (s *Service) Change(
	ctx context.Context, p *portal.Portal, id ids.Account, c account.Changes,
) (*account.Account, error) {
	c.Then = func(ctx context.Context, before, after *account.Account) error {
		if !administers(before) || administers(after) {
			return nil
		}
		return s.apiKeys.RevokeOf(ctx, p.ID, id)
	}
	return s.accounts.Change(ctx, p, id, c)
}

func administers(a *account.Account) bool {
	return a.Disabled == nil && slices.Contains(a.Roles, account.AdminRole)
}
