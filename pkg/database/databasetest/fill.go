package databasetest

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
)

// Column is a column of the live schema.
type Column struct {
	Table string
	Name  string
	Type  string // lower case, as the database spells it
}

// Binary reports whether the column holds octets.
func (c Column) Binary() bool { return c.Type == "bytea" || c.Type == "blob" }

// String is "table.column".
func (c Column) String() string { return c.Table + "." + c.Name }

// Columns lists the columns of our own tables, as the migrations left them: River's and goose's are left out.
func Columns(t testing.TB, db *database.DB) []Column {
	t.Helper()
	query := `SELECT m.name, c.name, lower(c.type) FROM sqlite_schema m JOIN pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, c.cid`
	if db.Dialect() == database.Postgres {
		query = `SELECT table_name, column_name, data_type FROM information_schema.columns
			WHERE table_schema = 'public' ORDER BY table_name, ordinal_position`
	}
	columns, err := database.Collect(db.From(t.Context()).Raw(query), func(row database.Row) (c Column, err error) {
		return c, row.Scan(&c.Table, &c.Name, &c.Type)
	})
	require.NoError(t, err)
	columns = slices.DeleteFunc(columns, func(c Column) bool {
		return strings.HasPrefix(c.Table, "river_") || strings.HasPrefix(c.Table, "goose_")
	})
	require.NotEmpty(t, columns)
	return columns
}

// Fill adds a row to every table of our own that the migrations made. A value is known by "table.column" or by
// the column's name; any other is made up from the type. A row that a unique key refuses was added before.
func Fill(t testing.TB, db *database.DB, known map[string]any) {
	t.Helper()
	tables := map[string][]Column{}
	for _, c := range Columns(t, db) {
		tables[c.Table] = append(tables[c.Table], c)
	}
	for len(tables) > 0 { // a table that refers to another one comes after it
		var failed error
		before := len(tables)
		for table, columns := range tables {
			if err := fill(t, db, columns, known); err != nil {
				failed = err
				continue
			}
			delete(tables, table)
		}
		require.Less(t, len(tables), before, "no table takes a row any more: %v", failed)
	}
}

func fill(t testing.TB, db *database.DB, columns []Column, known map[string]any) error {
	t.Helper()
	slices.SortStableFunc(columns, func(a, b Column) int { // GORM takes octets right after a parenthesis for a list
		return cmp.Compare(strconv.FormatBool(a.Binary()), strconv.FormatBool(b.Binary()))
	})
	var values database.Values
	names, row := make([]string, len(columns)), make([]any, len(columns))
	for i, c := range columns {
		names[i] = c.Name
		value, found := known[c.String()]
		if !found {
			value, found = known[c.Name]
		}
		if !found {
			value = madeUp(c)
		}
		row[i] = value
	}
	values.Row(row...)
	return db.From(t.Context()).Exec("INSERT INTO "+columns[0].Table+" ("+strings.Join(names, ", ")+") VALUES "+
		values.SQL()+" ON CONFLICT DO NOTHING", values.Args...).Error
}

// lastMadeUp makes numbers differ, as those of invitations must.
var lastMadeUp atomic.Int64

func madeUp(c Column) any {
	id := uuid.Must(uuid.NewV7())
	switch c.Type {
	case "integer":
		return 1 // of a table of one row
	case "bigint":
		return lastMadeUp.Add(1)
	case "boolean":
		return false
	case "jsonb":
		return "{}"
	case "bytea", "blob":
		return id[:]
	}
	return id.String()
}
