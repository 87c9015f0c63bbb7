// Package admission decides why a person cannot get in. What is known of an address at a portal goes in as a Situation;
// an ordered list of findings comes out. Login, lookup, registration, confirmation, reset, invitation and one-time
// secrets all ask this list, so that they agree, and so that a state which the list does not know refuses nobody. The
// package does no I/O.
package admission

import (
	"time"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/lockout"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// Situation is what is known of an address at a portal at one moment. A member that a door does not need may be left
// out: nothing known is nothing that refuses.
type Situation struct {
	Portal     *portal.Portal
	Address    email.Address
	Account    *account.Account // nil for none
	Invitation *Invitation      // the one that holds the address; nil for none
	Lock       lockout.State    // of the password that is asked for
	Resource   string           // what the person wants to reach; "" for nothing in particular
	Now        time.Time
}

// Invitation is what matters here of an invitation that was neither accepted nor deleted.
type Invitation struct {
	ExpiresAt time.Time
	// KeyLost is set when its code was derived under a secret key that is no longer configured.
	KeyLost bool
}

// Next is the step that a login page shows after an address was typed.
type Next string

// The steps.
const (
	NextRedeem       Next = "redeem_invitation"
	NextConfirmEmail Next = "confirm_email"
	NextSetPassword  Next = "set_password"
	NextPassword     Next = "password"
	NextLoginCode    Next = "login_code"
)

// Next is the first step that fits an address which somebody typed. A private portal answers from its settings alone.
// Where an open portal knows neither an account nor a pending invitation there is no step, and the Lookup door refuses.
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

// NextOfOwner is the next step of the person who made the account or proved the mailbox: a private portal hides nothing
// from them.
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

// firstMethod is the step of a person of whom nothing is known.
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

// unverified reports whether the account is a registration whose mailbox nobody has proved.
func (s Situation) unverified() bool { return s.Account != nil && s.Account.UnverifiedSince != nil }

// registered reports whether an account owns the address. An unverified registration owns nothing.
func (s Situation) registered() bool { return s.Account != nil && !s.unverified() }

// Replaceable reports whether a new registration takes the place of what has the address: nothing, or an unverified
// registration. One that an administrator disabled stays.
func (s Situation) Replaceable() bool {
	return s.Account == nil || s.unverified() && s.Account.Disabled == nil
}

func (s Situation) disabled() bool { return s.Account != nil && s.Account.Disabled != nil }
