// Package challenge issues one-time secrets together with the messages that carry them, and redeems them together
// with what they are for: each in one transaction.
package challenge

import (
	"cmp"
	"context"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/onetime"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// Service issues secrets by mail, and redeems them.
type Service struct {
	db       *database.DB
	accounts *account.Repository
	secrets  *onetime.Service
	messages *delivery.Service
	audit    *audit.Recorder
	digests  *digest.Digester
}

// Dependencies are what NewService needs. All are required.
type Dependencies struct {
	DB       *database.DB
	Accounts *account.Repository
	Secrets  *onetime.Service
	Messages *delivery.Service
	Audit    *audit.Recorder
	Digests  *digest.Digester
}

// NewService makes a service of its dependencies.
func NewService(with Dependencies) *Service {
	return &Service{
		db: with.DB, accounts: with.Accounts, secrets: with.Secrets, messages: with.Messages, audit: with.Audit,
		digests: with.Digests,
	}
}

// Request is a secret to be issued.
type Request struct {
	Address email.Address
	Account *account.Account // nil for none: the same rows are written, and nothing is sent
	// Invitation is set for a message that carries the code of an invitation instead of the secret. Then may fill it.
	Invitation *delivery.Invitation
	Purpose    onetime.Purpose
	Variant    string
	Kind       delivery.Kind
	TTL        time.Duration
	Locale     string // "" for the account's, or else the portal's
	Event      audit.Type
	// ByAdministrator is set when an administrator sends it: the person's cool-down and caps are not touched.
	ByAdministrator bool
	// Then writes what belongs to the secret. It runs after the secret is written and before the message is, because
	// rows are locked in that order. Its argument is the id of the message. Nil for nothing.
	Then func(ctx context.Context, messageID ids.Delivery) error
}

// Issued is the answer to a Request.
type Issued struct {
	Receipt     delivery.Receipt
	ResendAfter time.Duration // how long until the next one may be asked for
	ExpiresIn   time.Duration
}

// Issue issues a secret, which supersedes the older ones, and its message.
//
// Errors: resend_too_soon, and those of Then; nothing is issued then.
func (s *Service) Issue(ctx context.Context, p *portal.Portal, m Request) (Issued, error) {
	id, err := ids.New[ids.Delivery]()
	if err != nil {
		return Issued{}, err
	}
	addressDigest := s.digests.OfEmail(p.ID, m.Address)
	request := onetime.IssueRequest{
		Purpose: m.Purpose, EmailDigest: addressDigest, Variant: m.Variant, TTL: m.TTL, DeliveryID: id,
		ByAdministrator: m.ByAdministrator, Private: p.Private(),
	}
	locale, accountID := m.Locale, ids.Account{}
	if m.Account != nil {
		request.Account = &onetime.Account{
			ID: m.Account.ID, SecurityStamp: m.Account.SecurityStamp, LastLogin: m.Account.LastLoginAt,
		}
		locale, accountID = cmp.Or(locale, m.Account.Locale), m.Account.ID
	}
	var issued Issued
	err = s.db.InTx(ctx, func(ctx context.Context) error {
		secret, err := s.secrets.Issue(ctx, p.ID, request)
		if err != nil {
			return err
		}
		if m.Then != nil {
			if err := m.Then(ctx, id); err != nil {
				return err
			}
		}
		network := audit.CallerOf(ctx).Network
		if m.ByAdministrator {
			network = "" // an administrator's network is not kept with the person's mail
		}
		receipt, err := s.messages.Send(ctx, p, delivery.Message{
			ID: id, Kind: m.Kind, Account: m.Account, Invitation: m.Invitation, Address: m.Address,
			Typed:   m.Address.Typed(),
			Purpose: string(m.Purpose), EmailDigest: addressDigest, Generation: secret.Generation, Locale: locale,
			Network: network, ByAdministrator: m.ByAdministrator,
		})
		issued = Issued{Receipt: receipt, ResendAfter: secret.ResendAfter, ExpiresIn: m.TTL}
		if err != nil {
			return err
		}
		return s.audit.Record(ctx, event(p, m, addressDigest, accountID))
	})
	if fault.CodeOf(err) == fault.ResendTooSoon {
		if m.Then != nil {
			accountID = ids.Account{} // the transaction that made the account was rolled back
		}
		if recordErr := s.audit.Record(ctx, event(p, m, addressDigest, accountID).Failed(err)); recordErr != nil {
			return Issued{}, recordErr
		}
	}
	return issued, err
}

func event(p *portal.Portal, m Request, addressDigest digest.Digest, accountID ids.Account) audit.Event {
	event := audit.OfAccount(p.ID, m.Event, accountID, addressDigest)
	if m.Invitation != nil {
		event = event.WithTarget(audit.InvitationTarget(m.Invitation.ID))
	}
	return event
}
