// Package challenge issues a one-time secret and the message that carries it, in one transaction: neither is ever
// there without the other.
package challenge

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/admission"
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

// Service issues secrets by mail.
type Service struct {
	db       *database.DB
	accounts *account.Repository
	secrets  *onetime.Service
	messages *delivery.Service
	audit    *audit.Recorder
	digests  *digest.Digester
}

// Dependencies are what a Service works with.
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
		db: with.DB, accounts: with.Accounts, secrets: with.Secrets, messages: with.Messages, audit: with.Audit, digests: with.Digests,
	}
}

// Request is a secret to be issued.
type Request struct {
	Address email.Address
	Account *account.Account // nil for nobody: the same rows are written, and nothing is sent
	// Invitation is what else the message may be of: it carries its code instead of the secret. Then may fill it.
	Invitation *delivery.Invitation
	Purpose    onetime.Purpose
	Variant    string
	Kind       delivery.Kind
	TTL        time.Duration
	Locale     string // "" for the account's, or else the portal's
	Event      audit.Type
	// ByAdministrator leaves the person's cool-down and caps alone.
	ByAdministrator bool
	// Then does what belongs to the secret, after it and before the message, whose id it is told: the order in which
	// rows are locked.
	Then func(ctx context.Context, messageID ids.Delivery) error
}

// Issued is what the person is told.
type Issued struct {
	Receipt     delivery.Receipt
	ResendAfter time.Duration
	ExpiresIn   time.Duration
}

// Issue issues a secret, which supersedes the older ones, and its message.
//
// Errors: resend_too_soon, and what Then answers; nothing is issued then.
func (s *Service) Issue(ctx context.Context, p *portal.Portal, m Request) (Issued, error) {
	id, err := ids.New[ids.Delivery]()
	if err != nil {
		return Issued{}, err
	}
	subject := s.digests.OfEmail(p.ID, m.Address)
	wanted := onetime.IssueRequest{
		Purpose: m.Purpose, EmailDigest: subject, Variant: m.Variant, TTL: m.TTL, DeliveryID: id,
		ByAdministrator: m.ByAdministrator,
	}
	locale, accountID := m.Locale, ids.Account{}
	if m.Account != nil {
		wanted.Account = &onetime.Account{ID: m.Account.ID, SecurityStamp: m.Account.SecurityStamp}
		locale, accountID = cmp.Or(locale, m.Account.Locale), m.Account.ID
	}
	var issued Issued
	err = s.db.InTx(ctx, func(ctx context.Context) error {
		secret, err := s.secrets.Issue(ctx, p.ID, wanted)
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
			network = "" // where he sat is nothing to keep with the person's mail
		}
		receipt, err := s.messages.Send(ctx, p, delivery.Message{
			ID: id, Kind: m.Kind, Account: m.Account, Invitation: m.Invitation, Typed: m.Address.Typed(),
			Purpose: string(m.Purpose), EmailDigest: subject, Generation: secret.Generation, Locale: locale,
			Network: network,
		})
		issued = Issued{Receipt: receipt, ResendAfter: secret.ResendAfter, ExpiresIn: m.TTL}
		if err != nil {
			return err
		}
		return s.audit.Record(ctx, event(p, m, subject, accountID))
	})
	if fault.CodeOf(err) == fault.ResendTooSoon {
		if m.Then != nil {
			accountID = ids.Account{} // of an account that was not made
		}
		if recordErr := s.audit.Record(ctx, event(p, m, subject, accountID).Failed(err)); recordErr != nil {
			return Issued{}, recordErr
		}
	}
	return issued, err
}

func event(p *portal.Portal, m Request, subject digest.Digest, accountID ids.Account) audit.Event {
	event := audit.OfAccount(p.ID, m.Event, accountID, subject)
	if m.Invitation != nil {
		event = event.WithTarget(audit.InvitationTarget(m.Invitation.ID))
	}
	return event
}

