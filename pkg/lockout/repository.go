package lockout

import (
	"context"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/portal"
	"github.com/latchkey-auth/latchkey/pkg/slidinglog"
)

// Repository keeps the counts. A subject is the keyed digest of an address.
type Repository struct{ db *database.DB }

// NewRepository keeps counts in db.
func NewRepository(db *database.DB) *Repository { return &Repository{db} }

// Columns are what Scanned reads, of the table by the alias l; a row that is not there (an outer join) reads as the
// zero State.
const Columns = `COALESCE(l.failures, ''), COALESCE(l.in_a_row, 0), COALESCE(l.locked_until, 0)`

// Scanned is where a scan of Columns writes.
func (s *State) Scanned() []any { return []any{&s.failures, &s.inARow, &s.lockedUntil} }

// fail is one statement, so that of any number of failures at once exactly as many are counted as the threshold
// allows, on any number of instances: a failure while locked, or after the hundredth in a row, changes nothing and is
// marked as not counted. The nth newest entry of the log is compared as text, which its fixed width allows.
var fail = `INSERT INTO lockouts (portal_id, kind, subject, failures, in_a_row, locked_at, locked_until, lock_length,
		counted, updated_at)
	VALUES (@portal, @kind, @subject, @first, 1, @first_at, @first_until, @first_length, TRUE, @now)
	ON CONFLICT (portal_id, kind, subject) DO UPDATE SET
		counted = ` + heard + `,
		failures = CASE WHEN ` + trips + ` THEN '' WHEN ` + heard + ` THEN ` + slidinglog.SQLAdd("@entry", "lockouts.failures", "@octets") + `
			ELSE lockouts.failures END,
		in_a_row = lockouts.in_a_row + CASE WHEN ` + heard + ` THEN 1 ELSE 0 END,
		locked_at = CASE WHEN ` + trips + ` THEN @now ELSE lockouts.locked_at END,
		locked_until = CASE WHEN ` + trips + ` THEN @now + ` + length + ` ELSE lockouts.locked_until END,
		lock_length = CASE WHEN ` + trips + ` THEN ` + length + ` ELSE lockouts.lock_length END,
		updated_at = @now
	RETURNING counted, failures, in_a_row, locked_until`

var (
	heard  = `(lockouts.locked_until <= @now AND lockouts.in_a_row < @in_a_row)`
	trips  = `(` + heard + ` AND (@threshold = 1 OR ` + slidinglog.SQLTime("lockouts.failures", "@last") + ` > @cutoff))`
	length = `(CASE WHEN lockouts.locked_at <= @yesterday OR lockouts.lock_length * 2 < @duration THEN CAST(@duration AS BIGINT)
		WHEN lockouts.lock_length * 2 > @max THEN CAST(@max AS BIGINT) ELSE lockouts.lock_length * 2 END)`
)

// Fail counts a failure, unless the lock came first: then counted is false and nothing has changed.
func (r *Repository) Fail(ctx context.Context, portalID ids.Portal, kind Kind, subject digest.Digest, rules portal.Lockout,
	now time.Time) (after State, counted bool, err error) {
	at, duration := now.UnixMilli(), rules.Duration.Duration().Milliseconds()
	args := map[string]any{
		"portal": portalID, "kind": kind, "subject": subject, "now": at, "in_a_row": InARow,
		"entry": slidinglog.At(now), "octets": slidinglog.Octets(rules.Threshold), "threshold": rules.Threshold,
		"last": slidinglog.Start(rules.Threshold - 1), "cutoff": slidinglog.At(now.Add(-window(rules))),
		"duration": duration, "max": rules.MaxDuration.Duration().Milliseconds(),
		"yesterday": now.Add(-doublingWithin).UnixMilli(),
		"first":     slidinglog.At(now), "first_at": 0, "first_until": 0, "first_length": 0,
	}
	if rules.Threshold == 1 {
		args["first"], args["first_at"], args["first_until"], args["first_length"] = "", at, at+duration, duration
	}
	err = r.db.From(ctx).Raw(fail, args).Row().Scan(append([]any{&counted}, after.Scanned()...)...)
	return after, counted, database.Err(err)
}

// Get reads the count of a subject.
func (r *Repository) Get(ctx context.Context, portalID ids.Portal, kind Kind, subject digest.Digest) (State, error) {
	var state State
	err := r.db.From(ctx).Raw(`SELECT `+Columns+` FROM (SELECT 1 AS one) o
		LEFT JOIN lockouts l ON l.portal_id = ? AND l.kind = ? AND l.subject = ?`, portalID, kind, subject).
		Row().Scan(state.Scanned()...)
	return state, database.Err(err)
}

// Succeed clears the count, unless the lock came first; the doubling of the next lock stays. In a transaction the
// row is then locked: no failure is counted until it ends.
func (r *Repository) Succeed(ctx context.Context, portalID ids.Portal, kind Kind, subject digest.Digest, now time.Time) (bool, error) {
	cleared := r.db.From(ctx).Exec(`UPDATE lockouts SET failures = '', in_a_row = 0, updated_at = ?
		WHERE portal_id = ? AND kind = ? AND subject = ? AND locked_until <= ? AND in_a_row < ?`,
		now.UnixMilli(), portalID, kind, subject, now.UnixMilli(), InARow)
	return cleared.RowsAffected == 1, database.Err(cleared.Error)
}

// Forget ends the lock and forgets count and doubling, as a reset and an administrator do.
func (r *Repository) Forget(ctx context.Context, portalID ids.Portal, kind Kind, subject digest.Digest) error {
	return database.Err(r.db.From(ctx).Exec(`DELETE FROM lockouts WHERE portal_id = ? AND kind = ? AND subject = ?`,
		portalID, kind, subject).Error)
}

// LockedUntil tells which of the subjects are locked, and until when.
func (r *Repository) LockedUntil(ctx context.Context, portalID ids.Portal, kind Kind, subjects []digest.Digest, now time.Time) (map[digest.Digest]time.Time, error) {
	locked := make(map[digest.Digest]time.Time)
	if len(subjects) == 0 {
		return locked, nil
	}
	_, err := database.Collect(r.db.From(ctx).Raw(`SELECT subject, locked_until FROM lockouts
		WHERE portal_id = ? AND kind = ? AND subject IN ? AND locked_until > ?`, portalID, kind, subjects, now.UnixMilli()),
		func(row database.Row) (subject digest.Digest, err error) {
			var until int64
			err = row.Scan(&subject, &until)
			locked[subject] = time.UnixMilli(until).UTC()
			return subject, err
		})
	return locked, err
}

// Sweep deletes at most batch counts that nothing happened to since a time, and tells how many went. Passwords that are
// off until a reset stay so.
func (r *Repository) Sweep(ctx context.Context, before time.Time, batch int) (int, error) {
	ctx = database.AcrossPortals(ctx, "counts that are over are swept")
	gone := r.db.From(ctx).Exec(`DELETE FROM lockouts WHERE (portal_id, kind, subject) IN (
		SELECT l.portal_id, l.kind, l.subject FROM lockouts l WHERE l.updated_at < ? AND l.in_a_row < ? LIMIT ?)`,
		before.UnixMilli(), InARow, batch)
	return int(gone.RowsAffected), database.Err(gone.Error)
}
