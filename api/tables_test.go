package api_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
)

// sql is the one value that a query answers, as text; NULL is "".
func (h *harness) sql(t testing.TB, query string, args ...any) string {
	t.Helper()
	ctx := database.AcrossPortals(context.Background(), "a test looks at the whole database")
	var value sql.NullString
	require.NoError(t, h.db.From(ctx).Raw(query, args...).Row().Scan(&value), query)
	return value.String
}

func (h *harness) exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	ctx := database.AcrossPortals(context.Background(), "a test prepares what the API has no way to")
	require.NoError(t, h.db.From(ctx).Exec(statement, args...).Error, statement)
}

func (h *harness) setHash(t testing.TB, who person, hash string) {
	t.Helper()
	h.exec(t, "UPDATE accounts SET password_hash = ? WHERE id = ?", hash, who.id)
}

func (h *harness) hashOf(t testing.TB, who person) string {
	t.Helper()
	return h.sql(t, "SELECT password_hash FROM accounts WHERE id = ?", who.id)
}

// counts is how many rows each table has.
func (h *harness) counts(t testing.TB) map[string]string {
	t.Helper()
	list := "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
	if h.db.Dialect() == database.Postgres {
		list = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
	}
	var tables []string
	ctx := database.AcrossPortals(context.Background(), "a test looks at the whole database")
	require.NoError(t, h.db.From(ctx).Raw(list).Scan(&tables).Error)
	require.Contains(t, tables, "accounts")
	counts := map[string]string{}
	for _, table := range tables {
		counts[table] = h.sql(t, fmt.Sprintf("SELECT COUNT(*) FROM %q", table))
	}
	return counts
}

// dump is every row of every table as text, octets in hexadecimal.
func (h *harness) dump(t testing.TB) string {
	t.Helper()
	var text strings.Builder
	for table := range h.counts(t) {
		row := fmt.Sprintf("CAST(dumped AS TEXT) FROM %q dumped", table)
		if h.db.Dialect() == database.SQLite {
			columns := h.sql(t, "SELECT group_concat('quote(\"' || name || '\")', ' || '','' || ') FROM pragma_table_info(?)", table)
			row = fmt.Sprintf("%s FROM %q", columns, table)
		}
		var rows []string
		ctx := database.AcrossPortals(context.Background(), "a test looks at the whole database")
		require.NoError(t, h.db.From(ctx).Raw("SELECT "+row).Scan(&rows).Error)
		text.WriteString(table + "\n" + strings.Join(rows, "\n") + "\n")
	}
	return text.String()
}
