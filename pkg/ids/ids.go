// Package ids has a type for the id of each kind of row, so that swapped arguments do not compile. All are UUIDs of
// version 7: newer ones sort after older ones.
package ids

import (
	"database/sql/driver"

	"github.com/google/uuid"
)

// Portal is the id of a portal. The zero Portal is none: API keys for every portal, and events of the whole
// installation, have it in their rows.
type Portal struct{ uuid.UUID }

// Account is the id of an account. The zero Account is none; in a row it is NULL.
type Account struct{ uuid.UUID }

// Session is the id of a session.
type Session struct{ uuid.UUID }

// APIKey is the id of an API key.
type APIKey struct{ uuid.UUID }

// Invitation is the id of an invitation. The zero Invitation is none; in a row it is NULL.
type Invitation struct{ uuid.UUID }

// Delivery is the id of a message to a person. The zero Delivery is none; in a row it is NULL.
type Delivery struct{ uuid.UUID }

// New makes a new id.
func New[ID ~struct{ uuid.UUID }]() (ID, error) {
	made, err := uuid.NewV7()
	return ID{made}, err
}

// Value writes the zero Account as NULL.
func (a Account) Value() (driver.Value, error) { return nullable(a.UUID) }

// Value writes the zero Invitation as NULL.
func (i Invitation) Value() (driver.Value, error) { return nullable(i.UUID) }

// Value writes the zero Delivery as NULL.
func (d Delivery) Value() (driver.Value, error) { return nullable(d.UUID) }

func nullable(id uuid.UUID) (driver.Value, error) {
	if id == uuid.Nil {
		return nil, nil
	}
	return id.Value()
}

// IsZero reports whether the id belongs to no portal.
func (p Portal) IsZero() bool { return p.UUID == uuid.Nil }

// IsZero reports whether the id is of no account.
func (a Account) IsZero() bool { return a.UUID == uuid.Nil }

// IsZero reports whether the id is of no session.
func (s Session) IsZero() bool { return s.UUID == uuid.Nil }

// IsZero reports whether the id is of no invitation.
func (i Invitation) IsZero() bool { return i.UUID == uuid.Nil }

// IsZero reports whether the id is of no message.
func (d Delivery) IsZero() bool { return d.UUID == uuid.Nil }

// IsZero reports whether the id is of no API key.
func (k APIKey) IsZero() bool { return k.UUID == uuid.Nil }
