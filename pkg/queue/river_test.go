package queue_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// Our migration makes the tables that River's own would make, so that a newer River is noticed here.
func TestRiversTables(t *testing.T) {
	t.Parallel()
	databasetest.EachBlank(t, func(t *testing.T, url string) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		theirs := databasetest.OpenURL(t, url)
		dialect := theirs.Dialect()
		if dialect == database.Postgres {
			migrate(ctx, t, riverdatabasesql.New(theirs.SQL()))
		} else {
			migrate(ctx, t, riversqlite.New(theirs.SQL()))
		}
		ours := databasetest.Open(t, dialect)
		require.NotEmpty(t, describe(t, ours, dialect))
		require.Equal(t, describe(t, theirs, dialect), describe(t, ours, dialect))
	})
}

func migrate[TTx any](ctx context.Context, t *testing.T, driver riverdriver.Driver[TTx]) {
	t.Helper()
	migrator, err := rivermigrate.New(driver, nil)
	require.NoError(t, err)
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	require.NoError(t, err)
}

// leftOut are what of River's we do without.
var leftOut = regexp.MustCompile(`(river_migration|river_job_args_index|river_job_metadata_index)`)

// describe lists the columns and indexes of River's tables.
func describe(t *testing.T, db *database.DB, dialect database.Dialect) (lines []string) {
	t.Helper()
	query := `SELECT m.name || '.' || c.name || ' ' || upper(c.type) || ' ' || c."notnull" || ' ' || COALESCE(c.dflt_value, '') || ' ' || c.pk
			FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name LIKE 'river_%'
		UNION ALL SELECT i.name || ' ' || i."unique" || ' ' || group_concat(x.name)
			FROM sqlite_schema m JOIN pragma_index_list(m.name) i JOIN pragma_index_info(i.name) x
			WHERE m.name LIKE 'river_%' GROUP BY i.name ORDER BY 1`
	if dialect == database.Postgres {
		query = `SELECT table_name || '.' || column_name || ' ' || udt_name || ' ' || is_nullable || ' ' || COALESCE(column_default, '')
				FROM information_schema.columns WHERE table_schema = 'public' AND table_name LIKE 'river_%'
			UNION ALL SELECT indexname || ' ' || indexdef FROM pg_indexes WHERE tablename LIKE 'river_%'
			UNION ALL SELECT conrelid::regclass || ' ' || conname FROM pg_constraint WHERE conrelid::regclass::text LIKE 'river_%'
			UNION ALL SELECT 'state ' || unnest(enum_range(NULL::river_job_state))::text ORDER BY 1`
	}
	var found []string
	require.NoError(t, db.From(context.Background()).Raw(query).Scan(&found).Error)
	for _, line := range found {
		if !leftOut.MatchString(line) {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
	}
	return lines
}
