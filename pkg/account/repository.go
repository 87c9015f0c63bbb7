package account

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// Repository keeps accounts.
type Repository struct{ db *database.DB }

// NewRepository keeps accounts in db.
func NewRepository(db *database.DB) *Repository { return &Repository{db} }

// Columns are the members that Scan reads, of the table accounts under the alias a. The first parameter is the portal's
// id. The last login is the start of the newest session: the sweeper leaves each account its newest.
const Columns = columnsBeforePortal + `?` + columnsAfterPortal

// The subquery names the portal by a parameter: a distributed Postgres (Citus) refuses, or asks every shard for, a
// subquery that only a.portal_id ties to a portal.
const (
	columnsBeforePortal = `a.id, a.email, a.phone, a.given_name, a.family_name, a.locale, CAST(a.roles AS TEXT),
	CAST(a.entitlements AS TEXT), CAST(a.metadata AS TEXT), a.password_hash, a.security_stamp, a.confirmed_at,
	a.disabled_at, CAST(a.opted_out AS INTEGER), a.created_at, a.updated_at, a.claimed_at,
	(SELECT MAX(s.created_at) FROM sessions s WHERE s.portal_id = `
	columnsAfterPortal = ` AND s.account_id = a.id)`
)

// Packed is Columns as one JSON array, for a RETURNING that may hold a subquery but no join. Its parameter for the
// portal's id is @portal. ScanPacked reads it.
func Packed(d database.Dialect) string {
	const columns = columnsBeforePortal + `@portal` + columnsAfterPortal
	if d == database.Postgres {
		return "json_build_array(" + columns + ")"
	}
	return "json_array(" + columns + ")"
}

// packedRow is a row that came as a JSON array.
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

// Scan reads an account from Columns, and whatever was selected behind them into more. In an outer join that found
// none it reads more all the same. Errors: database.ErrNotFound.
func Scan(row database.Row, more ...any) (*Account, error) {
	var (
		a                               Account
		id                              ids.Account
		stamp                           uuid.NullUUID
		address, tongue, hash           *string
		roles, entitlements, metadata   *string
		confirmed, disabled, optedOut   *int64
		created, updated, claimed, last *int64
	)
	members := []any{&id, &address, &a.Phone, &a.GivenName, &a.FamilyName, &tongue, &roles, &entitlements, &metadata,
		&hash, &stamp, &confirmed, &disabled, &optedOut, &created, &updated, &claimed, &last}
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
	a.Locale, a.Metadata, a.OptedOut = *tongue, json.RawMessage(*metadata), *optedOut != 0
	a.Confirmed, a.Disabled, a.LastLoginAt = database.Time(confirmed), database.Time(disabled), database.Time(last)
	a.UnverifiedSince = database.Time(claimed)
	a.CreatedAt, a.UpdatedAt = *database.Time(created), *database.Time(updated)
	return &a, nil
}

// ByEmail finds the account of an address. Errors: database.ErrNotFound.
func (r *Repository) ByEmail(ctx context.Context, portalID ids.Portal, address email.Address) (*Account, error) {
	return Scan(r.db.From(ctx).Raw(`SELECT `+Columns+` FROM accounts a WHERE a.portal_id = ? AND a.email_canonical = ?`,
		portalID, portalID, address.Canonical()).Row())
}

// ByID finds an account. Errors: database.ErrNotFound.
func (r *Repository) ByID(ctx context.Context, portalID ids.Portal, id ids.Account) (*Account, error) {
	return Scan(r.db.From(ctx).Raw(`SELECT `+Columns+` FROM accounts a WHERE a.portal_id = ? AND a.id = ?`,
		portalID, portalID, id).Row())
}

// InSession finds the account of a living session: neither ended nor expired, made under the stamp that the account
// still has, the account not disabled. Errors: database.ErrNotFound.
func (r *Repository) InSession(ctx context.Context, portalID ids.Portal, id ids.Account, sessionID ids.Session, now time.Time) (*Account, error) {
	return Scan(r.db.From(ctx).Raw(`SELECT `+Columns+` FROM accounts a
		JOIN sessions t ON t.portal_id = a.portal_id AND t.account_id = a.id
		WHERE a.portal_id = ? AND a.id = ? AND t.id = ? AND t.ended_at IS NULL AND t.expires_at > ? AND t.ends_at > ?
			AND t.security_stamp = a.security_stamp AND a.disabled_at IS NULL`,
		portalID, portalID, id, sessionID, now.UnixMilli(), now.UnixMilli()).Row())
}

// forUpdate reads an account and, on Postgres, locks its row until the transaction of ctx ends; SQLite's transaction
// is alone anyway.
func (r *Repository) forUpdate(ctx context.Context, portalID ids.Portal, id ids.Account) (*Account, error) {
	return Scan(r.db.From(ctx).Raw(`SELECT `+Columns+` FROM accounts a WHERE a.portal_id = ? AND a.id = ?`+
		r.db.Dialect().Lock("FOR UPDATE OF a"), portalID, portalID, id).Row())
}

