// Package invitation brings people in: an administrator invites an address, and whoever holds both the code and the
// address makes an account, with everything that was meant for it.
package invitation

import (
	"encoding/json"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

// Term limits (contract §4, invitation_ttl).
const (
	MinTerm = time.Minute
	MaxTerm = 30 * 24 * time.Hour
)

// Kept is how long an invitation is kept after its end (contract §2).
const Kept = 30 * 24 * time.Hour

// Status says what has become of an invitation.
type Status string

// The statuses.
const (
	Pending  Status = "pending"
	Accepted Status = "accepted"
	Expired  Status = "expired" // its time is over, or an account made it needless
)

// Statuses are all of them.
func Statuses() []Status { return []Status{Pending, Accepted, Expired} }

// Inviter is who invites: an account of the portal, or whoever else holds a key.
type Inviter struct {
	AccountID ids.Account
	Name      string // of the key, where it is no account
}

// New is an invitation to be made.
type New struct {
	Email        email.Address
	Roles        []string
	Entitlements []string
	Metadata     json.RawMessage // an object
	Locale       string
	Term         time.Duration // between MinTerm and MaxTerm
	Send         bool          // whether it is mailed
}

// Invitation is one as it stands.
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
	IssuedAt     time.Time // when its newest code was made
	SentAt       *time.Time
	ExpiresAt    time.Time
	AcceptedAt   *time.Time
	DeliveryID   ids.Delivery

	serial
	open      bool
	deletedAt *time.Time
	accountID ids.Account

	// inviter is the account that invited, as it is now.
	inviter person
	// superseded says that a newer invitation was made for the address; taken, that the address has an account.
	superseded, taken bool
}

// serial is what a code is derived from.
type serial struct {
	number  int64
	counter int64
	key     keyring.ID
}

// person is what is told of somebody who invites.
type person struct {
	email, givenName, familyName *string
}

// Status is what has become of the invitation by a time.
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

// InvitedBy tells administrators who invited: the account's address, or the name of the key. "" is a person who is gone.
func (i *Invitation) InvitedBy() string {
	if i.inviter.email != nil {
		return *i.inviter.email
	}
	return i.Inviter.Name
}

// InviterName is the name of the person who invited, for the invited one to read; "" where it was no person.
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
