package apitest

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
)

// Day is 24 hours.
const Day = 24 * time.Hour

// CountRows is how many rows a table has.
func (h *Harness) CountRows(t testing.TB, table string) string {
	t.Helper()
	return h.QueryValue(t, "SELECT COUNT(*) FROM "+table)
}

// QueryValue is the one value that a query answers, as text; NULL is "".
func (h *Harness) QueryValue(t testing.TB, query string, args ...any) string {
	t.Helper()
	ctx := database.AcrossPortals(context.Background(), "a test looks at the whole database")
	var value sql.NullString
	require.NoError(t, h.DB.From(ctx).Raw(query, args...).Row().Scan(&value), query)
	return value.String
}

// Exec runs a statement that prepares a state which the API cannot make.
func (h *Harness) Exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	ctx := database.AcrossPortals(context.Background(), "a test prepares what the API has no way to")
	require.NoError(t, h.DB.From(ctx).Exec(statement, args...).Error, statement)
}

// SetPasswordHash replaces the hash of a person's password.
func (h *Harness) SetPasswordHash(t testing.TB, who Person, hash string) {
	t.Helper()
	h.Exec(t, "UPDATE accounts SET password_hash = ? WHERE id = ?", hash, who.ID)
}

// PasswordHash is the hash of a person's password.
func (h *Harness) PasswordHash(t testing.TB, who Person) string {
	t.Helper()
	return h.QueryValue(t, "SELECT password_hash FROM accounts WHERE id = ?", who.ID)
}

// RowCounts is how many rows each table has.
func (h *Harness) RowCounts(t testing.TB) map[string]string {
	t.Helper()
	list := "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
	if h.DB.Dialect() == database.Postgres {
		list = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
	}
	var tables []string
	ctx := database.AcrossPortals(context.Background(), "a test looks at the whole database")
	require.NoError(t, h.DB.From(ctx).Raw(list).Scan(&tables).Error)
	require.Contains(t, tables, "accounts")
	counts := map[string]string{}
	for _, table := range tables {
		counts[table] = h.QueryValue(t, fmt.Sprintf("SELECT COUNT(*) FROM %q", table))
	}
	return counts
}

// Dump is every row of every table as text, octets in hexadecimal.
func (h *Harness) Dump(t testing.TB) string {
	t.Helper()
	var text strings.Builder
	for table := range h.RowCounts(t) {
		row := fmt.Sprintf("CAST(dumped AS TEXT) FROM %q dumped", table)
		if h.DB.Dialect() == database.SQLite {
			columns := h.QueryValue(t, "SELECT group_concat('quote(\"' || name || '\")', ' || '','' || ') FROM pragma_table_info(?)", table)
			row = fmt.Sprintf("%s FROM %q", columns, table)
		}
		var rows []string
		ctx := database.AcrossPortals(context.Background(), "a test looks at the whole database")
		require.NoError(t, h.DB.From(ctx).Raw("SELECT "+row).Scan(&rows).Error)
		text.WriteString(table + "\n" + strings.Join(rows, "\n") + "\n")
	}
	return text.String()
}
