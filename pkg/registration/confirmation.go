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

// Verify says whether a secret is good. Errors: onetime's.
func (s *Service) Verify(ctx context.Context, p *portal.Portal, presented challenge.Credential) (Verified, error) {
	checked, err := s.mail.Check(ctx, p, confirming(presented))
	return Verified{checked.Email, checked.ExpiresAt}, err
}

// confirming is a credential presented to confirm an address.
func confirming(c challenge.Credential) challenge.Presented {
	return challenge.Presented{Credential: c, Purpose: onetime.Confirmation, Event: audit.Confirmation}
}

// Confirm proves the mailbox, which makes a registration an account, and gives the next step. Errors: onetime's.
func (s *Service) Confirm(
	ctx context.Context, p *portal.Portal, presented challenge.Credential,
) (next admission.Next, err error) {
	now := s.clock.Now()
	err = s.mail.Redeem(ctx, p, confirming(presented), challenge.Redemption{
		Apply: func(ctx context.Context, a *account.Account, checked onetime.Checked) error {
			if err := s.accounts.Confirm(ctx, p.ID, a, checked.SecurityStamp, now); err != nil {
				return err
			}
			a.Confirmed = &now
			next = admission.Situation{Portal: p, Account: a, Now: now}.NextOfOwner()
			return s.audit.Record(ctx, audit.OfAccount(p.ID, audit.Confirmation, a.ID, checked.EmailDigest))
		},
	})
	return next, err
}
