package account

import (
	"context"
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

// query selects the accounts of a portal for Scan, under the alias a.
func (r *Repository) query(ctx context.Context, portalID ids.Portal) *gorm.DB {
	return r.db.From(ctx).Table("accounts a").Select(Columns, portalID).Where("a.portal_id = ?", portalID)
}

// ByEmail finds the account with an address. Errors: database.ErrNotFound.
func (r *Repository) ByEmail(ctx context.Context, portalID ids.Portal, address email.Address) (*Account, error) {
	return Scan(r.query(ctx, portalID).Where("a.email_canonical = ?", address.Canonical()).Row())
}

// ByID finds an account. Errors: database.ErrNotFound.
func (r *Repository) ByID(ctx context.Context, portalID ids.Portal, id ids.Account) (*Account, error) {
	return Scan(r.query(ctx, portalID).Where("a.id = ?", id).Row())
}

// InSession finds the account of a live session: neither ended nor expired, made under the stamp that the account still
// has, and the account not disabled. Raw, because every call of a logged-in person runs it.
//
// Errors: database.ErrNotFound.
func (r *Repository) InSession(
	ctx context.Context, portalID ids.Portal, id ids.Account, sessionID ids.Session, now time.Time,
) (*Account, error) {
	return Scan(r.db.From(ctx).Raw(`SELECT `+Columns+` FROM accounts a
		JOIN sessions t ON t.portal_id = a.portal_id AND t.account_id = a.id
		WHERE a.portal_id = ? AND a.id = ? AND t.id = ? AND t.ended_at IS NULL AND t.expires_at > ? AND t.ends_at > ?
			AND t.security_stamp = a.security_stamp AND a.disabled_at IS NULL`,
		portalID, portalID, id, sessionID, now.UnixMilli(), now.UnixMilli()).Row())
}

// forUpdate reads an account. On Postgres it locks the row until the transaction of ctx ends; in SQLite only one
// transaction writes at a time. Raw, because only Postgres knows the locking clause.
func (r *Repository) forUpdate(ctx context.Context, portalID ids.Portal, id ids.Account) (*Account, error) {
	return Scan(r.db.From(ctx).Raw(`SELECT `+Columns+` FROM accounts a WHERE a.portal_id = ? AND a.id = ?`+
		r.db.Dialect().Lock("FOR UPDATE OF a"), portalID, portalID, id).Row())
}

// Page lists the accounts that match q (email, names, phone), newest first, from before the id.
func (r *Repository) Page(
	ctx context.Context, portalID ids.Portal, q string, before ids.Account, limit int,
) ([]*Account, error) {
	query := r.query(ctx, portalID)
	if q != "" {
		query = query.Where("a.search LIKE ? ESCAPE '!'", SearchPattern(q))
	}
	if !before.IsZero() {
		query = query.Where("a.id < ?", before)
	}
	return database.Collect(query.Order("a.id DESC").Limit(limit),
		func(row database.Row) (*Account, error) { return Scan(row) })
}

// update writes every column of an account that forUpdate read in this transaction.
//
// Errors: *database.ConflictError on email_canonical, or on phone.
func (r *Repository) update(ctx context.Context, portalID ids.Portal, a *Account) error {
	written, err := rowOf(portalID, a)
	if err != nil {
		return err
	}
	return database.Err(r.db.From(ctx).Model(&row{}).Select("*").Omit("portal_id", "id", "created_at").
		Where("portal_id = ? AND id = ?", portalID, a.ID).Updates(&written).Error)
}

// Rehash replaces a password's hash by a stronger one of the same password, unless the password changed meanwhile.
func (r *Repository) Rehash(ctx context.Context, portalID ids.Portal, id ids.Account, weaker, hash string) error {
	return database.Err(r.db.From(ctx).Model(&row{}).
		Where("portal_id = ? AND id = ? AND password_hash = ?", portalID, id, weaker).
		Update("password_hash", hash).Error)
}

// unchanged matches an account that is enabled and still has the stamp under which a password or a secret was checked.
const unchanged = "portal_id = ? AND id = ? AND security_stamp = ? AND disabled_at IS NULL"

// SetPassword sets a new hash if the account is unchanged since the old password was checked, and returns the new
// stamp.
//
// Errors: database.ErrNotFound when the account changed.
func (r *Repository) SetPassword(
	ctx context.Context, portalID ids.Portal, checked *Account, hash string, now time.Time,
) (uuid.UUID, error) {
	stamp := uuid.New()
	return stamp, database.Changed(r.db.From(ctx).Model(&row{}).
		Where(unchanged, portalID, checked.ID, checked.SecurityStamp).
		Updates(map[string]any{"password_hash": hash, "security_stamp": stamp, "updated_at": now.UnixMilli()}))
}

// endInvitations ends the invitations for an account's address, and ties them to the account, so that they are deleted
// with it. Done here, so that every way to create an account does it; the table is pkg/invitation's. Invitations are
// locked before accounts. Raw, because the order of its locks keeps writers from deadlocking.
func (r *Repository) endInvitations(
	ctx context.Context, portalID ids.Portal, address email.Address, id ids.Account, now time.Time,
) error {
	return database.Err(r.db.From(ctx).Exec(`UPDATE invitations SET open = FALSE, account_id = ?,
			expires_at = CASE WHEN expires_at > ? THEN ? ELSE expires_at END
		WHERE portal_id = ? AND accepted_at IS NULL AND deleted_at IS NULL
			AND `+InOrder(r.db.Dialect(), "o.email_canonical = ?"),
		id, now.UnixMilli(), now.UnixMilli(), portalID, portalID, address.Canonical()).Error)
}

// InOrder returns a WHERE clause that selects the invitations matching condition (alias o) and locks them in number
// order, so that concurrent writers cannot deadlock. Its parameters are the portal's id and those of condition.
func InOrder(d database.Dialect, condition string) string {
	return "id IN (SELECT o.id FROM invitations o WHERE o.portal_id = ? AND " + condition + " ORDER BY o.number" +
		d.Lock("FOR UPDATE") + ")"
}

// unverified selects the unverified registrations of a portal.
func (r *Repository) unverified(ctx context.Context, portalID ids.Portal) *gorm.DB {
	return r.db.From(ctx).Where("portal_id = ? AND claimed_at IS NOT NULL", portalID)
}

// ReplaceUnverified inserts an account, in place of the unverified registration that has its address, if any. It reports
// false if another account has the address. One unverified registration replaces another only if that is enabled; it is
// contested from then on.
//
// Errors: *database.ConflictError on phone.
func (r *Repository) ReplaceUnverified(ctx context.Context, portalID ids.Portal, a *Account) (bool, error) {
	replaced := r.unverified(ctx, portalID).Where("email_canonical = ?", a.Email.Canonical())
	if a.UnverifiedSince != nil {
		replaced = replaced.Where("disabled_at IS NULL")
	} else if err := r.endInvitations(ctx, portalID, a.Email, a.ID, a.CreatedAt); err != nil {
		return false, err
	}
	deleted := replaced.Delete(&row{})
	if deleted.Error != nil {
		return false, database.Err(deleted.Error)
	}
	if a.UnverifiedSince != nil && deleted.RowsAffected > 0 {
		a.ContestedSince = a.UnverifiedSince
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

// DropUnverified deletes the unverified registrations of addresses that are invited.
func (r *Repository) DropUnverified(ctx context.Context, portalID ids.Portal, canonical []string) error {
	return database.Err(r.unverified(ctx, portalID).Where("email_canonical IN ?", canonical).Delete(&row{}).Error)
}

// DropOtherUnverified deletes the unverified registration of an address that an account is given.
func (r *Repository) DropOtherUnverified(
	ctx context.Context, portalID ids.Portal, address email.Address, to ids.Account,
) error {
	return database.Err(r.unverified(ctx, portalID).Where("email_canonical = ? AND id <> ?", address.Canonical(), to).
		Delete(&row{}).Error)
}

// proved are the columns of an account whose mailbox was just proved.
func proved(now time.Time) map[string]any {
	return map[string]any{
		"confirmed_at": gorm.Expr("COALESCE(confirmed_at, ?)", now.UnixMilli()), "claimed_at": nil, "contested_at": nil,
		"updated_at": now.UnixMilli(),
	}
}

// provedAnew are the columns of proved for an account that keeps nothing of an unverified registration: a stranger may
// have chosen its password and its names. The new stamp ends all sessions and secrets.
func provedAnew(a *Account, hash *string, now time.Time) map[string]any {
	columns := proved(now)
	columns["password_hash"], columns["security_stamp"] = hash, uuid.New()
	columns["given_name"] = gorm.Expr("CASE WHEN claimed_at IS NULL THEN given_name END")
	columns["family_name"] = gorm.Expr("CASE WHEN claimed_at IS NULL THEN family_name END")
	columns["search"] = gorm.Expr("CASE WHEN claimed_at IS NULL THEN search ELSE ? END", SearchText(a.Email))
	return columns
}

// Confirm notes that the mailbox was proved. An unverified registration becomes an account.
//
// Errors: database.ErrNotFound when the account changed since the proof was sent.
func (r *Repository) Confirm(
	ctx context.Context, portalID ids.Portal, a *Account, stamp uuid.UUID, now time.Time,
) error {
	if err := r.endInvitationsOfUnverified(ctx, portalID, a, now); err != nil {
		return err
	}
	return database.Changed(r.db.From(ctx).Model(&row{}).Where(unchanged, portalID, a.ID, stamp).Updates(proved(now)))
}

// NewPassword is the hash of the password that a person sets who proved the mailbox. Stamp is the account's when the
// proof was sent.
type NewPassword struct {
	Hash  string
	Stamp uuid.UUID
	Now   time.Time
}

// ConfirmAnew is Confirm for an unverified registration whose password may be a stranger's choice: the password and the
// names are dropped, and all sessions and secrets end.
//
// Errors: Confirm's.
func (r *Repository) ConfirmAnew(
	ctx context.Context, portalID ids.Portal, a *Account, stamp uuid.UUID, now time.Time,
) error {
	if err := r.endInvitationsOfUnverified(ctx, portalID, a, now); err != nil {
		return err
	}
	return database.Changed(r.db.From(ctx).Model(&row{}).Where(unchanged, portalID, a.ID, stamp).
		Updates(provedAnew(a, nil, now)))
}

// ResetPassword sets the password of a person who proved the mailbox. The new stamp ends all sessions and secrets. Nothing
// else that a stranger may have chosen for an unverified registration is kept.
//
// Errors: database.ErrNotFound when the account changed since the proof was sent.
func (r *Repository) ResetPassword(ctx context.Context, portalID ids.Portal, a *Account, set NewPassword) error {
	if err := r.endInvitationsOfUnverified(ctx, portalID, a, set.Now); err != nil {
		return err
	}
	return database.Changed(r.db.From(ctx).Model(&row{}).Where(unchanged, portalID, a.ID, set.Stamp).
		Updates(provedAnew(a, &set.Hash, set.Now)))
}

// endInvitationsOfUnverified is endInvitations for an unverified registration that becomes an account.
func (r *Repository) endInvitationsOfUnverified(
	ctx context.Context, portalID ids.Portal, a *Account, now time.Time,
) error {
	if a.UnverifiedSince == nil {
		return nil
	}
	return r.endInvitations(ctx, portalID, a.Email, a.ID, now)
}

// delete removes an account and, with it, its sessions. Errors: database.ErrNotFound.
func (r *Repository) delete(ctx context.Context, portalID ids.Portal, id ids.Account) error {
	return database.Changed(r.db.From(ctx).Where("portal_id = ? AND id = ?", portalID, id).Delete(&row{}))
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
