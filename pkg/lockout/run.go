package lockout

import (
	"context"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// HasRun reports whether the newest failures are a run that a success would end.
func (s State) HasRun() bool { return s.inARow > 0 }

// EndRun ends the run of failures that leads to InARow, unless a lock came first. The failures of the window stay, so
// that at a private portal a stranger cannot see in their own count that the owner logged in. In a transaction the
// row is then locked: no failure is counted until it ends.
func (r *Repository) EndRun(
	ctx context.Context, portalID ids.Portal, kind Kind, owner digest.Digest, now time.Time,
) (bool, error) {
	ended := r.of(ctx, portalID, kind, owner).Model(&row{}).
		Where("locked_until <= ? AND in_a_row < ?", now.UnixMilli(), InARow).
		Updates(map[string]any{"in_a_row": 0, "updated_at": now.UnixMilli()})
	return ended.RowsAffected == 1, database.Err(ended.Error)
}
