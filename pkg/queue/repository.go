package queue

import (
	"context"

	"github.com/latchkey-auth/latchkey/pkg/database"
)

// WakeAll makes every job of a kind due that waits for its next run.
func (q *Queue) WakeAll(ctx context.Context, kind string) error {
	return q.wake(ctx, `kind = ? AND state = 'scheduled'`, kind)
}

// WakeOne makes the job of a kind due that would be the next to run.
func (q *Queue) WakeOne(ctx context.Context, kind string) error {
	return q.wake(ctx, `kind = ? AND state = 'scheduled'
		AND id = (SELECT id FROM river_job WHERE kind = ? AND state = 'scheduled' ORDER BY scheduled_at LIMIT 1)`, kind, kind)
}

// wake makes jobs due. JobSnooze left them in the state scheduled. In raw SQL, because River offers no call for it.
func (q *Queue) wake(ctx context.Context, condition string, args ...any) error {
	now := "now()"
	if q.db.Dialect() == database.SQLite {
		now = "datetime('now', 'subsec')"
	}
	return database.Err(q.db.From(ctx).Exec(`UPDATE river_job SET state = 'available', scheduled_at = `+now+` WHERE `+condition,
		args...).Error)
}
