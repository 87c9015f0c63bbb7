package databasetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
)

// TablesWith lists the tables of a migrated database that have a column, sorted by name.
func TablesWith(tb testing.TB, db *database.DB, column string) (names []string) {
	tb.Helper()
	query := `SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c
		WHERE m.type = 'table' AND c.name = ? ORDER BY m.name`
	if db.Dialect() == database.Postgres {
		query = `SELECT table_name COLLATE "C" FROM information_schema.columns
			WHERE table_schema = current_schema() AND column_name = ? ORDER BY 1`
	}
	require.NoError(tb, db.From(tb.Context()).Raw(query, column).Scan(&names).Error)
	return names
}
