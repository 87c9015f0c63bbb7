package audit

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// row is an event as it is written.
type row struct {
	Event
	id     uuid.UUID
	at     int64 // Unix milliseconds
	caller *Caller
}

// insert is one raw statement, because a login writes an event.
func (r *Recorder) insert(ctx context.Context, rows []row) error {
	var values database.Values
	for _, e := range rows {
		outcome := "success"
		if e.err != nil {
			outcome = "failure"
		}
		values.Row(e.portalID, e.id, e.at, e.kind, outcome, string(fault.CodeOf(e.err)), e.emailDigest, e.accountID,
			e.caller.Actor.String(), e.caller.Network, e.caller.UserAgent, e.caller.RequestID, strings.Join(e.hints, ","),
			e.target.kind, e.target.id, e.target.name, strings.Join(e.changed, ","))
	}
	return database.Err(r.db.From(ctx).Exec(`INSERT INTO audit_events (portal_id, id, at, type, outcome, code,
		email_digest, account_id, actor, network, user_agent, request_id, hints, target_kind, target_id, target_name,
		changed) VALUES `+values.SQL(), values.Args...).Error)
}

// Sweep deletes at most batch events of a portal from before a time, oldest first. It returns how many. Raw, because a
// DELETE takes no LIMIT.
func (r *Recorder) Sweep(ctx context.Context, portalID ids.Portal, before time.Time, batch int) (int, error) {
	gone := r.db.From(ctx).Exec(`DELETE FROM audit_events WHERE portal_id = ? AND id IN (
		SELECT id FROM audit_events WHERE portal_id = ? AND at < ? ORDER BY id LIMIT ?)`,
		portalID, portalID, before.UnixMilli(), batch)
	return int(gone.RowsAffected), database.Err(gone.Error)
}
