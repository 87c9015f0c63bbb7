package database

import (
	"gorm.io/gorm"

	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// SweepPortals deletes at most batch rows, one portal after another, and returns how many it deleted. portals is a
// query for the ids of the portals to sweep. sweep deletes at most limit rows of one portal. A distributed Postgres
// locks and limits rows within one portal only.
func SweepPortals(portals *gorm.DB, batch int, sweep func(portalID ids.Portal, limit int) *gorm.DB) (int, error) {
	found, err := Collect(portals, One[ids.Portal])
	if err != nil {
		return 0, err
	}
	total := 0
	for _, portalID := range found {
		if total >= batch {
			break
		}
		done := sweep(portalID, batch-total)
		if done.Error != nil {
			return total, Err(done.Error)
		}
		total += int(done.RowsAffected)
	}
	return total, nil
}
