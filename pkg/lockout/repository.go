package lockout

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/portal"
	"github.com/latchkey-auth/latchkey/pkg/slidinglog"
)

// Repository keeps the counts. Each belongs to the keyed digest of an address, or of an account.
type Repository struct{ db *database.DB }

// NewRepository returns the counts in db.
func NewRepository(db *database.DB) *Repository { return &Repository{db} }

// row is the part of a count that simple reads need. Times are Unix milliseconds.
type row struct {
	PortalID    ids.Portal
	Kind        Kind
	Subject     digest.Digest
	Failures    slidinglog.Log
	InARow      int64
	LockedUntil int64
}

func (row) TableName() string { return "lockouts" }

// Columns are the columns that Scanned reads, of the table with the alias l. A row that an outer join did not find
// reads as the zero State.
const Columns = `COALESCE(l.failures, ''), COALESCE(l.in_a_row, 0), COALESCE(l.locked_until, 0)`

// Scanned is where a scan of Columns writes.
func (s *State) Scanned() []any { return []any{&s.failures, &s.inARow, &s.lockedUntil} }

// fail is raw SQL because one statement has to decide the race: of any number of failures at once, on any number of
// instances, exactly as many are counted as the threshold allows. A failure while locked, or after the hundredth in a
// row, changes nothing and is marked as not counted. The nth newest time of the log is compared as text, which its
// fixed width allows.
var fail = `INSERT INTO lockouts (portal_id, kind, subject, failures, in_a_row, locked_at, locked_until, lock_length,
		counted, updated_at)
	VALUES (@portal, @kind, @subject, @first, 1, @first_at, @first_until, @first_length, TRUE, @now)
	ON CONFLICT (portal_id, kind, subject) DO UPDATE SET
		counted = ` + counts + `,
		failures = CASE WHEN ` + locks + ` THEN ''
			WHEN ` + counts + ` THEN ` + slidinglog.SQLAdd("@entry", "lockouts.failures", "@octets") + `
			ELSE lockouts.failures END,
		in_a_row = lockouts.in_a_row + CASE WHEN ` + counts + ` THEN 1 ELSE 0 END,
		locked_at = CASE WHEN ` + locks + ` THEN @now ELSE lockouts.locked_at END,
		locked_until = CASE WHEN ` + locks + ` THEN @now + ` + length + ` ELSE lockouts.locked_until END,
		lock_length = CASE WHEN ` + locks + ` THEN ` + length + ` ELSE lockouts.lock_length END,
		updated_at = @now
	RETURNING counted, failures, in_a_row, locked_until`

var (
	counts = `(lockouts.locked_until <= @now AND lockouts.in_a_row < @in_a_row)`
	locks  = `(` + counts + ` AND (@threshold = 1 OR ` + slidinglog.SQLTime("lockouts.failures", "@last") + ` > @cutoff))`
	length = `(CASE WHEN lockouts.locked_at <= @yesterday OR lockouts.lock_length * 2 < @duration
			THEN CAST(@duration AS BIGINT)
		WHEN lockouts.lock_length * 2 > @max THEN CAST(@max AS BIGINT) ELSE lockouts.lock_length * 2 END)`
)

// Failure is a wrong password to be counted.
type Failure struct {
	Kind   Kind
	Digest digest.Digest // of the address, or of the account
	Rules  portal.Lockout
	At     time.Time
}

// Fail counts a failure. If the lock came first, counted is false and nothing has changed.
func (r *Repository) Fail(ctx context.Context, portalID ids.Portal, f Failure) (after State, counted bool, err error) {
	at, duration := f.At.UnixMilli(), f.Rules.Duration.Duration().Milliseconds()
	args := map[string]any{
		"portal": portalID, "kind": f.Kind, "subject": f.Digest, "now": at, "in_a_row": InARow,
		"entry": slidinglog.At(f.At), "octets": slidinglog.Octets(f.Rules.Threshold), "threshold": f.Rules.Threshold,
		"last": slidinglog.Start(f.Rules.Threshold - 1), "cutoff": slidinglog.At(f.At.Add(-window(f.Rules))),
		"duration": duration, "max": f.Rules.MaxDuration.Duration().Milliseconds(),
		"yesterday": f.At.Add(-doublingWithin).UnixMilli(),
		"first":     slidinglog.At(f.At), "first_at": 0, "first_until": 0, "first_length": 0,
	}
	if f.Rules.Threshold == 1 {
		args["first"], args["first_at"], args["first_until"], args["first_length"] = "", at, at+duration, duration
	}
	err = r.db.From(ctx).Raw(fail, args).Row().Scan(append([]any{&counted}, after.Scanned()...)...)
	return after, counted, database.Err(err)
}

