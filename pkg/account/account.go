// Package account keeps the people of a portal: their profiles, what they may do, and their password hashes.
package account

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// Limits of an account's members, as openapi.yaml has them.
const (
	MaxNames       = 64   // roles, and entitlements
	MaxNameLength  = 128  // code points of a role or an entitlement
	MaxMetadata    = 8192 // octets of JSON
	MaxPersonName  = 100  // code points of a given or family name
	MaxSearchQuery = 254  // code points
)

// AdminRole is the only role with a meaning here: its holder administers the portal.
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

	// UnverifiedSince is when a stranger registered the account, until the mailbox is proved. Nil for all other accounts.
	UnverifiedSince *time.Time
	// ContestedSince is when the address of an unverified registration was registered again, so that nobody knows which
	// password its owner chose. Nil if it was registered once.
	ContestedSince *time.Time

	// SecurityStamp changes with the password and the address, and when the account is disabled. Sessions and secrets
	// that were made under another stamp are worth nothing.
	SecurityStamp uuid.UUID
}

// New makes an account that has only an address and a language.
func New(address email.Address, locale string, now time.Time) (*Account, error) {
	id, err := ids.New[ids.Account]()
	if err != nil {
		return nil, err
	}
	return &Account{
		ID: id, Email: address, Locale: locale, Roles: []string{}, Entitlements: []string{},
		Metadata: json.RawMessage("{}"), CreatedAt: now, UpdatedAt: now, SecurityStamp: uuid.New(),
	}, nil
}

// Contested reports whether the account is an unverified registration that was registered more than once.
func (a *Account) Contested() bool { return a.UnverifiedSince != nil && a.ContestedSince != nil }

// HasPassword reports whether a password was set.
func (a *Account) HasPassword() bool { return a.PasswordHash != "" }

// Restamp ends every session and secret made before.
func (a *Account) Restamp() { a.SecurityStamp = uuid.New() }
