package dispatch

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/onetime"
)

// Why a message was not sent, as provider_answer shows it.
const (
	supersededAnswer = "superseded before it was sent"
	expiredAnswer    = "expired before it was sent"
	usedAnswer       = "used before it was sent"
	disabledAnswer   = "the account was disabled before it was sent"
	noAccountAnswer  = "the account was deleted before it was sent"
	noPortalAnswer   = "the portal was deleted before it was sent"
	gaveUpAnswer     = "given up after 24 hours; the last answer: "

	noInvitationAnswer = "the invitation was deleted before it was sent"
	registeredAnswer   = "the recipient had an account before it was sent"
)

// deadAnswers say why a secret is not sent, by the fault that deriving it returned.
var deadAnswers = map[fault.Code]string{
	fault.TokenSuperseded: supersededAnswer, fault.TokenExpired: expiredAnswer, fault.TokenUsed: usedAnswer,
	fault.AccountDisabled: disabledAnswer, fault.EmailAlreadyRegistered: registeredAnswer,
}

// secret is what a message carries: a token for a link and a code to type.
type secret struct {
	token     string
	code      string
	expiresAt time.Time
}

// String keeps a secret out of logs.
func (secret) String() string { return "secret" }

// GoString keeps a secret out of logs.
func (secret) GoString() string { return "secret" }

// recipient is the person a message goes to, and the facts that the letter shows.
type recipient struct {
	address   email.Address
	givenName string // "" for none, or if a stranger may have chosen it
	inviter   string
	contested bool   // whether the message confirms an address that was registered more than once
	secret    secret // empty for kinds that carry none
	// network and askedAt say from where, and when, the message was asked for. With network "" the letter shows neither.
	network string
	askedAt time.Time
}

// recipient finds the recipient of a message and derives its secret, if it carries one. A dead that is not empty is the
// reason why the message must not be sent any more.
func (s *Service) recipient(ctx context.Context, d *delivery.Delivery) (to recipient, dead string, err error) {
	if !d.InvitationID.IsZero() {
		return s.invitee(ctx, d)
	}
	if to, ok, dead, err := s.noticed(ctx, d); ok || err != nil {
		return to, dead, err
	}
	a, err := s.accounts.ByID(ctx, d.PortalID, d.AccountID)
	if errors.Is(err, database.ErrNotFound) {
		return to, noAccountAnswer, nil
	}
	if err != nil {
		return to, "", err
	}
	to.address = a.Email
	if a.GivenName != nil && a.UnverifiedSince == nil { // a stranger may have chosen it until the mailbox is proved
		to.givenName = *a.GivenName
	}
	to.contested = d.Kind == delivery.Confirm && a.Contested()
	to.network, to.askedAt, err = s.origin(ctx, d, a)
	if err != nil || !d.Kind.CarriesSecret() {
		return to, "", err
	}
	derived, err := s.secrets.Secret(ctx, d.PortalID, onetime.Purpose(d.Purpose), d.EmailDigest, d.Generation)
	to.secret = secret{derived.Token, derived.Code, derived.ExpiresAt}
	dead, err = deadBecause(err, noAccountAnswer)
	return to, dead, err
}

// invitee is the recipient of a message with the code of an invitation.
func (s *Service) invitee(ctx context.Context, d *delivery.Delivery) (to recipient, dead string, err error) {
	i, err := s.invitations.Invitee(ctx, d.PortalID, delivery.Invitation{ID: d.InvitationID, Counter: d.Generation})
	dead, err = deadBecause(err, noInvitationAnswer)
	return recipient{
		address: i.Address, inviter: i.Inviter, secret: secret{i.Code, i.Code, i.ExpiresAt}, askedAt: d.CreatedAt,
	}, dead, err
}

// origin is from where, and when, a message was asked for. The confirmation of a registration shows the registration
// instead, even if another caller asked for the message, so that the owner of the mailbox sees whether the registration
// is theirs. The first confirmation of an account was asked for by its registration, unless that was swept since.
func (s *Service) origin(
	ctx context.Context, d *delivery.Delivery, a *account.Account,
) (network string, at time.Time, err error) {
	if d.Kind != delivery.Confirm {
		return d.Network, d.CreatedAt, nil
	}
	network, at, err = s.messages.FirstConfirmation(ctx, d.PortalID, a.ID)
	if errors.Is(err, database.ErrNotFound) || err == nil && at.After(a.CreatedAt.Add(time.Minute)) {
		return "", a.CreatedAt, nil
	}
	return network, at, err
}

// deadBecause translates the error of deriving a secret into the reason why it is not sent, "" for none. gone is the
// reason for a secret whose owner is deleted. Other errors are returned.
func deadBecause(derived error, gone string) (why string, err error) {
	code := fault.CodeOf(derived)
	if code == fault.NotFound {
		return gone, nil
	}
	if answer, known := deadAnswers[code]; known {
		return answer, nil
	}
	return "", derived
}
