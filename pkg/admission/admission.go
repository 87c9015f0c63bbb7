// Package admission decides why a person cannot get in. A Situation, the known facts of an address at a portal, goes
// in. An ordered list of findings comes out. Login, lookup, registration, confirmation, reset, invitation and
// one-time secrets all ask this list, so that they agree, and so that a state that the list does not know refuses
// nobody. The package does no I/O.
package admission

import (
	"time"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/lockout"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// Situation holds the known facts of an address at a portal at one moment. Members that a door does not need may be
// left out: an unknown fact refuses nobody.
type Situation struct {
	Portal     *portal.Portal
	Address    email.Address
	Account    *account.Account // nil for none
	Invitation *Invitation      // the invitation that holds the address; nil for none
	Lock       lockout.State    // of the password that the door asks for
	Resource   string           // what the person wants to reach; "" for nothing in particular
	Now        time.Time
}

// Invitation holds the facts of an invitation that was neither accepted nor deleted.
type Invitation struct {
	ExpiresAt time.Time
	// KeyLost is set when the secret key of its code is no longer configured.
	KeyLost bool
}

// Next is the step that a login page shows after a person typed an address.
type Next string

// The steps.
const (
	NextRedeem       Next = "redeem_invitation"
	NextConfirmEmail Next = "confirm_email"
	NextSetPassword  Next = "set_password"
	NextPassword     Next = "password"
	NextLoginCode    Next = "login_code"
)

// Next is the first step that fits an address. A private portal answers from its settings alone. An open portal that
// knows neither an account nor a pending invitation answers "", and its Lookup door refuses.
func (s Situation) Next() Next {
	switch {
	case s.Portal.Private():
		return s.firstMethod()
	case s.Invited():
		return NextRedeem
	case s.Account == nil:
		return ""
	}
	return s.NextOfOwner()
}

// NextOfOwner is the next step of the person who made the account or proved the mailbox: a private portal hides
// nothing from them.
func (s Situation) NextOfOwner() Next {
	switch {
	case !s.Portal.Allows(portal.Password):
		return NextLoginCode
	case !s.Account.HasPassword():
		return NextSetPassword
	case s.unconfirmed():
		return NextConfirmEmail
	}
	return NextPassword
}

// firstMethod is the step of an address of which nothing is known.
func (s Situation) firstMethod() Next {
	if s.Portal.Allows(portal.Password) {
		return NextPassword
	}
	return NextLoginCode
}

// Invited reports whether an invitation can still be redeemed.
func (s Situation) Invited() bool {
	return s.Invitation != nil && s.Invitation.ExpiresAt.After(s.Now)
}

// unconfirmed reports whether the portal keeps the account out until its mailbox is proved.
func (s Situation) unconfirmed() bool {
	return s.Account != nil && s.Portal.RequireConfirmation && s.Account.Confirmed == nil
}

// unverified reports whether the account is a registration whose mailbox nobody has proved. A portal that requires no
// confirmation lets people log in at once, so there it is an account like any other.
func (s Situation) unverified() bool {
	return s.Account != nil && s.Account.UnverifiedSince != nil && s.Portal.RequireConfirmation
}

// registered reports whether an account owns the address. An unverified registration does not own it.
func (s Situation) registered() bool { return s.Account != nil && !s.unverified() }

// Replaceable reports whether a new registration may take the address: it has no account, or an unverified
// registration that no administrator disabled.
func (s Situation) Replaceable() bool {
	return s.Account == nil || s.unverified() && s.Account.Disabled == nil
}

func (s Situation) disabled() bool { return s.Account != nil && s.Account.Disabled != nil }
