package main

import (
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

// A start that cannot go well ends at once, and says why in the operator's words, without a secret.
func TestStartThatCannotGoWell(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, taken.Close()) })

	const secret = "not-to-be-told"
	for name, start := range map[string]struct{ variables, why string }{
		"Postgres without a secret key": {"LATCHKEY_DATABASE_URL=postgres://u:" + secret + "@db/latchkey", "LATCHKEY_SECRET_KEY: required with Postgres"},
		"no key":                        {"LATCHKEY_SECRET_KEY=" + secret, "LATCHKEY_SECRET_KEY: secret key 1: want 32 bytes in base64"},
		"a database of another kind":    {"LATCHKEY_DATABASE_URL=mysql://u:" + secret + "@db/latchkey LATCHKEY_SECRET_KEY=" + keyring.Generate(), "LATCHKEY_DATABASE_URL: want sqlite:"},
		"a database that would be lost": {"LATCHKEY_DATABASE_URL=sqlite::memory:", "LATCHKEY_DATABASE_URL: sqlite: a database in memory"},
		"a directory that is not there": {"LATCHKEY_DATABASE_URL=sqlite:nowhere/latchkey.db", "LATCHKEY_DATABASE_URL: sqlite: open"},
		"an address that is none":       {"LATCHKEY_ADDR=8080", `LATCHKEY_ADDR: want host:port, got "8080"`},
		"an address that is taken":      {"LATCHKEY_ADDR=" + taken.Addr().String(), "address already in use"},
		"an operator key too short":     {"LATCHKEY_OPERATOR_KEY=lk_" + secret, "LATCHKEY_OPERATOR_KEY: want lk_"},
		"a network that is none":        {"LATCHKEY_TRUSTED_PROXIES=everyone", "LATCHKEY_TRUSTED_PROXIES: "},
		"a wait that is none":           {"LATCHKEY_HASH_WAIT=soon", "LATCHKEY_HASH_WAIT"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := launch(t, t.TempDir(), strings.Fields(start.variables), "serve")
			require.Equal(t, 1, p.exitCode(t))
			require.Contains(t, p.log.String(), "latchkey: ")
			require.Contains(t, p.log.String(), start.why)
			require.NotContains(t, p.log.String(), secret)
			require.Empty(t, p.out.String())
		})
	}
}

// Eight instances that meet a new database at once end up with one installation: each answers, all with one key. First
// the database is empty; then it is migrated, and no migration makes them start one after another.
func TestInstancesStartTogether(t *testing.T) {
	t.Parallel()
	databasetest.EachBlank(t, func(t *testing.T, url string) {
		variables := []string{"LATCHKEY_DATABASE_URL=" + url, "LATCHKEY_DATABASE_MAX_CONNS=3"}
		path, embedded := strings.CutPrefix(url, "sqlite:")
		if !embedded {
			variables = append(variables, "LATCHKEY_SECRET_KEY="+keyring.Generate())
		}
		startTogether(t, url, variables)

		db := databasetest.OpenURL(t, url)
		for _, table := range installationTables {
			require.NoError(t, db.From(t.Context()).Exec("DELETE FROM "+table).Error)
		}
		startTogether(t, url, variables)

		if embedded {
			left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".latchkey-key-*"))
			require.NoError(t, err)
			require.Empty(t, left)
		}
	})
}

// installationTables get their first row from the first start.
var installationTables = []string{"installation", "other_signing_keys"}

func startTogether(t *testing.T, url string, variables []string) {
	t.Helper()
	instances := make([]*process, 8)
	for i := range instances {
		instances[i] = launch(t, t.TempDir(), variables, "serve")
	}
	for _, p := range instances {
		p.listening(t)
		require.Equal(t, http.StatusOK, p.call(t, http.MethodGet, "/readyz", "", "").status)
		require.Len(t, p.kids(t), 1)
		require.Equal(t, instances[0].kids(t), p.kids(t))
	}
	db := databasetest.OpenURL(t, url)
	for _, table := range installationTables {
		var rows int
		require.NoError(t, db.From(t.Context()).Raw("SELECT COUNT(*) FROM "+table).Row().Scan(&rows))
		require.Equal(t, 1, rows, table)
	}
	for _, p := range instances {
		p.stop(t)
	}
}