// Page lists the accounts in which q is found (email, names, phone), newest first, from before the id.
func (r *Repository) Page(ctx context.Context, portalID ids.Portal, q string, before ids.Account, limit int) ([]*Account, error) {
	query, args := `SELECT `+Columns+` FROM accounts a WHERE a.portal_id = ?`, []any{portalID, portalID}
	if q != "" {
		query += ` AND a.search LIKE ? ESCAPE '!'`
		args = append(args, SearchPattern(q))
	}
	if !before.IsZero() {
		query += ` AND a.id < ?`
		args = append(args, before)
	}
	return database.Collect(r.db.From(ctx).Raw(query+` ORDER BY a.id DESC LIMIT ?`, append(args, limit)...),
		func(row database.Row) (*Account, error) { return Scan(row) })
}

// row is an account as the table has it; times are Unix milliseconds.
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
	CreatedAt      int64
	UpdatedAt      int64
	ClaimedAt      *int64
}

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
		Entitlements: string(entitlements), Metadata: string(a.Metadata), PasswordHash: hash, SecurityStamp: a.SecurityStamp,
		ConfirmedAt: database.Millis(a.Confirmed), DisabledAt: database.Millis(a.Disabled), OptedOut: a.OptedOut,
		Search: searchText(a), CreatedAt: a.CreatedAt.UnixMilli(), UpdatedAt: a.UpdatedAt.UnixMilli(),
		ClaimedAt: database.Millis(a.UnverifiedSince),
	}, nil
}

// update writes every column of an account that forUpdate read in this transaction. Errors: *database.ConflictError on email_canonical, or on phone.
func (r *Repository) update(ctx context.Context, portalID ids.Portal, a *Account) error {
	written, err := rowOf(portalID, a)
	if err != nil {
		return err
	}
	return database.Err(r.db.From(ctx).Model(&row{}).Select("*").Omit("portal_id", "id", "created_at").
		Where("portal_id = ? AND id = ?", portalID, a.ID).Updates(&written).Error)
}

// Rehash replaces a password's hash by a better one of the same password, unless the password changed meanwhile.
func (r *Repository) Rehash(ctx context.Context, portalID ids.Portal, id ids.Account, was, hash string) error {
	return database.Err(r.db.From(ctx).Exec(`UPDATE accounts SET password_hash = ?
		WHERE portal_id = ? AND id = ? AND password_hash = ?`, hash, portalID, id, was).Error)
}

// SetPassword sets a new hash, and gives the new stamp with it, if the account still is what the old password was
// checked under. Errors: database.ErrNotFound when it is not.
func (r *Repository) SetPassword(ctx context.Context, portalID ids.Portal, was *Account, hash string, now time.Time) (uuid.UUID, error) {
	stamp := uuid.New()
	return stamp, database.Changed(r.db.From(ctx).Exec(`UPDATE accounts SET password_hash = ?, security_stamp = ?, updated_at = ?
		WHERE portal_id = ? AND id = ? AND security_stamp = ? AND disabled_at IS NULL`,
		hash, stamp, now.UnixMilli(), portalID, was.ID, was.SecurityStamp))
}

// hold ends the invitations of an address that an account has, no mere claim, and ties them to it, so that they go where
// it goes. The table is pkg/invitation's; that an account comes before an invitation is seen to here, where accounts are
// written, so that no door forgets it. Invitations are locked before accounts.
func (r *Repository) hold(ctx context.Context, portalID ids.Portal, address email.Address, id ids.Account, now time.Time) error {
	return database.Err(r.db.From(ctx).Exec(`UPDATE invitations SET open = FALSE, account_id = ?,
			expires_at = CASE WHEN expires_at > ? THEN ? ELSE expires_at END
		WHERE portal_id = ? AND accepted_at IS NULL AND deleted_at IS NULL
			AND `+InOrder(r.db.Dialect(), "o.email_canonical = ?"),
		id, now.UnixMilli(), now.UnixMilli(), portalID, portalID, address.Canonical()).Error)
}

// InOrder is the condition on a statement that writes invitations that it is about those for which another one, on
// the alias o, holds; and that they are locked from the first to the last, or two such statements could wait for each
// other. Its parameters are the portal's id and those of the other one.
func InOrder(d database.Dialect, condition string) string {
	return "id IN (SELECT o.id FROM invitations o WHERE o.portal_id = ? AND " + condition + " ORDER BY o.number" +
		d.Lock("FOR UPDATE") + ")"
}

// ReplaceUnverified puts a new account in the place of the claim that has its address, whose sessions end with it, and reports
// whether it could: not where an account that is no claim has the address. A claim leaves one alone that is disabled.
// Errors: *database.ConflictError on phone.
func (r *Repository) ReplaceUnverified(ctx context.Context, portalID ids.Portal, a *Account) (bool, error) {
	disabledToo := a.UnverifiedSince == nil
	if a.UnverifiedSince == nil {
		if err := r.hold(ctx, portalID, a.Email, a.ID, a.CreatedAt); err != nil {
			return false, err
		}
	}
	err := r.db.From(ctx).Exec(`DELETE FROM accounts WHERE portal_id = ? AND email_canonical = ? AND claimed_at IS NOT NULL
		AND (disabled_at IS NULL OR ?)`, portalID, a.Email.Canonical(), disabledToo).Error
	if err != nil {
		return false, database.Err(err)
	}
	inserted, err := rowOf(portalID, a)
	if err != nil {
		return false, err
	}
	done := r.db.From(ctx).Clauses(clause.OnConflict{
		Columns: []clause.Column{{Name: "portal_id"}, {Name: "email_canonical"}}, DoNothing: true,
	}).Create(&inserted)
	return done.RowsAffected == 1, database.Err(done.Error)
}