// of selects one count.
func (r *Repository) of(ctx context.Context, portalID ids.Portal, kind Kind, owner digest.Digest) *gorm.DB {
	return r.db.From(ctx).Where("portal_id = ? AND kind = ? AND subject = ?", portalID, kind, owner)
}

// Get reads the count of an address or account.
func (r *Repository) Get(ctx context.Context, portalID ids.Portal, kind Kind, owner digest.Digest) (State, error) {
	var found row
	err := database.Err(r.of(ctx, portalID, kind, owner).Take(&found).Error)
	if errors.Is(err, database.ErrNotFound) {
		return State{}, nil
	}
	return State{found.Failures, found.InARow, found.LockedUntil}, err
}

// succeed is raw SQL because it decides a race: it clears nothing where the lock came first.
const succeed = `UPDATE lockouts SET failures = '', in_a_row = 0, updated_at = @now
	WHERE portal_id = @portal AND kind = @kind AND subject = @subject AND locked_until <= @now AND in_a_row < @in_a_row`

// Succeed clears the count and reports whether it did: not where the lock came first. The next lock stays doubled. In a
// transaction the row is then locked: no failure is counted until the transaction ends.
func (r *Repository) Succeed(ctx context.Context, portalID ids.Portal, kind Kind, owner digest.Digest,
	now time.Time) (bool, error) {
	cleared := r.db.From(ctx).Exec(succeed, map[string]any{
		"portal": portalID, "kind": kind, "subject": owner, "now": now.UnixMilli(), "in_a_row": InARow,
	})
	return cleared.RowsAffected == 1, database.Err(cleared.Error)
}

// Forget ends the lock and forgets count and doubling, as a reset and an administrator do.
func (r *Repository) Forget(ctx context.Context, portalID ids.Portal, kind Kind, owner digest.Digest) error {
	return database.Err(r.of(ctx, portalID, kind, owner).Delete(&row{}).Error) // most people have no count
}

// LockedUntil returns the locked ones of some addresses or accounts, each with the end of its lock.
func (r *Repository) LockedUntil(ctx context.Context, portalID ids.Portal, kind Kind, owners []digest.Digest,
	now time.Time) (map[digest.Digest]time.Time, error) {
	locked := make(map[digest.Digest]time.Time)
	if len(owners) == 0 {
		return locked, nil
	}
	var found []row
	err := r.db.From(ctx).Select("subject", "locked_until").
		Where("portal_id = ? AND kind = ? AND subject IN ? AND locked_until > ?", portalID, kind, owners, now.UnixMilli()).
		Find(&found).Error
	for _, one := range found {
		locked[one.Subject] = time.UnixMilli(one.LockedUntil).UTC()
	}
	return locked, database.Err(err)
}

// Sweep deletes at most batch counts that have not changed since a time, and returns their number. Passwords that are
// off until a reset stay off.
func (r *Repository) Sweep(ctx context.Context, before time.Time, batch int) (int, error) {
	ctx = database.AcrossPortals(ctx, "counts that are over are swept")
	over := r.db.From(ctx).Model(&row{}).Select("portal_id", "kind", "subject").
		Where("updated_at < ? AND in_a_row < ?", before.UnixMilli(), InARow).Limit(batch)
	gone := r.db.From(ctx).Where("(portal_id, kind, subject) IN (?)", over).Delete(&row{})
	return int(gone.RowsAffected), database.Err(gone.Error)
}
