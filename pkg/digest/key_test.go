package digest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

func ring(t *testing.T, keys string) *keyring.Ring {
	t.Helper()
	r, err := keyring.Parse(keys)
	require.NoError(t, err)
	return r
}

func sealed(t *testing.T, db *database.DB) []byte {
	t.Helper()
	text, err := read(t.Context(), db)
	require.NoError(t, err)
	return text
}

func address(t *testing.T, typed string) email.Address {
	t.Helper()
	parsed, err := email.Parse(typed)
	require.NoError(t, err)
	return parsed
}

func TestDigestsOfEmails(t *testing.T) {
	t.Parallel()
	d, other := &Digester{keyring.Random(keyring.KeySize)}, &Digester{keyring.Random(keyring.KeySize)}
	portalID, typed := ids.Portal{UUID: uuid.Must(uuid.NewV7())}, address(t, "ada@example.com")
	ada := d.OfEmail(portalID, typed)
	require.Len(t, ada, 32)
	require.Equal(t, ada, d.OfEmail(portalID, typed))
	require.NotEqual(t, ada, d.OfEmail(portalID, address(t, "bob@example.com")))
	require.NotEqual(t, ada, d.OfEmail(ids.Portal{}, typed), "another portal's address is another")
	require.NotEqual(t, ada, other.OfEmail(portalID, typed), "under another key too")
}

// The first of several instances makes the row, and all get the same key.
func TestInstancesOpenTogether(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		r := ring(t, keyring.Generate())
		opened := make([]*Digester, 8)
		errs := make([]error, len(opened))
		var all sync.WaitGroup
		for i := range opened {
			all.Go(func() { opened[i], errs[i] = Open(context.Background(), db, r) })
		}
		all.Wait()
		for i := range opened {
			require.NoError(t, errs[i])
			require.Equal(t, opened[0], opened[i])
		}
		require.NotContains(t, string(sealed(t, db)), string(opened[0].key))
	})
}

// A secret key that does not fit, and a row that was tampered with, are refused, and the row stays as it is.
func TestAKeyThatDoesNotFit(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		own := keyring.Generate()
		_, err := Open(t.Context(), db, ring(t, own))
		require.NoError(t, err)
		before := sealed(t, db)
		_, err = Open(t.Context(), db, ring(t, keyring.Generate()))
		require.ErrorIs(t, err, ErrKeyDoesNotFit)
		_, err = Open(t.Context(), db, ring(t, keyring.Generate()+","+keyring.Generate()))
		require.ErrorIs(t, err, ErrKeyDoesNotFit)
		require.Equal(t, before, sealed(t, db))

		for i := range before {
			changed := append([]byte(nil), before...)
			changed[i] ^= 1
			require.NoError(t, db.From(t.Context()).Exec("UPDATE installation SET digest_key = ?", changed).Error)
			_, err = Open(t.Context(), db, ring(t, own))
			require.ErrorIs(t, err, ErrKeyDoesNotFit, "octet %d", i)
			require.Equal(t, changed, sealed(t, db))
		}
	})
}

// The row is sealed under the first key of the list and keeps its content. The key before does not open it any more.
func TestTheSecretKeyRotates(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		before, after := keyring.Generate(), keyring.Generate()
		first, err := Open(t.Context(), db, ring(t, before))
		require.NoError(t, err)
		row := sealed(t, db)
		for _, keys := range []string{before + "," + after, after + "," + before, after + "," + before, after} {
			again, err := Open(t.Context(), db, ring(t, keys))
			require.NoError(t, err)
			require.Equal(t, first, again)
			require.Equal(t, ring(t, keys).Primary(), keyring.SealedUnder(sealed(t, db)))
			if keys == before+","+after {
				require.Equal(t, row, sealed(t, db), "a row that is sealed under the first key is not sealed again")
			}
		}
		_, err = Open(t.Context(), db, ring(t, before))
		require.ErrorIs(t, err, ErrKeyDoesNotFit)
	})
}

