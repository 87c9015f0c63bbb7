package login

import (
	"context"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// Next is what a login page shows after the address was typed.
type Next string

// What can come next.
const (
	NextRedeem       Next = "redeem_invitation"
	NextConfirmEmail Next = "confirm_email"
	NextSetPassword  Next = "set_password"
	NextPassword     Next = "password"
	NextLoginCode    Next = "login_code"
)

// Found is what a login page shows after an address was typed.
type Found struct {
	Next Next
	// Receipt is the set-password mail that goes out by itself; nil where none does.
	Receipt *delivery.Receipt
}

// LookUp says what the person behind an address does next. Who has no password yet is mailed the link to set one,
// unless one is outstanding. A private portal answers from its settings alone, and reads no account.
//
// Errors: email_not_found, with did_you_mean where the domain looks mistyped.
func (s *Service) LookUp(ctx context.Context, p *portal.Portal, address email.Address) (Found, error) {
	if p.Private() {
		if p.Allows(portal.Password) {
			return Found{Next: NextPassword}, nil
		}
		return Found{Next: NextLoginCode}, nil
	}
	a, invited, err := s.holders.Holder(ctx, p.ID, address)
	switch {
	case err != nil:
		return Found{}, err
	case invited.Pending(s.now()):
		return Found{Next: NextRedeem}, nil
	case a == nil:
		return Found{}, account.NotFound(address)
	}
	found := Found{Next: NextOf(p, a)}
	if found.Next == NextSetPassword && a.Disabled == nil {
		found.Receipt, err = s.resets.Outstanding(ctx, p, a)
	}
	return found, err
}

// NextOf is the first that fits an account, in the contract's order.
func NextOf(p *portal.Portal, a *account.Account) Next {
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
