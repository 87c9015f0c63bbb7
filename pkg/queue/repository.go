package queue

import (
	"context"

	"github.com/latchkey-auth/latchkey/pkg/database"
)

// WakeAll makes every waiting job of a kind due.
func (q *Queue) WakeAll(ctx context.Context, kind string) error {
	return q.wake(ctx, `kind = ? AND state = 'scheduled'`, kind)
}

// WakeOne makes the job of a kind due that would run next.
func (q *Queue) WakeOne(ctx context.Context, kind string) error {
	return q.wake(ctx, `kind = ? AND state = 'scheduled'
		AND id = (SELECT id FROM river_job WHERE kind = ? AND state = 'scheduled' ORDER BY scheduled_at LIMIT 1)`, kind, kind)
}

// Unfinished returns those of the ids that a job of a kind has, in its argument "id", which is still to run. In raw SQL,
// because River cannot list jobs by their arguments.
func (q *Queue) Unfinished(ctx context.Context, kind string, ids []string) (map[string]bool, error) {
	found, err := database.Collect(q.db.From(ctx).Raw(`SELECT args ->> 'id' FROM river_job
		WHERE kind = ? AND state NOT IN ('completed', 'cancelled', 'discarded') AND args ->> 'id' IN ?`, kind, ids),
		func(row database.Row) (id string, err error) { return id, row.Scan(&id) })
	unfinished := make(map[string]bool, len(found))
	for _, id := range found {
		unfinished[id] = true
	}
	return unfinished, err
}

// wake makes jobs due that JobSnooze put into the state scheduled. In raw SQL, because River has no call for it.
func (q *Queue) wake(ctx context.Context, condition string, args ...any) error {
	now := "now()"
	if q.db.Dialect() == database.SQLite {
		now = "datetime('now', 'subsec')"
	}
	return database.Err(q.db.From(ctx).Exec(`UPDATE river_job SET state = 'available', scheduled_at = `+now+`
		WHERE `+condition, args...).Error)
}
