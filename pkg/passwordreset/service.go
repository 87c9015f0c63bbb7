// Package passwordreset lets a person who reads the mailbox set a password: a new one, or the first.
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
	"github.com/latchkey-auth/latchkey/pkg/lockout"
	"github.com/latchkey-auth/latchkey/pkg/onetime"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// What a secret is for: both are one kind, so that the newest of either counts.
const (
	Reset = "reset"
	Set   = "set" // the first password
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

// Dependencies are what a Service works with.
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

// NewService resets passwords with the parts.
func NewService(with Dependencies) *Service {
	return &Service{
		accounts: with.Accounts, lockouts: with.Lockouts, passwords: with.Passwords, secrets: with.Secrets, mail: with.Mail, messages: with.Messages, audit: with.Audit, digests: with.Digests, clock: with.Now,
	}
}

// Issue mails a person a link and a code to set a password with.
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

// IssueAgain mails another one to the person whom an older link was sent to.
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

// Outstanding is the mail that an account without a password gets by itself: the one that is on its way, or a new one.
// It is nil when the cool-down holds a new one back.
func (s *Service) Outstanding(ctx context.Context, p *portal.Portal, a *account.Account) (*delivery.Receipt, error) {
	receipt, err := s.onItsWay(ctx, p, a)
	if receipt != nil || err != nil {
		return receipt, err
	}
	issued, err := s.issue(ctx, p, a.Email, a)
	if fault.CodeOf(err) == fault.ResendTooSoon {
		return s.onItsWay(ctx, p, a) // whoever looked at the same moment may have had one issued
	}
	return &issued.Receipt, err
}

// onItsWay is the receipt of a secret that could be redeemed now; nil where there is none.
func (s *Service) onItsWay(ctx context.Context, p *portal.Portal, a *account.Account) (*delivery.Receipt, error) {
	there, ok, err := s.secrets.Outstanding(ctx, p.ID, onetime.Password, s.digests.OfEmail(p.ID, a.Email))
	if !ok || err != nil {
		return nil, err
	}
	receipt, err := s.messages.Receipt(ctx, p, there.DeliveryID)
	if fault.CodeOf(err) == fault.NotFound {
		return nil, nil
	}
	return &receipt, err
}

func (s *Service) issue(ctx context.Context, p *portal.Portal, address email.Address, a *account.Account) (challenge.Issued, error) {
	mail := challenge.Request{
		Address: address, Account: a, Purpose: onetime.Password, Variant: Reset, Kind: delivery.ResetPassword,
		TTL: p.ResetTTL.Duration(), Event: audit.ResetRequested,
	}
	if a != nil && !a.HasPassword() {
		mail.Variant, mail.Kind, mail.TTL = Set, delivery.SetPassword, p.SetPasswordTTL.Duration()
	}
	issued, err := s.mail.Issue(ctx, p, mail)
	if p.Private() {
		issued.ExpiresIn = p.ResetTTL.Duration() // the same for everyone
	}
	return issued, err
}

// Verified is a secret that is good.
type Verified struct {
	Email     string
	Variant   string
	ExpiresAt time.Time
}

// Verify says whether a secret is good. Errors: onetime's.
func (s *Service) Verify(ctx context.Context, p *portal.Portal, presented challenge.Credential) (Verified, error) {
	found, err := s.mail.Check(ctx, p, onetime.Password, presented, audit.ResetRedeemed)
	return Verified{found.Email, found.Variant, found.ExpiresAt}, err
}

// Redeem sets the password: the address counts as confirmed, the lock ends, and so do all sessions.
//
// Errors: onetime's; password_rejected, which consumes nothing.
func (s *Service) Redeem(ctx context.Context, p *portal.Portal, presented challenge.Credential, secret string) error {
	var hash string
	return s.mail.Redeem(ctx, p, onetime.Password, presented, audit.ResetRedeemed,
		func(a *account.Account) (err error) {
			hash, err = s.passwords.Set(ctx, p, a.Email, secret)
			return err
		},
		func(ctx context.Context, a *account.Account, found onetime.Checked) error {
			return s.prove(ctx, p, a, found.SecurityStamp, hash)
		})
}

// prove sets the password of a person who has just proved the mailbox: whatever was made before the proof ends with the
// new stamp.
func (s *Service) prove(ctx context.Context, p *portal.Portal, a *account.Account, stamp uuid.UUID, hash string) error {
	set := account.NewPassword{Hash: hash, Stamp: stamp, Now: s.clock.Now()}
	if err := s.accounts.ResetPassword(ctx, p.ID, a, set); err != nil {
		return err
	}
	subject := s.digests.OfEmail(p.ID, a.Email)
	if err := s.lockouts.Forget(ctx, p.ID, lockout.Login, subject); err != nil {
		return err
	}
	if err := s.lockouts.Forget(ctx, p.ID, lockout.CurrentPassword, s.digests.OfAccount(p.ID, a.ID)); err != nil {
		return err
	}
	if err := s.messages.SendPasswordChanged(ctx, p, a); err != nil {
		return err
	}
	return s.audit.Record(ctx, audit.OfAccount(p.ID, audit.ResetRedeemed, a.ID, subject))
}
