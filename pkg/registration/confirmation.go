package registration

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/admission"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/challenge"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/onetime"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// Verified describes a secret that is good.
type Verified struct {
	Email     string
	ExpiresAt time.Time
}

// IssueConfirmation mails a new link and code.
//
// Errors: email_not_found, email_already_confirmed, account_disabled (open portals); resend_too_soon.
func (s *Service) IssueConfirmation(
	ctx context.Context, p *portal.Portal, address email.Address,
) (challenge.Issued, error) {
	a, err := s.accounts.ByEmail(ctx, p.ID, address)
	if errors.Is(err, database.ErrNotFound) {
		a, err = nil, nil
	}
	if err != nil {
		return challenge.Issued{}, err
	}
	return s.issueTo(ctx, p, address, a)
}

// IssueConfirmationAgain mails a new link and code to the address that an older link was sent to.
//
// Errors: IssueConfirmation's, token_invalid, token_expired.
func (s *Service) IssueConfirmationAgain(
	ctx context.Context, p *portal.Portal, token string,
) (challenge.Issued, error) {
	a, err := s.mail.Addressee(ctx, p, onetime.Confirmation, token)
	if err != nil {
		return challenge.Issued{}, err
	}
	return s.issueTo(ctx, p, a.Email, a)
}

func (s *Service) issueTo(
	ctx context.Context, p *portal.Portal, address email.Address, a *account.Account,
) (challenge.Issued, error) {
	situation := admission.Situation{Portal: p, Address: address, Account: a, Now: s.clock.Now()}
	answer := situation.At(admission.RequestConfirmation)
	if err := answer.Err(); err != nil {
		return challenge.Issued{}, err
	}
	if answer.Silent() {
		a = nil
	}
	return s.mail.Issue(ctx, p, challenge.Request{
		Address: address, Account: a, Purpose: onetime.Confirmation, Kind: delivery.Confirm,
		TTL: p.ConfirmationTTL.Duration(), Event: audit.ConfirmationRequested,
	})
}

// Verify says whether a secret is good. Errors: onetime's; token_superseded (contested).
func (s *Service) Verify(ctx context.Context, p *portal.Portal, presented challenge.Credential) (Verified, error) {
	checked, err := s.mail.Check(ctx, p, confirming(presented))
	return Verified{checked.Email, checked.ExpiresAt}, s.contested(ctx, p, presented, err)
}

// confirming is a credential presented to confirm an address.
func confirming(c challenge.Credential) challenge.Presented {
	return challenge.Presented{Credential: c, Purpose: onetime.Confirmation, Event: audit.Confirmation}
}

// Confirmed is the outcome of a confirmation.
type Confirmed struct {
	Next admission.Next
	// Receipt is that of the set-password mail; nil for none.
	Receipt *delivery.Receipt
}

// Confirm proves the mailbox, which makes a registration an account, and gives the next step. Nobody is given a password
// that somebody else chose: a contested registration keeps its password only if secret is that password. Otherwise the
// password and the names are dropped, and the person is mailed a link to set one. The same happens if secret is another
// password than that of an uncontested registration. secret is "" for none.
//
// Errors: onetime's; token_superseded (contested) for an older mail of a contested registration; overloaded.
func (s *Service) Confirm(
	ctx context.Context, p *portal.Portal, presented challenge.Credential, secret string,
) (Confirmed, error) {
	var (
		confirmed Confirmed
		keeps     bool
		owner     *account.Account
		now       = s.clock.Now()
	)
	err := s.mail.Redeem(ctx, p, confirming(presented), challenge.Redemption{
		Prepare: func(a *account.Account) (err error) {
			keeps, err = s.keepsPassword(ctx, p, a, secret)
			return err
		},
		Apply: func(ctx context.Context, a *account.Account, checked onetime.Checked) error {
			owner = a
			if err := s.prove(ctx, p, a, checked, keeps); err != nil {
				return err
			}
			confirmed.Next = admission.Situation{Portal: p, Account: a, Now: now}.NextOfOwner()
			return s.audit.Record(ctx, audit.OfAccount(p.ID, audit.Confirmation, a.ID, checked.EmailDigest))
		},
	})
	if err != nil {
		return Confirmed{}, s.contested(ctx, p, presented, err)
	}
	if !keeps && confirmed.Next == admission.NextSetPassword {
		// After the transaction, because secrets are locked before accounts. If it fails, the lookup mails the link.
		confirmed.Receipt, err = s.resets.AfterProof(ctx, p, owner.ID)
	}
	return confirmed, err
}

// keepsPassword reports whether confirming an account keeps its password.
func (s *Service) keepsPassword(
	ctx context.Context, p *portal.Portal, a *account.Account, secret string,
) (bool, error) {
	switch {
	case a.UnverifiedSince == nil, !a.HasPassword():
		return true, nil
	case secret == "":
		return !a.Contested(), nil
	}
	return s.passwords.Matches(ctx, p, a, secret)
}

// prove notes the proof of a mailbox, in the database and in a.
func (s *Service) prove(
	ctx context.Context, p *portal.Portal, a *account.Account, checked onetime.Checked, keeps bool,
) error {
	now := s.clock.Now()
	a.Confirmed = &now
	if keeps {
		return s.accounts.Confirm(ctx, p.ID, a, checked.SecurityStamp, now)
	}
	a.PasswordHash = ""
	return s.accounts.ConfirmAnew(ctx, p.ID, a, checked.SecurityStamp, now)
}

// contested makes a token_superseded say that the registration is contested. "Use the newest" would lead the owner of
// the mailbox to confirm a password that a stranger chose. Other errors are returned unchanged.
func (s *Service) contested(
	ctx context.Context, p *portal.Portal, presented challenge.Credential, refusal error,
) error {
	if fault.CodeOf(refusal) != fault.TokenSuperseded {
		return refusal
	}
	a, err := s.holderOfSecret(ctx, p, presented)
	if err != nil {
		return err
	}
	if a == nil || !a.Contested() {
		return refusal
	}
	told := fault.New(fault.TokenSuperseded).With("contested", true)
	told.Text = "problem.token_superseded.contested"
	return told
}

// holderOfSecret is the account that now has the address of a secret; nil for none.
func (s *Service) holderOfSecret(
	ctx context.Context, p *portal.Portal, presented challenge.Credential,
) (*account.Account, error) {
	var (
		a   *account.Account
		err error
	)
	if presented.Token != "" {
		a, err = s.mail.Addressee(ctx, p, onetime.Confirmation, presented.Token)
	} else {
		a, err = s.accounts.ByEmail(ctx, p.ID, presented.Email)
	}
	if errors.Is(err, database.ErrNotFound) || fault.CodeOf(err) == fault.TokenExpired {
		return nil, nil
	}
	return a, err
}
