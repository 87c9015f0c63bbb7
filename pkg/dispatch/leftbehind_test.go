package dispatch_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/mail/smtptest"
)

// What a killed process was sending is sent after a restart: River finds the job that nobody finished.
func TestAJobThatWasLeftBehind(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		f := newFixture(t, db, nil)
		relay := smtptest.New(t, smtptest.Options{})
		s := f.service(f.over(relay))
		m := f.reset(f.person("anna@example.com", ""))
		f.send(s, m)
		longAgo := "now() - interval '31 seconds'"
		if db.Dialect() == database.SQLite {
			longAgo = "datetime('now', 'subsec', '-31 seconds')"
		}
		left := db.From(context.Background()).Exec(`UPDATE river_job SET state = 'running', attempt = 1, attempted_at = ` + longAgo)
		require.NoError(t, left.Error)
		require.Equal(t, int64(1), left.RowsAffected)
		f.start(s)
		f.becomes(m.ID, delivery.Sent)
		require.Len(t, relay.Messages(), 1)
	})
}
