package database_test

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// A sweep goes from portal to portal until the batch is full, and comes back for the rest.
func TestSweepPortals(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := t.Context()
		for p := range 3 {
			portal := makePortal(t, db)
			for a := range 3 {
				require.NoError(t, addAccount(ctx, db, portal, uuid.NewString(), fmt.Sprintf("%d-%d@example.com", p, a)))
			}
		}
		sweep := func(batch int) int {
			portals := db.From(database.AcrossPortals(ctx, "a test")).Raw("SELECT DISTINCT portal_id FROM accounts")
			n, err := database.SweepPortals(portals, batch, func(portalID ids.Portal, limit int) *gorm.DB {
				return db.From(ctx).Exec(`WITH old AS MATERIALIZED (SELECT id FROM accounts WHERE portal_id = ? LIMIT ?`+
					db.Dialect().Lock("FOR UPDATE SKIP LOCKED")+`)
					DELETE FROM accounts WHERE portal_id = ? AND id IN (SELECT id FROM old)`, portalID, limit, portalID)
			})
			require.NoError(t, err)
			return n
		}
		require.Equal(t, 4, sweep(4))
		require.Equal(t, 4, sweep(4))
		require.Equal(t, 1, sweep(4))
		require.Equal(t, 0, sweep(4))
	})
}
