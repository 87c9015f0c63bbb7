package login

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/password"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// TestHashKinds checks that one hash of each kind is read, of the portal alone.
func TestHashKinds(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		w := newWorld(t, db, password.Cheapest)
		settings := portal.Defaults()
		settings.Name = "Other"
		elsewhere, err := w.portals.Create(t.Context(), "other", settings)
		require.NoError(t, err)
		none, err := w.s.repo.hashKinds(t.Context(), elsewhere.ID)
		require.NoError(t, err)
		require.Empty(t, none)

		hashes := []string{
			"$argon2id$v=19$m=64,t=2,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5", "$2b$12$abcdefghijklmnopqrstuv",
			"$2b$11$abcdefghijklmnopqrstuv", "pbkdf2_sha256$870000$salt$a2V5a2V5", "$pbkdf2-sha256$29000$salt$key", "nonsense",
		}
		for i := range 3 * len(hashes) {
			address, err := email.Parse(fmt.Sprintf("person-%d@example.com", i))
			require.NoError(t, err)
			a, err := w.accounts.Create(t.Context(), w.p, account.Changes{Email: &address})
			require.NoError(t, err)
			require.NoError(t, db.From(t.Context()).Exec("UPDATE accounts SET password_hash = ? WHERE portal_id = ? AND id = ?",
				hashes[i%len(hashes)], w.p.ID, a.ID).Error)
		}
		a, err := w.accounts.Get(t.Context(), w.p, w.a.ID)
		require.NoError(t, err)
		kinds, err := w.s.repo.hashKinds(t.Context(), w.p.ID)
		require.NoError(t, err)
		require.ElementsMatch(t, append(slices.Clone(hashes), a.PasswordHash), kinds)

		none, err = w.s.repo.hashKinds(t.Context(), elsewhere.ID)
		require.NoError(t, err)
		require.Empty(t, none)
	})
}