// Rows that need the secret key are deleted; people, portals and API keys stay.
func TestReset(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		own, next := keyring.Generate(), keyring.Generate()
		first, err := Open(t.Context(), db, ring(t, own))
		require.NoError(t, err)
		ctx := database.AcrossPortals(t.Context(), "a test fills every table")
		json := "'{}'"
		for _, statement := range []string{
			"INSERT INTO signing_keys (id, public_key, private_key, created_at, active_at) VALUES ('kid', 'p', 'k', 0, 0)",
			`INSERT INTO other_signing_keys (id, algorithm, public_key, private_key, created_at, active_at)
				VALUES ('kid', 'ES256', 'p', 'k', 0, 0)`,
			"INSERT INTO portals (id, slug, settings, version, created_at, updated_at) VALUES ('018f0000-0000-7000-8000-000000000001', 'acme', " + json + ", 1, 0, 0)",
			`INSERT INTO accounts (portal_id, id, email, email_canonical, locale, roles, entitlements, metadata, security_stamp, opted_out,
				search, created_at, updated_at) SELECT id, id, 'ada@example.com', 'ada@example.com', 'en', '[]', '[]', '{}', id, FALSE, '', 0, 0 FROM portals`,
			`INSERT INTO sessions (portal_id, id, account_id, generation, key_id, security_stamp, transport, network, user_agent, created_at,
				rotated_at, expires_at, ends_at) SELECT id, id, id, 1, 1, id, 'token', '', '', 0, 0, 0, 0 FROM portals`,
			`INSERT INTO lockouts (portal_id, kind, subject, failures, in_a_row, locked_at, locked_until, lock_length, counted, updated_at)
				SELECT id, 'login', 's', '', 0, 0, 0, 0, FALSE, 0 FROM portals`,
			"INSERT INTO api_keys (portal_id, id, name, scopes, key_hash, created_at) SELECT id, id, 'ci', '[]', 'h', 0 FROM portals",
			`INSERT INTO audit_events (portal_id, id, at, type, outcome, code, actor, network, user_agent, request_id, hints)
				SELECT id, id, 0, 'login', 'success', '', '', '', '', '', '' FROM portals`,
		} {
			require.NoError(t, db.From(ctx).Exec(statement).Error, statement)
		}
		require.NoError(t, Reset(t.Context(), db))
		for table, want := range map[string]int{
			"installation": 0, "signing_keys": 0, "other_signing_keys": 0, "sessions": 0, "lockouts": 0, "portals": 1, "accounts": 1, "api_keys": 1, "audit_events": 1,
		} {
			var rows int
			require.NoError(t, db.From(ctx).Raw("SELECT COUNT(*) FROM "+table).Row().Scan(&rows))
			require.Equal(t, want, rows, table)
		}
		other, err := Open(t.Context(), db, ring(t, next))
		require.NoError(t, err)
		require.NotEqual(t, first, other)
		_, err = Open(t.Context(), db, ring(t, own))
		require.ErrorIs(t, err, ErrKeyDoesNotFit)
		require.NoError(t, Reset(t.Context(), db))
		require.NoError(t, Reset(t.Context(), db), "a database that nobody has opened yet")
	})
}

// Columns that are made with the secret key or the digests' key, and columns that only look so. A new column that holds
// bytes, or has key or digest in its name, has to be put into one of the lists.
var (
	keyed    = []string{"key_id", "earlier_key_id", "subject", "email_digest", "digest", "digest_key", "private_key", "recipient"}
	notKeyed = []string{
		"key_hash",   // SHA-256 of a random API key
		"public_key", // goes with the private one
		"key_from",   // a generation of refresh tokens
	}
)

// keptByReset are keyed columns of tables that a reset does not empty, and why.
var keptByReset = map[string]string{
	"audit_events.email_digest": "the trail stays; people are found in it by the account's id alone then",
	"deliveries.subject":        "receipts stay; a message that waits finds no secret, and is not sent",
	"deliveries.recipient":      "as deliveries.subject: a notice that waits cannot be opened, and is not sent",
}

// A reset empties every table of the schema with a keyed column, except those of keptByReset.
func TestResetLeavesNothingThatIsKeyed(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		portalID, accountID := ids.Portal{UUID: uuid.Must(uuid.NewV7())}, ids.Account{UUID: uuid.Must(uuid.NewV7())}
		databasetest.Fill(t, db, map[string]any{
			"portal_id": portalID, "portals.id": portalID, "account_id": accountID, "accounts.id": accountID,
		})
		ctx := database.AcrossPortals(t.Context(), "a test looks at the whole database")
		rows := func(table string) (n int) {
			require.NoError(t, db.From(ctx).Raw("SELECT COUNT(*) FROM "+table).Row().Scan(&n))
			return n
		}
		columns := databasetest.Columns(t, db)
		for _, c := range columns {
			require.NotZero(t, rows(c.Table), c.Table)
			if c.Binary() || strings.Contains(c.Name, "key") || strings.Contains(c.Name, "digest") {
				require.Contains(t, slices.Concat(keyed, notKeyed), c.Name, "is %s made with a key?", c)
			}
		}
		require.NoError(t, Reset(t.Context(), db))
		for _, c := range columns {
			if slices.Contains(keyed, c.Name) {
				require.Equal(t, keptByReset[c.String()] != "", rows(c.Table) > 0, c.String())
			}
		}
	})
}
