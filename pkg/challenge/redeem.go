package challenge

import (
	"context"
	"errors"
	"slices"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/admission"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/onetime"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// Credential is a secret as a person presents it: the token of a link, or a typed code with the address that it was
// sent to.
type Credential struct {
	Token string
	Email email.Address
	Code  string
}

// inLedger is a credential in the terms of the ledger.
func (s *Service) inLedger(p *portal.Portal, c Credential) onetime.Credential {
	if c.Token != "" {
		return onetime.Credential{Token: c.Token, Private: p.Private()}
	}
	return onetime.Credential{EmailDigest: s.digests.OfEmail(p.ID, c.Email), Code: c.Code, Private: p.Private()}
}

// recordedFaults are the refusals of a secret that go to the audit trail.
var recordedFaults = []fault.Code{
	fault.TokenInvalid, fault.TokenUsed, fault.TokenSuperseded, fault.TokenExpired, fault.AccountDisabled,
	fault.CodeAttemptsExhausted,
}

// Presented is a secret of one purpose that a person presents. Event is the type of audit event that a refusal is
// recorded as.
type Presented struct {
	Credential

	Purpose onetime.Purpose
	Event   audit.Type
}

// Check says whether a secret is good. It records a refusal, unless the token belongs to no address. Errors:
// onetime's.
func (s *Service) Check(ctx context.Context, p *portal.Portal, presented Presented) (onetime.Checked, error) {
	checked, err := s.secrets.Check(ctx, p.ID, presented.Purpose, s.inLedger(p, presented.Credential))
	return checked, s.refused(ctx, p, presented.Event, checked, err)
}

// Redemption is what redeeming a secret does.
type Redemption struct {
	// Prepare does what is slow, before the transaction, such as hashing a password. Nil for nothing.
	Prepare func(*account.Account) error
	// Apply writes what the secret is for, in the transaction that consumes it. A database.ErrNotFound means that the
	// account changed meanwhile.
	Apply func(context.Context, *account.Account, onetime.Checked) error
}

// Redeem consumes a secret and does what it is for, in one transaction, so that nothing is done twice or by halves.
//
// Errors: Check's, and those of Prepare and Apply.
func (s *Service) Redeem(ctx context.Context, p *portal.Portal, presented Presented, do Redemption) error {
	checked, err := s.Check(ctx, p, presented)
	if err != nil {
		return err
	}
	a, err := s.accounts.ByID(ctx, p.ID, checked.AccountID)
	if err == nil && do.Prepare != nil {
		if err := do.Prepare(a); err != nil {
			return err
		}
	}
	if err == nil {
		err = s.db.InTx(ctx, func(ctx context.Context) error {
			if err := s.secrets.Consume(ctx, p.ID, presented.Purpose, checked); err != nil {
				return err
			}
			return do.Apply(ctx, a, checked)
		})
	}
	if errors.Is(err, database.ErrNotFound) {
		err = fault.New(fault.TokenExpired)
	}
	return s.refused(ctx, p, presented.Event, checked, err)
}

// refused records why a secret was refused, and returns the reason as the portal tells it.
func (s *Service) refused(
	ctx context.Context, p *portal.Portal, event audit.Type, checked onetime.Checked, reason error,
) error {
	if code := fault.CodeOf(reason); code == fault.AccountDisabled {
		reason = admission.Situation{Portal: p}.Told(admission.UseSecret, code)
	}
	if checked.EmailDigest == (digest.Digest{}) || !slices.Contains(recordedFaults, fault.CodeOf(reason)) {
		return reason
	}
	refusal := audit.OfAccount(p.ID, event, checked.AccountID, checked.EmailDigest).Failed(reason)
	if err := s.audit.Record(ctx, refusal); err != nil {
		return err
	}
	return reason
}

// Addressee is the account that an older token was sent to, whether or not the token is still good. It answers an
// "expired link" page, which has nothing but the token.
//
// Errors: token_invalid; token_expired when nothing is known of it any more.
func (s *Service) Addressee(
	ctx context.Context, p *portal.Portal, purpose onetime.Purpose, token string,
) (*account.Account, error) {
	id, addressDigest, err := s.secrets.AccountOf(ctx, p.ID, purpose, token)
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
	if addressDigest != s.digests.OfEmail(p.ID, a.Email) {
		return nil, fault.New(fault.TokenExpired) // it was sent to an address that the account no longer has
	}
	return a, nil
}
