package session

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/lockout"
)

// Repository keeps session rows.
type Repository struct{ db *database.DB }

// NewRepository keeps sessions in db.
func NewRepository(db *database.DB) *Repository { return &Repository{db} }

// insert adds a session if the account still is what the person proved to be: the same stamp, not disabled, and the
// password of guarded (an address's digest; zero for doors that a lock does not shut) not locked. It reports whether it
// was.
func (r *Repository) insert(ctx context.Context, portalID ids.Portal, a *account.Account, s *Session, guarded digest.Digest) (bool, error) {
	at := s.CreatedAt.UnixMilli()
	inserted := r.db.From(ctx).Exec(`INSERT INTO sessions (portal_id, id, account_id, generation, key_id, security_stamp,
			transport, device_name, network, user_agent, created_at, rotated_at, expires_at, ends_at)
		SELECT a.portal_id, ?, a.id, ?, ?, a.security_stamp, ?, ?, ?, ?, ?, 0, ?, ?
		FROM accounts a WHERE a.portal_id = ? AND a.id = ? AND a.security_stamp = ? AND a.disabled_at IS NULL
			AND NOT EXISTS (SELECT 1 FROM lockouts l WHERE l.portal_id = a.portal_id AND l.kind = ? AND l.subject = ?
				AND (l.locked_until > ? OR l.in_a_row >= ?))`,
		s.ID, s.Generation, s.KeyID, s.Transport, s.DeviceName, s.Network, s.UserAgent, at, s.ExpiresAt.UnixMilli(),
		s.EndsAt.UnixMilli(), portalID, a.ID, a.SecurityStamp, lockout.Login, guarded, at, lockout.InARow)
	err := database.Err(inserted.Error)
	if errors.Is(err, database.ErrForeignKey) {
		return false, nil // the account was deleted while the row was written
	}
	return inserted.RowsAffected == 1 && err == nil, err
}

// reusedError means that a token of an older generation came back: it was stolen, or its thief's was. The account's
// session has ended.
type reusedError struct{ account ids.Account }

func (reusedError) Error() string { return "session: refresh token reused" }

// errOwnerless means that the session's stamp is not the account's, as far as the statement saw.
var errOwnerless = errors.New("session: not of the account as it is")

// refresh is one statement: rotation, grace, theft and both ends, with nothing around it that could roll back.
//
//   - The current generation goes up by one, though not twice within the grace: until then it stays.
//   - The generation before it is forgiven within the grace, and gets the current one too.
//   - Any older one, or that one later, ends the session.
//   - One that the database has not reached (a restored backup) finds no row, nor does one of a session that has ended.
const refresh = `UPDATE sessions SET
		ended_at = CASE WHEN ` + stolen + ` THEN CAST(@now AS BIGINT) END,
		generation = CASE WHEN ` + rotates + ` THEN generation + 1 ELSE generation END,
		key_id = CASE WHEN ` + rotates + ` THEN CAST(@key AS BIGINT) ELSE key_id END,
		rotated_at = CASE WHEN ` + rotates + ` THEN CAST(@now AS BIGINT) ELSE rotated_at END,
		expires_at = CASE WHEN ` + rotates + ` THEN CAST(@expires AS BIGINT) ELSE expires_at END
	WHERE portal_id = @portal AND id = @id AND ended_at IS NULL AND expires_at > @now AND ends_at > @now
		AND generation >= @generation
	RETURNING account_id, generation, key_id, transport, expires_at, ends_at, ended_at, `

const (
	stolen  = `(generation > @generation + 1 OR (generation > @generation AND rotated_at + @grace <= @now))`
	rotates = `(generation = @generation AND rotated_at + @grace <= @now)`
	// itsAccount is the account, if the session's stamp still is the account's. The table has no alias here: SQLite takes
	// none where RETURNING holds a subquery.
	itsAccount = ` FROM accounts a WHERE a.portal_id = sessions.portal_id AND a.id = sessions.account_id
		AND a.security_stamp = sessions.security_stamp AND a.disabled_at IS NULL`
)

