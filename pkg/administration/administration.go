// Package administration changes accounts for administrators, with all that follows from a change in other packages.
package administration

import (
	"context"
	"slices"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/apikey"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/challenge"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/onetime"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// Dependencies are what a Service is made of.
type Dependencies struct {
	Accounts *account.Service
	APIKeys  *apikey.Service
	Messages *delivery.Service
	Mail     *challenge.Service
}

// Service changes accounts for administrators.
type Service struct {
	accounts *account.Service
	apiKeys  *apikey.Service
	messages *delivery.Service
	mail     *challenge.Service
}

// NewService makes a Service.
func NewService(with Dependencies) *Service {
	return &Service{accounts: with.Accounts, apiKeys: with.APIKeys, messages: with.Messages, mail: with.Mail}
}

// Change makes an administrator's changes to an account, with what follows from them:
//
//   - The owner gets a security notice of a new address, a new password and a changed confirmation, at the address that
//     the account had before. So an administrator's key that was stolen cannot take an account over without a word.
//   - A new address that is not confirmed gets a confirmation.
//   - The API keys of a person who is no administrator any more end.
//
// Errors: those of account.Service.Change.
func (s *Service) Change(
	ctx context.Context, p *portal.Portal, id ids.Account, c account.Changes,
) (*account.Account, error) {
	var unproved bool
	c.Then = func(ctx context.Context, before, after *account.Account) error {
		for _, kind := range notices(before, after) {
			if err := s.messages.SendNotice(ctx, p, kind, before); err != nil {
				return err
			}
		}
		unproved = moved(before, after) && after.Confirmed == nil && after.Disabled == nil
		if administers(before) && !administers(after) {
			return s.apiKeys.RevokeOf(ctx, p.ID, id)
		}
		return nil
	}
	changed, err := s.accounts.Change(ctx, p, id, c)
	if err == nil && unproved { // after the commit, because secrets are locked before accounts
		err = s.sendConfirmation(ctx, p, changed)
	}
	return changed, err
}

// notices lists the security notices of a change. An unverified registration has no owner yet who could be told of more
// than the loss of the address.
func notices(before, after *account.Account) (kinds []delivery.Kind) {
	if moved(before, after) {
		kinds = append(kinds, delivery.EmailChanged)
	}
	if before.UnverifiedSince != nil {
		return kinds
	}
	if before.PasswordHash != after.PasswordHash {
		kinds = append(kinds, delivery.PasswordChanged)
	}
	if !moved(before, after) && (before.Confirmed == nil) != (after.Confirmed == nil) {
		kinds = append(kinds, delivery.ConfirmationChanged)
	}
	return kinds
}

// sendConfirmation mails a confirmation to an account's new address. Within the cool-down of that address nothing is
// sent: the person can ask for another one.
func (s *Service) sendConfirmation(ctx context.Context, p *portal.Portal, a *account.Account) error {
	_, err := s.mail.Issue(ctx, p, challenge.Request{
		Address: a.Email, Account: a, Purpose: onetime.Confirmation, Kind: delivery.Confirm,
		TTL: p.ConfirmationTTL.Duration(), Event: audit.ConfirmationRequested, ByAdministrator: true,
	})
	if fault.CodeOf(err) == fault.ResendTooSoon {
		return nil
	}
	return err
}

func moved(before, after *account.Account) bool {
	return before.Email.Canonical() != after.Email.Canonical()
}

func administers(a *account.Account) bool {
	return a.Disabled == nil && slices.Contains(a.Roles, account.AdminRole)
}
