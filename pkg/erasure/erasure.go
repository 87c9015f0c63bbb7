// Package erasure deletes a person, or a whole portal, in one transaction. Its tests compare it with the schema: a new
// table with data of a person or a portal fails them until it is dealt with here.
package erasure

import (
	"context"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/apikey"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/invitation"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// Dependencies are the services that a Service is made of.
type Dependencies struct {
	DB          *database.DB
	Portals     *portal.Service
	Accounts    *account.Service
	APIKeys     *apikey.Service
	Invitations *invitation.Service
	Messages    *delivery.Service
}

// Service deletes people and portals.
type Service struct {
	db          *database.DB
	portals     *portal.Service
	accounts    *account.Service
	apiKeys     *apikey.Service
	invitations *invitation.Service
	messages    *delivery.Service
}

// NewService makes a Service.
func NewService(with Dependencies) *Service {
	return &Service{with.DB, with.Portals, with.Accounts, with.APIKeys, with.Invitations, with.Messages}
}

// Account deletes a person. Rows are locked in the order in which the rest of the program locks them: invitation,
// account, session, delivery.
//
//   - The person's invitations keep only what their codes are recognized by.
//   - The account and its sessions are deleted.
//   - API keys that the person made are deleted.
//   - Messages keep their status, for receipts, but no longer lead to the person. Queued ones are not sent.
//
// The owner gets a notice of the deletion. Its row holds the address, sealed, until it is sent.
//
// One-time secrets, counts of wrong passwords and audit events stay until they are swept. They hold the account's id
// and keyed digests of the address.
//
// Errors: not_found.
func (s *Service) Account(ctx context.Context, p *portal.Portal, id ids.Account) error {
	return s.db.InTx(ctx, func(ctx context.Context) error {
		a, err := s.accounts.Get(ctx, p, id)
		if err != nil {
			return err
		}
		if err := s.messages.SendNotice(ctx, p, delivery.AccountDeleted, a); err != nil {
			return err
		}
		invited, err := s.invitations.Forget(ctx, p, a)
		if err != nil {
			return err
		}
		if err := s.accounts.Erase(ctx, p, a); err != nil {
			return err
		}
		if err := s.messages.Forget(ctx, p, id, invited); err != nil {
			return err
		}
		return s.apiKeys.RevokeOf(ctx, p.ID, id)
	})
}

// Portal deletes a portal and all of its data. What stays is a row that keeps its slug from being used again, and the
// event of the deletion, which belongs to the installation.
//
// Errors: organization_not_found.
func (s *Service) Portal(ctx context.Context, slug string) error {
	err := s.db.InTx(ctx, func(ctx context.Context) error {
		p, err := s.portals.Retire(ctx, slug)
		if err != nil {
			return err
		}
		return deleteRows(ctx, s.db, p.ID)
	})
	if err == nil {
		s.portals.Uncache(slug) // after the commit: until then another request would cache it again
	}
	return err
}
