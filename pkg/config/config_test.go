package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/config"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

func parse(t *testing.T, args ...string) config.Server {
	t.Helper()
	var c config.Server
	parser, err := kong.New(&c, config.Settings())
	require.NoError(t, err)
	_, err = parser.Parse(args)
	require.NoError(t, err)
	return c
}

func TestDefaultsAreGood(t *testing.T) {
	c := parse(t)
	require.NoError(t, c.Check())
	require.Equal(t, "127.0.0.1:8080", c.Addr)
	require.Equal(t, "http://localhost:8080", c.PublicURL.String())
	require.Positive(t, c.Slots())
}

func TestCheckNamesTheVariableAndNeverTheSecret(t *testing.T) {
	key := keyring.Generate()
	for variable, args := range map[string][]string{
		"LATCHKEY_ADDR":               {"--addr=nowhere"},
		"LATCHKEY_PUBLIC_URL":         {"--public-url=ftp://host"},
		"LATCHKEY_OPERATOR_KEY":       {"--operator-key=lk_short"},
		"LATCHKEY_TRUSTED_PROXIES":    {"--trusted-proxies=10.0.0.0/8,proxy"},
		"LATCHKEY_UNLIMITED_NETWORKS": {"--unlimited-networks=10.0.0.0/33"},
		"LATCHKEY_HASH_MEMORY":        {"--hash-memory=4"},
		"LATCHKEY_HASH_WAIT":          {"--hash-wait=0s"},
		"LATCHKEY_SECRET_KEY":         {"--secret-key=" + key + "," + key[:20]},
		"LATCHKEY_DATABASE_MAX_CONNS": {"--database-max-conns=-1"},
		"LATCHKEY_DATABASE_MAX_CONNS: want 3 or more with Postgres": {
			"--database-max-conns=2", "--database-url=postgres://localhost/x",
		},
	} {
		err := parse(t, args...).Check()
		require.ErrorContains(t, err, variable)
		require.NotContains(t, err.Error(), key[:20])
		require.NotContains(t, err.Error(), "lk_short")
	}
	require.ErrorContains(t, parse(t, "--database-url=postgres://db/latchkey").Check(), "LATCHKEY_SECRET_KEY")
	for _, url := range []string{"latchkey.db", "mysql://root:hunter22@db/latchkey"} {
		err := parse(t, "--database-url="+url).Check()
		require.ErrorContains(t, err, "LATCHKEY_DATABASE_URL")
		require.NotContains(t, err.Error(), "hunter22")
	}
	require.ErrorContains(t, config.Database{}.Check(), "LATCHKEY_DATABASE_URL")
}

func TestListsOfNetworksTakeAddresses(t *testing.T) {
	const list, want = "10.1.2.3/8, 192.0.2.7,2001:db8::/32", "[10.0.0.0/8 192.0.2.7/32 2001:db8::/32]"
	networks, err := parse(t, "--trusted-proxies="+list).Proxies()
	require.NoError(t, err)
	require.Equal(t, want, fmt.Sprint(networks))
	networks, err = parse(t, "--unlimited-networks="+list).Unlimited()
	require.NoError(t, err)
	require.Equal(t, want, fmt.Sprint(networks))
}

func TestKeyIsMadeOnceBesideTheEmbeddedDatabase(t *testing.T) {
	t.Parallel()
	d := config.Database{DatabaseURL: "sqlite:" + filepath.Join(t.TempDir(), "latchkey.db")}
	var wg sync.WaitGroup
	ids := make([]keyring.ID, 8)
	for i := range ids {
		wg.Go(func() {
			if ring, err := d.Ring(); err == nil {
				ids[i] = ring.Primary()
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		require.NotZero(t, id)
		require.Equal(t, ids[0], id)
	}
	path, _ := d.EmbeddedPath()
	info, err := os.Stat(path + ".key")
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}
