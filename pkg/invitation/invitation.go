// Package invitation invites people: an administrator invites an address, and the person who has both the code and
// the address makes an account with the invitation's roles, entitlements and metadata.
package invitation

import (
	"encoding/json"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

// Limits of an invitation's term.
const (
	MinTerm = time.Minute
	MaxTerm = 30 * 24 * time.Hour
)

// Status is the state of an invitation.
type Status string

// The statuses.
const (
	Pending  Status = "pending"
	Accepted Status = "accepted"
	Expired  Status = "expired" // its term is over, or an account was made for its address in another way
)

// Statuses are all of them.
func Statuses() []Status { return []Status{Pending, Accepted, Expired} }

// Inviter is an account of the portal, or else an API key, that invites.
type Inviter struct {
	AccountID ids.Account
	Name      string // of the API key; "" for an account
}

// New is an invitation to be made.
type New struct {
	Email        email.Address
	Roles        []string
	Entitlements []string
	Metadata     json.RawMessage // an object
	Locale       string
	Term         time.Duration // between MinTerm and MaxTerm
	Send         bool          // by mail
}

// Invitation is a stored invitation.
type Invitation struct {
	ID           ids.Invitation
	Email        email.Address
	Roles        []string
	Entitlements []string
	Metadata     json.RawMessage
	Locale       string
	Inviter      Inviter
	Term         time.Duration
	CreatedAt    time.Time
	IssuedAt     time.Time // of its newest code
	SentAt       *time.Time
	ExpiresAt    time.Time
	AcceptedAt   *time.Time
	DeliveryID   ids.Delivery

	serial
	open      bool
	deletedAt *time.Time
	accountID ids.Account

	// inviter is the present state of the account that invited.
	inviter person
	// superseded is set when a newer invitation was made for the address, taken when the address has an account. An
	// unverified registration is no account here.
	superseded, taken bool
}

// serial holds the facts that a code is derived from.
type serial struct {
	number  int64
	counter int64
	key     keyring.ID
}

// person is the part of an inviter's account that is shown. Its members are nil when the account is gone.
type person struct {
	email, givenName, familyName *string
}

// Status is the state of the invitation at a time.
func (i *Invitation) Status(now time.Time) Status {
	switch {
	case i.AcceptedAt != nil:
		return Accepted
	case !i.ExpiresAt.After(now), i.taken:
		return Expired
	default:
		return Pending
	}
}

// InvitedBy is the inviter as administrators see it: the account's address, or the name of the API key. It is "" when
// the account is gone.
func (i *Invitation) InvitedBy() string {
	if i.inviter.email != nil {
		return *i.inviter.email
	}
	return i.Inviter.Name
}

// InviterName is the name of the person who invited, as the invited person reads it; "" when an API key invited.
func (i *Invitation) InviterName() string {
	var name string
	for _, part := range []*string{i.inviter.givenName, i.inviter.familyName} {
		if part == nil {
			continue
		}
		if name != "" {
			name += " "
		}
		name += *part
	}
	return name
}
