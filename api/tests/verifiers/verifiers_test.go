package verifiers_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/accesstoken"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

func TestMain(m *testing.M) { apitest.Main(m) }

// modulesVariable names a node_modules directory that has the packages which verify.js requires.
const modulesVariable = "LATCHKEY_TEST_NODE_MODULES"

// backend is verify.js, running.
type backend struct {
	t       *testing.T
	stdin   io.Writer
	answers *bufio.Scanner
}

// newBackend starts verify.js for a portal's tokens.
func newBackend(t *testing.T, h *apitest.Harness, p apitest.Portal) *backend {
	t.Helper()
	modules := os.Getenv(modulesVariable)
	if modules == "" {
		t.Skipf("%s is not set: install the packages of verify.js with npm and name their node_modules", modulesVariable)
	}
	node, err := exec.LookPath("node")
	require.NoError(t, err)
	// Node looks for packages from the directory of the script upwards.
	script, err := os.ReadFile("verify.js")
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "verify.js"), script, 0o600))
	require.NoError(t, os.Symlink(modules, filepath.Join(dir, "node_modules")))

	issuer := h.BaseURL + p.Front
	command := exec.Command(node, filepath.Join(dir, "verify.js"), issuer, p.Slug, h.BaseURL+"/.well-known/jwks.json")
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	require.NoError(t, err)
	stdout, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		require.NoError(t, stdin.Close())
		require.NoError(t, command.Wait())
	})
	return &backend{t, stdin, bufio.NewScanner(stdout)}
}

// tell sends a command and gives the answer.
func (b *backend) tell(command map[string]any) map[string]string {
	b.t.Helper()
	line, err := json.Marshal(command)
	require.NoError(b.t, err)
	_, err = b.stdin.Write(append(line, '\n'))
	require.NoError(b.t, err)
	require.True(b.t, b.answers.Scan(), "verify.js ended")
	var answer map[string]string
	require.NoError(b.t, json.Unmarshal(b.answers.Bytes(), &answer))
	return answer
}

// TestNodeVerifiesThroughARotation logs in, rotates the signing key, and logs in from time to time until well after the
// new key signs. Each library must verify each fresh token, with its default caches, whenever it last fetched the keys.
func TestNodeVerifiesThroughARotation(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []accesstoken.Algorithm{accesstoken.ES256, accesstoken.RS256, accesstoken.EdDSA} {
		t.Run(string(algorithm), func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, db *database.DB) {
				h := apitest.NewListening(t, db, apitest.SigningWith(algorithm))
				p := h.Portal(t)
				ada := h.Account(t, p)
				b := newBackend(t, h, p)
				verify := func(when string) {
					t.Helper()
					want := map[string]string{"jose": ada.ID, "jsonwebtoken": ada.ID, "express-oauth2-jwt-bearer": ada.ID}
					got := b.tell(map[string]any{"token": h.LogIn(t, ada).Access})
					if algorithm == accesstoken.EdDSA { // jsonwebtoken cannot read it
						require.Contains(t, got["jsonwebtoken"], "refused")
						want["jsonwebtoken"] = got["jsonwebtoken"]
					}
					require.Equal(t, want, got, when)
				}
				pass := func(d time.Duration) {
					h.Clock.Advance(d)
					b.tell(map[string]any{"advance": int(d.Seconds())})
				}
				verify("before the rotation")
				h.Post(t, "/v1/admin/signing-keys", apitest.Object{}, apitest.AsOperator).Status(201)
				for passed := time.Duration(0); passed <= 20*time.Minute; passed += time.Minute {
					verify("after " + passed.String())
					pass(time.Minute)
				}
			})
		})
	}
}
