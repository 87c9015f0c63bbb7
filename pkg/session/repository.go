package session

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/lockout"
	"github.com/latchkey-auth/latchkey/pkg/slidinglog"
)

// Repository keeps session rows.
type Repository struct{ db *database.DB }

// NewRepository keeps sessions in db.
func NewRepository(db *database.DB) *Repository { return &Repository{db} }

// row holds the columns of a session that are read outside a refresh; times are Unix milliseconds.
type row struct {
	PortalID   ids.Portal
	ID         ids.Session
	AccountID  ids.Account
	Transport  string
	DeviceName *string
	Network    string
	UserAgent  string
	CreatedAt  int64
	RotatedAt  int64
	ExpiresAt  int64
	EndsAt     int64
	Forgiven   slidinglog.Log
}

func (row) TableName() string { return "sessions" }

func (r row) session() *Session {
	s := &Session{
		ID: r.ID, Transport: r.Transport, DeviceName: r.DeviceName, Network: r.Network, UserAgent: r.UserAgent,
		CreatedAt: *database.Time(&r.CreatedAt), ExpiresAt: *database.Time(&r.ExpiresAt), EndsAt: *database.Time(&r.EndsAt),
	}
	if used := max(r.RotatedAt, r.Forgiven.Nth(1)); used != 0 {
		s.RefreshedAt = database.Time(&used)
	}
	return s
}

// insert adds a session if nothing has changed since the person was checked: the account has the same stamp and is not
// disabled, and the address guarded is not locked. A zero guarded is for ways in that a lock does not close. It reports
// whether the session was added. Raw because this one statement decides the race against a lock and a password change.
func (r *Repository) insert(
	ctx context.Context, portalID ids.Portal, a *account.Account, s *Session, guarded digest.Digest,
) (bool, error) {
	at := s.CreatedAt.UnixMilli()
	inserted := r.db.From(ctx).Exec(`INSERT INTO sessions (portal_id, id, account_id, generation, key_id, key_from,
			security_stamp, amr, transport, device_name, network, user_agent, created_at, rotated_at, expires_at, ends_at)
		SELECT a.portal_id, ?, a.id, ?, ?, ?, a.security_stamp, ?, ?, ?, ?, ?, ?, 0, ?, ?
		FROM accounts a WHERE a.portal_id = ? AND a.id = ? AND a.security_stamp = ? AND a.disabled_at IS NULL
			AND NOT EXISTS (SELECT 1 FROM lockouts l WHERE l.portal_id = ? AND l.kind = ? AND l.subject = ?
				AND (l.locked_until > ? OR l.in_a_row >= ?))`,
		s.ID, s.Generation, s.KeyID, s.Generation, strings.Join(s.Methods, " "), s.Transport, s.DeviceName,
		s.Network, s.UserAgent, at, s.ExpiresAt.UnixMilli(), s.EndsAt.UnixMilli(), portalID, a.ID, a.SecurityStamp, portalID, lockout.Login, guarded,
		at, lockout.InARow)
	err := database.Err(inserted.Error)
	if errors.Is(err, database.ErrForeignKey) {
		return false, nil // the account was deleted while the row was written
	}
	return inserted.RowsAffected == 1 && err == nil, err
}

// alive selects one session that has not been ended.
func (r *Repository) alive(ctx context.Context, portalID ids.Portal, id ids.Session) *gorm.DB {
	return r.db.From(ctx).Where("portal_id = ? AND id = ? AND ended_at IS NULL", portalID, id)
}

// end ends a session. Errors: database.ErrNotFound when it has been ended before.
func (r *Repository) end(ctx context.Context, portalID ids.Portal, id ids.Session, now time.Time) error {
	_, err := ended(r.alive(ctx, portalID, id), now)
	return err
}

// ended ends the one session that a query selects and returns its account. Errors: database.ErrNotFound.
func ended(query *gorm.DB, now time.Time) (ids.Account, error) {
	var of row
	done := query.Model(&of).Clauses(clause.Returning{Columns: []clause.Column{{Name: "account_id"}}}).
		Update("ended_at", now.UnixMilli())
	return of.AccountID, database.Changed(done)
}

// endOf ends a session of an account. Errors: database.ErrNotFound.
func (r *Repository) endOf(
	ctx context.Context, portalID ids.Portal, accountID ids.Account, id ids.Session, now time.Time,
) error {
	return database.Changed(r.alive(ctx, portalID, id).Model(&row{}).Where("account_id = ?", accountID).
		Update("ended_at", now.UnixMilli()))
}

// endAll ends every session of an account.
func (r *Repository) endAll(ctx context.Context, portalID ids.Portal, accountID ids.Account, now time.Time) error {
	return database.Err(r.db.From(ctx).Model(&row{}).
		Where("portal_id = ? AND account_id = ? AND ended_at IS NULL", portalID, accountID).
		Update("ended_at", now.UnixMilli()).Error)
}

// keep gives a session the account's new stamp, so that it outlives a change of the password made in it.
func (r *Repository) keep(ctx context.Context, portalID ids.Portal, id ids.Session, stamp uuid.UUID) error {
	return database.Err(r.db.From(ctx).Model(&row{}).Where("portal_id = ? AND id = ?", portalID, id).
		Update("security_stamp", stamp).Error)
}

// page is a place in the list of an account's sessions, newest first.
type page struct {
	before ids.Session // the last session of the page before; zero for the first page
	limit  int
}

// living lists the sessions of an account that have not ended, newest first.
func (r *Repository) living(
	ctx context.Context, portalID ids.Portal, a *account.Account, at page, now time.Time,
) ([]*Session, error) {
	query := r.db.From(ctx).Where("portal_id = ? AND account_id = ? AND security_stamp = ? AND ended_at IS NULL",
		portalID, a.ID, a.SecurityStamp).Where("expires_at > ? AND ends_at > ?", now.UnixMilli(), now.UnixMilli())
	if !at.before.IsZero() {
		query = query.Where("id < ?", at.before)
	}
	var rows []row
	if err := query.Order("id DESC").Limit(at.limit).Find(&rows).Error; err != nil {
		return nil, database.Err(err)
	}
	sessions := make([]*Session, len(rows))
	for i, found := range rows {
		sessions[i] = found.session()
	}
	return sessions, nil
}

// Sweep deletes at most batch sessions that ended before a time, except each account's newest, which tells when the
// person last logged in. It gives how many were deleted. Raw because GORM's builder has no DELETE with a subquery.
func (r *Repository) Sweep(ctx context.Context, before time.Time, batch int) (int, error) {
	ctx = database.AcrossPortals(ctx, "sessions that ended are swept")
	at := before.UnixMilli()
	deleted := r.db.From(ctx).Exec(`DELETE FROM sessions WHERE (portal_id, id) IN (SELECT s.portal_id, s.id FROM sessions s
		WHERE (s.ended_at < ? OR s.expires_at < ? OR s.ends_at < ?) AND s.created_at < (SELECT MAX(n.created_at)
			FROM sessions n WHERE n.portal_id = s.portal_id AND n.account_id = s.account_id) LIMIT ?)`, at, at, at, batch)
	return int(deleted.RowsAffected), database.Err(deleted.Error)
}
