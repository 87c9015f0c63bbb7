package audit

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-auth/latchkey/pkg/database"
)

type row struct {
	portalID    uuid.UUID
	id          uuid.UUID
	at          int64 // Unix milliseconds
	kind        Type
	outcome     string
	code        string
	emailDigest []byte
	accountID   uuid.NullUUID
	caller      *Caller
	hints       string
}

func (r *Recorder) insert(ctx context.Context, rows []row) error {
	var values database.Values
	for _, e := range rows {
		values.Row(e.portalID, e.id, e.at, e.kind, e.outcome, e.code, e.emailDigest, e.accountID,
			e.caller.Actor, e.caller.Network, e.caller.UserAgent, e.caller.RequestID, e.hints)
	}
	return database.Err(r.db.From(ctx).Exec(`INSERT INTO audit_events (portal_id, id, at, type, outcome, code,
		email_digest, account_id, actor, network, user_agent, request_id, hints) VALUES `+values.SQL(), values.Args...).Error)
}

// Sweep deletes at most batch events of a portal from before a time, and tells how many went.
func (r *Recorder) Sweep(ctx context.Context, portalID uuid.UUID, before time.Time, batch int) (int, error) {
	gone := r.db.From(ctx).Exec(`DELETE FROM audit_events WHERE portal_id = ? AND id IN (
		SELECT id FROM audit_events WHERE portal_id = ? AND at < ? ORDER BY id LIMIT ?)`,
		portalID, portalID, before.UnixMilli(), batch)
	return int(gone.RowsAffected), database.Err(gone.Error)
}