// DropUnverified removes the claims on addresses that are invited.
func (r *Repository) DropUnverified(ctx context.Context, portalID ids.Portal, canonical []string) error {
	return database.Err(r.db.From(ctx).Exec(`DELETE FROM accounts
		WHERE portal_id = ? AND email_canonical IN ? AND claimed_at IS NOT NULL`, portalID, canonical).Error)
}

// DropOtherUnverified removes a claim on an address that an account is given.
func (r *Repository) DropOtherUnverified(ctx context.Context, portalID ids.Portal, address email.Address, to ids.Account) error {
	return database.Err(r.db.From(ctx).Exec(`DELETE FROM accounts
		WHERE portal_id = ? AND email_canonical = ? AND claimed_at IS NOT NULL AND id <> ?`,
		portalID, address.Canonical(), to).Error)
}

// Confirm notes that the mailbox was proved: the account is no claim any more. Errors: database.ErrNotFound when the
// account is not what it was when the proof was sent.
func (r *Repository) Confirm(ctx context.Context, portalID ids.Portal, a *Account, stamp uuid.UUID, now time.Time) error {
	if err := r.holdUnverified(ctx, portalID, a, now); err != nil {
		return err
	}
	return database.Changed(r.db.From(ctx).Exec(`UPDATE accounts SET confirmed_at = COALESCE(confirmed_at, ?),
		claimed_at = NULL, updated_at = ? WHERE portal_id = ? AND id = ? AND security_stamp = ? AND disabled_at IS NULL`,
		now.UnixMilli(), now.UnixMilli(), portalID, a.ID, stamp))
}

// ResetPassword sets the password of a person who proved the mailbox. The new stamp ends whatever was made before.
// Errors: Confirm's.
func (r *Repository) ResetPassword(ctx context.Context, portalID ids.Portal, a *Account, stamp uuid.UUID, hash string, now time.Time) error {
	if err := r.holdUnverified(ctx, portalID, a, now); err != nil {
		return err
	}
	return database.Changed(r.db.From(ctx).Exec(`UPDATE accounts SET password_hash = ?, security_stamp = ?,
		confirmed_at = COALESCE(confirmed_at, ?), claimed_at = NULL, updated_at = ?
		WHERE portal_id = ? AND id = ? AND security_stamp = ? AND disabled_at IS NULL`,
		hash, uuid.New(), now.UnixMilli(), now.UnixMilli(), portalID, a.ID, stamp))
}

// holdUnverified is hold for a claim that becomes an account.
func (r *Repository) holdUnverified(ctx context.Context, portalID ids.Portal, a *Account, now time.Time) error {
	if a.UnverifiedSince == nil {
		return nil
	}
	return r.hold(ctx, portalID, a.Email, a.ID, now)
}

// delete removes an account and, with it, its sessions. Errors: database.ErrNotFound.
func (r *Repository) delete(ctx context.Context, portalID ids.Portal, id ids.Account) error {
	return database.Changed(r.db.From(ctx).Exec("DELETE FROM accounts WHERE portal_id = ? AND id = ?", portalID, id))
}

// SweepUnverified deletes at most batch unverified registrations that were made, and mailed for the last time, before a
// time. It returns how many it deleted.
func (r *Repository) SweepUnverified(ctx context.Context, before time.Time, batch int) (int, error) {
	portals := r.db.From(database.AcrossPortals(ctx, "the portals of unverified registrations to sweep")).Raw(
		`SELECT DISTINCT portal_id FROM accounts WHERE claimed_at < ? AND disabled_at IS NULL`, before.UnixMilli())
	return database.SweepPortals(portals, batch, func(portalID ids.Portal, limit int) *gorm.DB {
		// MATERIALIZED keeps a join from running the SELECT again, which would lock and delete more rows than the limit.
		return r.db.From(ctx).Exec(`WITH old AS MATERIALIZED (SELECT a.id FROM accounts a
				WHERE a.portal_id = @portal AND a.claimed_at < @before AND a.disabled_at IS NULL
					AND NOT EXISTS (SELECT 1 FROM deliveries d
						WHERE d.portal_id = @portal AND d.account_id = a.id AND d.created_at >= @before)
				LIMIT @limit`+r.db.Dialect().Lock("FOR UPDATE OF a SKIP LOCKED")+`)
			DELETE FROM accounts WHERE portal_id = @portal AND id IN (SELECT id FROM old)
				AND claimed_at IS NOT NULL AND disabled_at IS NULL`,
			map[string]any{"portal": portalID, "before": before.UnixMilli(), "limit": limit})
	})
}