// refresh brings a session forward from a generation. Errors: database.ErrNotFound when it has ended; errOwnerless
// when the account has changed since it began; reusedError when it ends here.
func (r *Repository) refresh(ctx context.Context, portalID ids.Portal, id ids.Session, generation int64, key keyring.ID,
	expires time.Time, grace time.Duration, now time.Time) (*Session, *account.Account, error) {
	s := &Session{ID: id}
	var (
		owner           ids.Account
		packed          []byte
		expiresAt, ends int64
		ended           *int64
	)
	err := r.db.From(ctx).Raw(refresh+`(SELECT `+account.Packed(r.db.Dialect())+itsAccount+`)`, map[string]any{
		"portal": portalID, "id": id, "generation": generation, "key": key, "now": now.UnixMilli(),
		"expires": expires.UnixMilli(), "grace": grace.Milliseconds(),
	}).Row().Scan(&owner, &s.Generation, &s.KeyID, &s.Transport, &expiresAt, &ends, &ended, &packed)
	switch {
	case err != nil:
		return nil, nil, database.Err(err)
	case ended != nil:
		return nil, nil, reusedError{owner}
	case packed == nil:
		return nil, nil, errOwnerless
	}
	s.ExpiresAt, s.EndsAt = *database.Time(&expiresAt), *database.Time(&ends)
	a, err := account.ScanPacked(packed)
	return s, a, err
}

// end ends a living session and tells whose it was. Errors: database.ErrNotFound.
func (r *Repository) end(ctx context.Context, portalID ids.Portal, id ids.Session, now time.Time) (owner ids.Account, err error) {
	err = r.db.From(ctx).Raw(`UPDATE sessions SET ended_at = ? WHERE portal_id = ? AND id = ? AND ended_at IS NULL
		RETURNING account_id`, now.UnixMilli(), portalID, id).Row().Scan(&owner)
	return owner, database.Err(err)
}

// endOf ends a living session of an account. Errors: database.ErrNotFound.
func (r *Repository) endOf(ctx context.Context, portalID ids.Portal, accountID ids.Account, id ids.Session, now time.Time) error {
	return database.Changed(r.db.From(ctx).Exec(`UPDATE sessions SET ended_at = ?
		WHERE portal_id = ? AND id = ? AND account_id = ? AND ended_at IS NULL`, now.UnixMilli(), portalID, id, accountID))
}

// endAll ends every living session of an account.
func (r *Repository) endAll(ctx context.Context, portalID ids.Portal, accountID ids.Account, now time.Time) error {
	return database.Err(r.db.From(ctx).Exec(`UPDATE sessions SET ended_at = ?
		WHERE portal_id = ? AND account_id = ? AND ended_at IS NULL`, now.UnixMilli(), portalID, accountID).Error)
}

// keep gives one session the account's new stamp, so that it alone outlives a change of the password made in it.
func (r *Repository) keep(ctx context.Context, portalID ids.Portal, id ids.Session, stamp uuid.UUID) error {
	return database.Err(r.db.From(ctx).Exec(`UPDATE sessions SET security_stamp = ? WHERE portal_id = ? AND id = ?`,
		stamp, portalID, id).Error)
}

// living lists an account's living sessions, newest first, from before the id.
func (r *Repository) living(ctx context.Context, portalID ids.Portal, a *account.Account, now time.Time, before ids.Session, limit int) ([]*Session, error) {
	query := `SELECT id, transport, device_name, network, user_agent, created_at, rotated_at, expires_at, ends_at
		FROM sessions WHERE portal_id = ? AND account_id = ? AND security_stamp = ? AND ended_at IS NULL
			AND expires_at > ? AND ends_at > ?`
	args := []any{portalID, a.ID, a.SecurityStamp, now.UnixMilli(), now.UnixMilli()}
	if !before.IsZero() {
		query, args = query+` AND id < ?`, append(args, before)
	}
	return database.Collect(r.db.From(ctx).Raw(query+` ORDER BY id DESC LIMIT ?`, append(args, limit)...), func(row database.Row) (*Session, error) {
		var s Session
		var created, rotated, expires, ends int64
		err := row.Scan(&s.ID, &s.Transport, &s.DeviceName, &s.Network, &s.UserAgent, &created, &rotated, &expires, &ends)
		s.CreatedAt, s.ExpiresAt, s.EndsAt = *database.Time(&created), *database.Time(&expires), *database.Time(&ends)
		if rotated != 0 {
			s.RotatedAt = database.Time(&rotated)
		}
		return &s, err
	})
}

// Sweep deletes at most batch sessions that ended before a time, but leaves each account its newest: that is its last
// login. It tells how many went.
func (r *Repository) Sweep(ctx context.Context, before time.Time, batch int) (int, error) {
	ctx = database.AcrossPortals(ctx, "sessions that ended are swept")
	at := before.UnixMilli()
	gone := r.db.From(ctx).Exec(`DELETE FROM sessions WHERE (portal_id, id) IN (SELECT s.portal_id, s.id FROM sessions s
		WHERE (s.ended_at < ? OR s.expires_at < ? OR s.ends_at < ?) AND s.created_at < (SELECT MAX(n.created_at)
			FROM sessions n WHERE n.portal_id = s.portal_id AND n.account_id = s.account_id) LIMIT ?)`, at, at, at, batch)
	return int(gone.RowsAffected), database.Err(gone.Error)
}
