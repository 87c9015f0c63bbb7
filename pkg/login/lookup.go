package login

import (
	"context"
	"errors"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// Next is what a login page shows after the address was typed.
type Next string

// What can come next.
const (
	NextConfirmEmail Next = "confirm_email"
	NextSetPassword  Next = "set_password"
	NextPassword     Next = "password"
	NextLoginCode    Next = "login_code"
)

// LookUp says what the person behind an address does next.
//
// A private portal answers from its settings alone, and reads no account.
//
// Errors: email_not_found, with did_you_mean where the domain looks mistyped.
func (s *Service) LookUp(ctx context.Context, p *portal.Portal, address email.Address) (Next, error) {
	if p.Private() {
		if p.Allows(portal.Password) {
			return NextPassword, nil
		}
		return NextLoginCode, nil
	}
	a, err := s.accounts.ByEmail(ctx, p.ID, address)
	if errors.Is(err, database.ErrNotFound) {
		return "", emailNotFound(address)
	}
	if err != nil {
		return "", err
	}
	return next(p, a), nil
}

// next is the first that fits, in the contract's order.
func next(p *portal.Portal, a *account.Account) Next {
	switch {
	case !p.Allows(portal.Password):
		return NextLoginCode
	case a.HasPassword() && unconfirmed(p, a):
		return NextConfirmEmail
	case !a.HasPassword():
		return NextSetPassword
	default:
		return NextPassword
	}
}

// unconfirmed reports whether the portal keeps the account out until its mailbox is proved.
func unconfirmed(p *portal.Portal, a *account.Account) bool {
	return a != nil && p.RequireConfirmation && a.Confirmed == nil
}

func emailNotFound(address email.Address) error {
	f := fault.New(fault.EmailNotFound)
	if meant := email.Suggest(address.Canonical(), nil); len(meant) > 0 {
		f = f.With("did_you_mean", meant)
	}
	return f
}
