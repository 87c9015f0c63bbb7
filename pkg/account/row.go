package account

import (
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// Columns are the members that Scan reads, of the table accounts under the alias a. The first parameter is the portal's
// id. The last login is the start of the newest session: the sweeper leaves each account its newest.
const Columns = columnsBeforePortal + `?` + columnsAfterPortal

// The subquery names the portal by a parameter: a distributed Postgres (Citus) refuses, or asks every shard for, a
// subquery that only a.portal_id ties to a portal.
const (
	columnsBeforePortal = `a.id, a.email, a.phone, a.given_name, a.family_name, a.locale, CAST(a.roles AS TEXT),
	CAST(a.entitlements AS TEXT), CAST(a.metadata AS TEXT), a.password_hash, a.security_stamp, a.confirmed_at,
	a.disabled_at, CAST(a.opted_out AS INTEGER), a.created_at, a.updated_at, a.claimed_at,
	a.contested_at,
	(SELECT MAX(s.created_at) FROM sessions s WHERE s.portal_id = `
	columnsAfterPortal = ` AND s.account_id = a.id)`
)

// Packed is Columns as one JSON array, for a RETURNING clause, which may hold a subquery but no join. Its parameter for
// the portal's id is @portal. ScanPacked reads it.
func Packed(d database.Dialect) string {
	const columns = columnsBeforePortal + `@portal` + columnsAfterPortal
	if d == database.Postgres {
		return "json_build_array(" + columns + ")"
	}
	return "json_array(" + columns + ")"
}

// packedRow is a row as a JSON array.
type packedRow []json.RawMessage

// Scan reads the members in their order.
func (p packedRow) Scan(members ...any) error {
	if len(p) != len(members) {
		return fmt.Errorf("a packed row has %d members, not %d", len(p), len(members))
	}
	for i, member := range members {
		if err := json.Unmarshal(p[i], member); err != nil {
			return err
		}
	}
	return nil
}

// ScanPacked reads an account from Packed.
func ScanPacked(packed []byte) (*Account, error) {
	var row packedRow
	if err := json.Unmarshal(packed, &row); err != nil {
		return nil, err
	}
	return Scan(row)
}

// Scan reads an account from Columns, and the columns selected after them into more. more is read even if an outer join
// found no account. Errors: database.ErrNotFound.
func Scan(row database.Row, more ...any) (*Account, error) {
	var (
		a                                  Account
		id                                 ids.Account
		stamp                              uuid.NullUUID
		address, language, hash            *string
		roles, entitlements, metadata      *string
		confirmed, disabled, optedOut      *int64
		created, updated, unverified, last *int64
		contested                          *int64
	)
	members := []any{&id, &address, &a.Phone, &a.GivenName, &a.FamilyName, &language, &roles, &entitlements, &metadata,
		&hash, &stamp, &confirmed, &disabled, &optedOut, &created, &updated, &unverified, &contested, &last}
	if err := row.Scan(append(members, more...)...); err != nil {
		return nil, database.Err(err)
	}
	if id.IsZero() {
		return nil, database.ErrNotFound
	}
	var err error
	if a.Email, err = email.Parse(*address); err != nil {
		return nil, fmt.Errorf("stored address of account %s: %w", id, err)
	}
	if err := json.Unmarshal([]byte(*roles), &a.Roles); err != nil {
		return nil, fmt.Errorf("stored roles of account %s: %w", id, err)
	}
	if err := json.Unmarshal([]byte(*entitlements), &a.Entitlements); err != nil {
		return nil, fmt.Errorf("stored entitlements of account %s: %w", id, err)
	}
	a.ID, a.SecurityStamp, a.PasswordHash = id, stamp.UUID, value(hash)
	a.Locale, a.Metadata, a.OptedOut = *language, json.RawMessage(*metadata), *optedOut != 0
	a.Confirmed, a.Disabled, a.LastLoginAt = database.Time(confirmed), database.Time(disabled), database.Time(last)
	a.UnverifiedSince, a.ContestedSince = database.Time(unverified), database.Time(contested)
	a.CreatedAt, a.UpdatedAt = *database.Time(created), *database.Time(updated)
	return &a, nil
}

// row is an account as the table has it. Times are Unix milliseconds; GORM would write seconds into UpdatedAt by
// itself.
type row struct {
	PortalID       ids.Portal
	ID             ids.Account
	Email          string
	EmailCanonical string
	Phone          *string
	GivenName      *string
	FamilyName     *string
	Locale         string
	Roles          string
	Entitlements   string
	Metadata       string
	PasswordHash   *string
	SecurityStamp  uuid.UUID
	ConfirmedAt    *int64
	DisabledAt     *int64
	OptedOut       bool
	Search         string
	CreatedAt      int64 `gorm:"autoCreateTime:false"`
	UpdatedAt      int64 `gorm:"autoUpdateTime:false"`
	ClaimedAt      *int64
	ContestedAt    *int64
}

// TableName names the table for GORM.
func (row) TableName() string { return "accounts" }

func rowOf(portalID ids.Portal, a *Account) (row, error) {
	roles, err := json.Marshal(a.Roles)
	if err != nil {
		return row{}, err
	}
	entitlements, err := json.Marshal(a.Entitlements)
	if err != nil {
		return row{}, err
	}
	var hash *string
	if a.PasswordHash != "" {
		hash = &a.PasswordHash
	}
	return row{
		PortalID: portalID, ID: a.ID, Email: a.Email.Typed(), EmailCanonical: a.Email.Canonical(), Phone: a.Phone,
		GivenName: a.GivenName, FamilyName: a.FamilyName, Locale: a.Locale, Roles: string(roles),
		Entitlements: string(entitlements), Metadata: string(a.Metadata), PasswordHash: hash,
		SecurityStamp: a.SecurityStamp, ConfirmedAt: database.Millis(a.Confirmed), DisabledAt: database.Millis(a.Disabled),
		OptedOut: a.OptedOut, Search: searchText(a), CreatedAt: a.CreatedAt.UnixMilli(), UpdatedAt: a.UpdatedAt.UnixMilli(),
		ClaimedAt: database.Millis(a.UnverifiedSince), ContestedAt: database.Millis(a.ContestedSince),
	}, nil
}
