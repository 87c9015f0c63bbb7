package erasure

import (
	"context"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// portalTables hold the data of portals, in the order in which the rest of the program locks their rows. Left out are
// sessions, which are deleted with their accounts (ON DELETE CASCADE), and the tables of pkg/portal.
var portalTables = []string{
	"onetime_secrets", "invitation_numbers", "invitations", "accounts", "lockouts", "deliveries", "api_keys",
	"audit_events",
}

// deleteRows deletes every row of a portal from the tables of other packages. One list is easier to check than a method
// in each of them.
func deleteRows(ctx context.Context, db *database.DB, portalID ids.Portal) error {
	for _, table := range portalTables {
		if err := db.From(ctx).Exec("DELETE FROM "+table+" WHERE portal_id = ?", portalID).Error; err != nil {
			return database.Err(err)
		}
	}
	return nil
}
