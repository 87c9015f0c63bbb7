package invitation

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/portal"
	"github.com/latchkey-auth/latchkey/pkg/session"
)

// verdict says why a genuine code is refused; nil when it is good.
//
// Errors, in this order: token_invalid; token_used; token_superseded; email_already_registered, when the invited
// person got an account in another way; token_expired.
func (i *Invitation) verdict(of serial, now time.Time) error {
	switch {
	case of.counter == i.counter && of.key != i.key: // derived under a key that was replaced
		return fault.New(fault.TokenInvalid)
	case of.counter == i.counter && i.AcceptedAt != nil:
		return fault.New(fault.TokenUsed)
	case of.counter < i.counter, i.superseded && !i.open: // the open one is the newest, even if clocks differ
		return fault.New(fault.TokenSuperseded)
	case of.counter > i.counter: // the database was restored from a backup
		return fault.New(fault.TokenExpired)
	case i.taken:
		return fault.New(fault.EmailAlreadyRegistered)
	case !i.open, !i.ExpiresAt.After(now):
		return fault.New(fault.TokenExpired)
	}
	return nil
}

// Verify finds the invitation of a code, and says whether the code is good.
//
// Errors: token_invalid, token_used, token_superseded, email_already_registered, token_expired.
func (s *Service) Verify(ctx context.Context, p *portal.Portal, code string) (*Invitation, error) {
	of, err := s.codes.read(p.ID, code)
	if err != nil {
		return nil, err
	}
	i, err := s.repo.byNumber(ctx, p.ID, of.number)
	if errors.Is(err, database.ErrNotFound) {
		return nil, fault.New(fault.TokenExpired) // genuine, but already swept
	}
	if err != nil {
		return nil, err
	}
	return i, i.verdict(of, s.clock.Now())
}

// Acceptance is what a person sends to accept an invitation. Their roles and entitlements come from the invitation
// alone.
type Acceptance struct {
	Code       string
	Email      email.Address
	Password   string
	GivenName  *string
	FamilyName *string
	Locale     string // "" for the invitation's
	Begin      session.Begin
}

// Redeem makes the account of an invited person, consumes the invitation and signs the person in, in one transaction.
// The address counts as confirmed. Roles, entitlements and metadata are the invitation's.
//
// Errors: Verify's; invitation_email_mismatch, password_rejected: the code stays good.
func (s *Service) Redeem(ctx context.Context, p *portal.Portal, g Acceptance) (session.Granted, error) {
	i, err := s.Verify(ctx, p, g.Code)
	if i != nil && i.deletedAt == nil && i.Email.Canonical() != g.Email.Canonical() && tellsMismatch(err) {
		err = fault.New(fault.InvitationEmailMismatch)
	}
	if err == nil {
		var in session.Granted
		if in, err = s.accept(ctx, p, i, g); err == nil {
			return in, nil
		}
	}
	if i != nil && !slices.Contains(serverFaults, fault.CodeOf(err)) {
		refused := audit.OfAddress(p.ID, audit.InvitationRedeemed, s.digestOfTyped(p, g)).
			WithTarget(audit.InvitationTarget(i.ID)).Failed(err)
		if err := s.audit.Record(ctx, refused); err != nil {
			return session.Granted{}, err
		}
	}
	return session.Granted{}, err
}

// serverFaults say nothing about the code: the same call may succeed later. They are not recorded.
var serverFaults = []fault.Code{fault.Internal, fault.Overloaded, fault.Unavailable}

// tellsMismatch reports whether a mismatch of the address is told before err, the verdict on the code.
func tellsMismatch(err error) bool {
	code := fault.CodeOf(err)
	return code == "" || code == fault.EmailAlreadyRegistered
}

func (s *Service) digestOfTyped(p *portal.Portal, g Acceptance) digest.Digest {
	return s.digests.OfEmail(p.ID, g.Email)
}

func (s *Service) accept(
	ctx context.Context, p *portal.Portal, i *Invitation, g Acceptance,
) (in session.Granted, err error) {
	hash, err := s.passwords.Set(ctx, p, i.Email, g.Password)
	if err != nil {
		return in, err
	}
	a, err := s.invited(i, g, hash)
	if err != nil {
		return in, err
	}
	err = s.db.InTx(ctx, func(ctx context.Context) error {
		if err := s.repo.accept(ctx, p.ID, i, a.ID, a.CreatedAt); err != nil {
			return err
		}
		replaced, err := s.accounts.ReplaceUnverified(ctx, p.ID, a)
		if err != nil {
			return err
		}
		if !replaced {
			return fault.New(fault.EmailAlreadyRegistered)
		}
		g.Begin.Methods = []string{session.Password}
		if in, err = s.sessions.Start(ctx, p, a, g.Begin); err != nil {
			return err
		}
		return s.audit.Record(ctx, audit.OfAccount(p.ID, audit.InvitationRedeemed, a.ID, s.digestOfTyped(p, g)).
			WithTarget(audit.InvitationTarget(i.ID)))
	})
	if errors.Is(err, database.ErrNotFound) { // the invitation changed since it was read
		if _, err = s.Verify(ctx, p, g.Code); err == nil {
			err = fault.New(fault.Unavailable).After(time.Second)
		}
	}
	return in, err
}

// invited makes the account of an invited person.
func (s *Service) invited(i *Invitation, g Acceptance, hash string) (*account.Account, error) {
	now := s.clock.Now()
	locale := g.Locale
	if locale == "" {
		locale = i.Locale
	}
	a, err := account.New(i.Email, locale, now) // as invited, even if typed otherwise now
	if err != nil {
		return nil, err
	}
	a.PasswordHash, a.GivenName, a.FamilyName, a.Confirmed = hash, g.GivenName, g.FamilyName, &now
	a.Roles, a.Entitlements, a.Metadata = i.Roles, i.Entitlements, i.Metadata
	return a, nil
}
