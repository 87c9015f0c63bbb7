package database_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/latchkey-auth/latchkey/pkg/database"
)

// makePortal adds a portal and gives its id.
func makePortal(t testing.TB, db *database.DB) string {
	t.Helper()
	id := uuid.NewString()
	err := db.From(context.Background()).Exec(
		"INSERT INTO portals (id, slug, settings, version, created_at, updated_at) VALUES (?, ?, '{}', 1, 0, 0)", id, id).Error
	require.NoError(t, err)
	return id
}

// addAccount adds an account as a repository would, and says how that went.
func addAccount(ctx context.Context, db *database.DB, portal, id, email string) error {
	return db.From(ctx).Exec(`INSERT INTO accounts (portal_id, id, email, email_canonical, locale, roles, entitlements,
		metadata, security_stamp, opted_out, search, created_at, updated_at)
		VALUES (?, ?, ?, ?, 'en', '[]', '[]', '{}', ?, ?, '', 0, 0)`,
		portal, id, email, email, uuid.NewString(), false).Error
}

func countAccounts(t testing.TB, db *database.DB, portal string) (n int) {
	t.Helper()
	row := db.From(context.Background()).Raw("SELECT count(*) FROM accounts WHERE portal_id = ?", portal).Row()
	require.NoError(t, row.Scan(&n))
	return n
}

// session is a model as a repository has one.
type session struct {
	PortalID string
	ID       string
	Network  string
}

func (session) TableName() string { return "sessions" }

func takeSession(tx *gorm.DB, portal, id string) (s session, err error) {
	err = tx.Where("portal_id = ? AND id = ?", portal, id).Take(&s).Error
	return s, err
}

// indexes gives the columns of every unique index of a table, the primary key among them.
func indexes(t *testing.T, db *database.DB, table string) [][]string {
	t.Helper()
	query := `SELECT i.name, x.name FROM pragma_index_list(?) i JOIN pragma_index_info(i.name) x
		WHERE i."unique" = 1 ORDER BY i.name, x.seqno`
	if db.Dialect() == database.Postgres {
		query = `SELECT i.indexrelid::regclass::text, a.attname FROM pg_index i
			CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, seqno)
			JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
			WHERE i.indrelid = ?::regclass AND i.indisunique ORDER BY 1, k.seqno`
	}
	rows, err := db.From(context.Background()).Raw(query, table).Rows()
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	return gather(t, rows)
}

func gather(t *testing.T, rows *sql.Rows) (all [][]string) {
	t.Helper()
	last := ""
	for rows.Next() {
		var index, column string
		require.NoError(t, rows.Scan(&index, &column))
		if index != last {
			all = append(all, nil)
			last = index
		}
		all[len(all)-1] = append(all[len(all)-1], column)
	}
	require.NoError(t, rows.Err())
	return all
}
