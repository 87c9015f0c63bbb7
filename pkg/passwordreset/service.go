// Package passwordreset lets a person who can read the mailbox set a password: a new one, or their first.
package passwordreset

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/admission"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/challenge"
	"github.com/latchkey-auth/latchkey/pkg/clock"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/lockout"
	"github.com/latchkey-auth/latchkey/pkg/onetime"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// The variants of a secret. They share one purpose, so that the newest of either supersedes all others.
const (
	Reset = "reset"
	Set   = "set" // for an account that has no password yet
)

// Service resets and sets passwords.
type Service struct {
	accounts  *account.Repository
	lockouts  *lockout.Repository
	passwords *account.Passwords
	secrets   *onetime.Service
	mail      *challenge.Service
	messages  *delivery.Service
	audit     *audit.Recorder
	digests   *digest.Digester
	clock     clock.Clock
}

// Dependencies are what NewService needs. All are required.
type Dependencies struct {
	Accounts  *account.Repository
	Lockouts  *lockout.Repository
	Passwords *account.Passwords
	Secrets   *onetime.Service
	Mail      *challenge.Service
	Messages  *delivery.Service
	Audit     *audit.Recorder
	Digests   *digest.Digester
	Now       clock.Clock
}

// NewService makes a service of its dependencies.
func NewService(with Dependencies) *Service {
	return &Service{
		accounts: with.Accounts, lockouts: with.Lockouts, passwords: with.Passwords, secrets: with.Secrets,
		mail: with.Mail, messages: with.Messages, audit: with.Audit, digests: with.Digests, clock: with.Now,
	}
}

// Issue mails a person a link and a code that set a password.
//
// Errors: email_not_found, account_disabled (open portals); resend_too_soon.
func (s *Service) Issue(ctx context.Context, p *portal.Portal, address email.Address) (challenge.Issued, error) {
	a, err := s.accounts.ByEmail(ctx, p.ID, address)
	if errors.Is(err, database.ErrNotFound) {
		a, err = nil, nil
	}
	if err != nil {
		return challenge.Issued{}, err
	}
	answer := admission.Situation{Portal: p, Address: address, Account: a, Now: s.clock.Now()}.At(admission.RequestReset)
	if err := answer.Err(); err != nil {
		return challenge.Issued{}, err
	}
	if answer.Silent() {
		a = nil
	}
	return s.issue(ctx, p, address, a)
}

// IssueAgain mails a new secret to the address that an older link was sent to.
//
// Errors: Issue's, token_invalid, token_expired.
func (s *Service) IssueAgain(ctx context.Context, p *portal.Portal, token string) (challenge.Issued, error) {
	a, err := s.mail.Addressee(ctx, p, onetime.Password, token)
	if err != nil {
		return challenge.Issued{}, err
	}
	situation := admission.Situation{Portal: p, Address: a.Email, Account: a, Now: s.clock.Now()}
	if err := situation.At(admission.UseSecret).Err(); err != nil {
		return challenge.Issued{}, err
	}
	return s.issue(ctx, p, a.Email, a)
}

// Outstanding is the set-password mail of an account without a password: the one whose secret is still good, or else
// a new one. It is nil when the cool-down forbids a new one.
func (s *Service) Outstanding(ctx context.Context, p *portal.Portal, a *account.Account) (*delivery.Receipt, error) {
	receipt, err := s.onItsWay(ctx, p, a)
	if receipt != nil || err != nil {
		return receipt, err
	}
	issued, err := s.issue(ctx, p, a.Email, a)
	if fault.CodeOf(err) == fault.ResendTooSoon {
		return s.onItsWay(ctx, p, a) // a concurrent call may have issued one
	}
	return &issued.Receipt, err
}

// AfterProof mails a person who just proved the mailbox, and has no password, the link to set one. It has a cool-down of
// its own, so that nobody else can hold it back. It is nil when that forbids a new mail.
func (s *Service) AfterProof(ctx context.Context, p *portal.Portal, id ids.Account) (*delivery.Receipt, error) {
	a, err := s.accounts.ByID(ctx, p.ID, id) // the proof changed its security stamp
	if err != nil {
		return nil, err
	}
	mail := requestOf(p, a.Email, a)
	mail.ByAdministrator = true
	issued, err := s.mail.Issue(ctx, p, mail)
	if fault.CodeOf(err) == fault.ResendTooSoon {
		return s.Outstanding(ctx, p, a)
	}
	return &issued.Receipt, err
}

