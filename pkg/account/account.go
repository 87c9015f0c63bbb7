// Package account holds the people of a portal: who they are, what they may, and the password hash they log in with.
package account

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// Limits of an account's members (contract §4).
const (
	MaxNames       = 64   // roles, and entitlements
	MaxNameLength  = 128  // code points of a role or an entitlement
	MaxMetadata    = 8192 // octets of JSON
	MaxPersonName  = 100  // code points of a given or family name
	MaxSearchQuery = 254  // code points
)

// AdminRole alone means something here: its holder administers the portal.
const AdminRole = "admin"

// Account is a person at a portal.
type Account struct {
	ID           ids.Account
	Email        email.Address
	Phone        *string // E.164
	GivenName    *string
	FamilyName   *string
	Locale       string
	Roles        []string
	Entitlements []string
	Metadata     json.RawMessage // an object
	PasswordHash string          // "" before a password is set
	Confirmed    *time.Time
	Disabled     *time.Time
	OptedOut     bool
	CreatedAt    time.Time
	UpdatedAt    time.Time
	LastLoginAt  *time.Time

	// UnverifiedSince is since when the account is a mere claim: registered by somebody, and the mailbox not proved. Nil for all
	// others.
	UnverifiedSince *time.Time

	// SecurityStamp changes when what secrets and sessions rest on changes: the password, the address, the right to be
	// here. What was made under another stamp is dead.
	SecurityStamp uuid.UUID
}

// New is an account without anything but an address.
func New(address email.Address, locale string, now time.Time) (*Account, error) {
	id, err := ids.New[ids.Account]()
	if err != nil {
		return nil, err
	}
	return &Account{
		ID: id, Email: address, Locale: locale, Roles: []string{}, Entitlements: []string{}, Metadata: json.RawMessage("{}"),
		CreatedAt: now, UpdatedAt: now, SecurityStamp: uuid.New(),
	}, nil
}

// HasPassword reports whether a password was set.
func (a *Account) HasPassword() bool { return a.PasswordHash != "" }

// Restamp ends every session and secret made before.
func (a *Account) Restamp() { a.SecurityStamp = uuid.New() }