// Credential is a secret as a person presents it: the token of a link, or a typed code with the address that it was sent
// to.
type Credential struct {
	Token string
	Email email.Address
	Code  string
}

// given is a credential as the ledger knows it.
func (s *Service) given(p *portal.Portal, c Credential) onetime.Credential {
	if c.Token != "" {
		return onetime.Credential{Token: c.Token}
	}
	return onetime.Credential{EmailDigest: s.digests.OfEmail(p.ID, c.Email), Code: c.Code}
}

// secretFaults are what is recorded of a secret that somebody brought.
var secretFaults = []fault.Code{
	fault.TokenInvalid, fault.TokenUsed, fault.TokenSuperseded, fault.TokenExpired, fault.AccountDisabled,
	fault.CodeAttemptsExhausted,
}

// Check says whether a secret is good, and records why not, unless it is a token of nobody's. Errors: onetime's.
func (s *Service) Check(ctx context.Context, p *portal.Portal, purpose onetime.Purpose, presented Credential, event audit.Type) (onetime.Checked, error) {
	found, err := s.secrets.Check(ctx, p.ID, purpose, s.given(p, presented))
	return found, s.refused(ctx, p, event, found, err)
}

// Redeem consumes a secret and does what it is for, in one transaction: nothing of it is done twice, or by halves. ready
// comes before that, for what takes its time.
//
// Errors: Check's, and those of ready and do. A database.ErrNotFound of do means that the account changed meanwhile.
func (s *Service) Redeem(ctx context.Context, p *portal.Portal, purpose onetime.Purpose, presented Credential, event audit.Type,
	ready func(*account.Account) error, do func(context.Context, *account.Account, onetime.Checked) error) error {
	found, err := s.Check(ctx, p, purpose, presented, event)
	if err != nil {
		return err
	}
	a, err := s.accounts.ByID(ctx, p.ID, found.AccountID)
	if err == nil && ready != nil {
		if err := ready(a); err != nil {
			return err
		}
	}
	if err == nil {
		err = s.db.InTx(ctx, func(ctx context.Context) error {
			if err := s.secrets.Consume(ctx, p.ID, purpose, found); err != nil {
				return err
			}
			return do(ctx, a, found)
		})
	}
	if errors.Is(err, database.ErrNotFound) {
		err = fault.New(fault.TokenExpired)
	}
	return s.refused(ctx, p, event, found, err)
}

// refused records why a secret was, and gives the reason back.
func (s *Service) refused(ctx context.Context, p *portal.Portal, event audit.Type, found onetime.Checked, why error) error {
	if code := fault.CodeOf(why); code == fault.AccountDisabled {
		why = admission.Situation{Portal: p}.Told(admission.UseSecret, code)
	}
	if found.EmailDigest == (digest.Digest{}) || !slices.Contains(secretFaults, fault.CodeOf(why)) {
		return why
	}
	if err := s.audit.Record(ctx, audit.OfAccount(p.ID, event, found.AccountID, found.EmailDigest).Failed(why)); err != nil {
		return err
	}
	return why
}

// Addressee is the account that an older token of ours was sent to, good or not any more: the person behind an
// "expired link" page.
//
// Errors: token_invalid; token_expired when nothing is known of it any more.
func (s *Service) Addressee(ctx context.Context, p *portal.Portal, purpose onetime.Purpose, token string) (*account.Account, error) {
	id, subject, err := s.secrets.AccountOf(ctx, p.ID, purpose, token)
	if err != nil {
		return nil, err
	}
	a, err := s.accounts.ByID(ctx, p.ID, id)
	if errors.Is(err, database.ErrNotFound) {
		return nil, fault.New(fault.TokenExpired)
	}
	if err != nil {
		return nil, err
	}
	if subject != s.digests.OfEmail(p.ID, a.Email) {
		return nil, fault.New(fault.TokenExpired) // it was sent to an address that the account no longer has
	}
	return a, nil
}