// onItsWay is the receipt of the mail whose secret is still good; nil for none.
func (s *Service) onItsWay(ctx context.Context, p *portal.Portal, a *account.Account) (*delivery.Receipt, error) {
	outstanding, ok, err := s.secrets.Outstanding(ctx, p.ID, onetime.Password, s.digests.OfEmail(p.ID, a.Email))
	if !ok || err != nil {
		return nil, err
	}
	receipt, err := s.messages.Receipt(ctx, p, outstanding.DeliveryID)
	if fault.CodeOf(err) == fault.NotFound {
		return nil, nil
	}
	return &receipt, err
}

func (s *Service) issue(
	ctx context.Context, p *portal.Portal, address email.Address, a *account.Account,
) (challenge.Issued, error) {
	issued, err := s.mail.Issue(ctx, p, requestOf(p, address, a))
	if p.Private() {
		issued.ExpiresIn = p.ResetTTL.Duration() // the same for everyone
	}
	return issued, err
}

// requestOf is a mail that resets a password, or sets the first.
func requestOf(p *portal.Portal, address email.Address, a *account.Account) challenge.Request {
	mail := challenge.Request{
		Address: address, Account: a, Purpose: onetime.Password, Variant: Reset, Kind: delivery.ResetPassword,
		TTL: p.ResetTTL.Duration(), Event: audit.ResetRequested,
	}
	if a != nil && !a.HasPassword() {
		mail.Variant, mail.Kind, mail.TTL = Set, delivery.SetPassword, p.SetPasswordTTL.Duration()
	}
	return mail
}

// Verified describes a secret that is good.
type Verified struct {
	Email     string
	Variant   string
	ExpiresAt time.Time
}

// Verify says whether a secret is good. Errors: onetime's.
func (s *Service) Verify(ctx context.Context, p *portal.Portal, presented challenge.Credential) (Verified, error) {
	checked, err := s.mail.Check(ctx, p, redeeming(presented))
	return Verified{checked.Email, checked.Variant, checked.ExpiresAt}, err
}

// redeeming is a credential presented to set a password.
func redeeming(c challenge.Credential) challenge.Presented {
	return challenge.Presented{Credential: c, Purpose: onetime.Password, Event: audit.ResetRedeemed}
}

// Redeem sets the password. The address counts as confirmed, and the lock and all sessions end.
//
// Errors: onetime's; password_rejected, which consumes nothing.
func (s *Service) Redeem(ctx context.Context, p *portal.Portal, presented challenge.Credential, secret string) error {
	var hash string
	return s.mail.Redeem(ctx, p, redeeming(presented), challenge.Redemption{
		Prepare: func(a *account.Account) (err error) {
			hash, err = s.passwords.Set(ctx, p, a.Email, secret)
			return err
		},
		Apply: func(ctx context.Context, a *account.Account, checked onetime.Checked) error {
			return s.setPassword(ctx, p, a, checked.SecurityStamp, hash)
		},
	})
}

// setPassword sets the password of a person who proved the mailbox. The new security stamp ends every session and
// secret made before the proof.
func (s *Service) setPassword(
	ctx context.Context, p *portal.Portal, a *account.Account, stamp uuid.UUID, hash string,
) error {
	set := account.NewPassword{Hash: hash, Stamp: stamp, Now: s.clock.Now()}
	if err := s.accounts.ResetPassword(ctx, p.ID, a, set); err != nil {
		return err
	}
	addressDigest := s.digests.OfEmail(p.ID, a.Email)
	if err := s.lockouts.Forget(ctx, p.ID, lockout.Login, addressDigest); err != nil {
		return err
	}
	if err := s.lockouts.Forget(ctx, p.ID, lockout.CurrentPassword, s.digests.OfAccount(p.ID, a.ID)); err != nil {
		return err
	}
	if err := s.messages.SendPasswordChanged(ctx, p, a); err != nil {
		return err
	}
	return s.audit.Record(ctx, audit.OfAccount(p.ID, audit.ResetRedeemed, a.ID, addressDigest))
}
