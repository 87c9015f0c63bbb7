package dispatch

import (
	"context"
	"errors"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

// sealedAnswer says why a notice is not sent, as provider_answer shows it.
const sealedAnswer = "the recipient was sealed under a secret key that is gone"

// noticed is the recipient of a security notice, whose address was fixed when it was queued. ok is false for other
// messages.
func (s *Service) noticed(ctx context.Context, d *delivery.Delivery) (to recipient, ok bool, dead string, err error) {
	address, ok, err := s.messages.NoticeRecipient(d)
	switch {
	case errors.Is(err, keyring.ErrUnknownKey), errors.Is(err, keyring.ErrForged):
		return to, true, sealedAnswer, nil
	case !ok || err != nil:
		return to, ok, "", err
	}
	to = recipient{address: address, network: d.Network, askedAt: d.CreatedAt}
	if d.AccountID.IsZero() {
		return to, true, "", nil
	}
	a, err := s.accounts.ByID(ctx, d.PortalID, d.AccountID)
	if errors.Is(err, database.ErrNotFound) {
		return to, true, "", nil
	}
	if err == nil && a.GivenName != nil && a.UnverifiedSince == nil {
		to.givenName = *a.GivenName
	}
	return to, true, "", err
}
