// Package apitest is the harness of the tests in api/tests: a server on a database of its own, a client that checks
// every answer against openapi.yaml, a mail relay, a clock and a log.
package apitest

import (
	"bytes"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/app/apptest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

// The configuration of every server under test, and the address of its caller.
const (
	OperatorKey   = "lk_operator_key_of_the_tests_0123456789"
	PublicURL     = "https://auth.example"
	SecretKey     = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	GoodPassword  = "correct horse battery staple"
	CallerAddress = "192.0.2.77:4711" // the caller of requests that pass no socket
)

// Object is a JSON object.
type Object = map[string]any

// Harness is a server of a test's own on a database of its own, and a client that holds every answer to openapi.yaml.
type Harness struct {
	DB      *database.DB
	ring    *keyring.Ring
	Server  *Server
	Clock   *Clock
	Log     *LogCapture
	BaseURL string // the address of the real socket that is called; "" calls the handler itself
}

// New makes a harness. When the test ends, it fails if the log holds a password, a token or an address that the test
// used.
func New(t testing.TB, db *database.DB, adjust ...ServerOption) *Harness {
	t.Helper()
	ring, err := keyring.Parse(SecretKey)
	require.NoError(t, err)
	h := &Harness{DB: db, ring: ring, Clock: apptest.NewClock(), Log: newLogCapture(t)}
	h.Server = h.NewServer(t, db, adjust...)
	return h
}

// Clock is a clock that moves only when a test advances it.
type Clock = apptest.Clock

// LogCapture is a captured log, with the secrets that it must not hold.
type LogCapture struct {
	mu      sync.Mutex
	text    bytes.Buffer
	secrets map[string]bool
}

func newLogCapture(t testing.TB) *LogCapture {
	j := &LogCapture{secrets: map[string]bool{
		OperatorKey: true, SecretKey: true, strings.Split(CallerAddress, ":")[0]: true,
	}}
	t.Cleanup(func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		logged := j.text.String()
		for secret := range j.secrets {
			escaped := strconv.Quote(secret)
			for _, spelling := range slices.Compact([]string{secret, escaped[1 : len(escaped)-1]}) {
				if at := strings.Index(logged, spelling); at >= 0 {
					t.Errorf("the log holds what it must not, %q: …%s", secret, logged[max(0, at-300):min(len(logged), at+300)])
				}
			}
		}
	})
	return j
}

// Write takes a line of the log.
func (j *LogCapture) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(line)
}

// String is the log so far.
func (j *LogCapture) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// Forbid notes a secret that the log must not hold. Very short words are left out: a log may hold them by chance.
func (j *LogCapture) Forbid(secret string) {
	const shortest = 8
	if len(secret) < shortest {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.secrets[secret] = true
}

// Portal is a portal that a test made.
type Portal struct {
	ID    string
	Slug  string
	Front string // where its people call
	Admin string // where administrators do
}

// Portal creates a portal through the admin API: "acme", unless a setting says otherwise.
func (h *Harness) Portal(t testing.TB, settings ...Object) Portal {
	t.Helper()
	body := Object{"slug": "acme", "name": "Acme"}
	for _, s := range settings {
		maps.Copy(body, s)
	}
	id := h.Post(t, "/v1/admin/portals", body, AsOperator).Status(http.StatusCreated).Text("id")
	slug := body["slug"].(string)
	return Portal{ID: id, Slug: slug, Front: "/v1/portals/" + slug, Admin: "/v1/admin/portals/" + slug}
}

// Person is an account that a test made, with its credentials.
type Person struct {
	Portal   Portal
	ID       string
	Email    string
	Password string
	Admin    string // where administrators find it
}

// Account creates an account through the admin API: Ada, who is confirmed and can log in, unless a member says
// otherwise. A member that is nil is left out.
func (h *Harness) Account(t testing.TB, p Portal, members ...Object) Person {
	t.Helper()
	body := Object{"email": "ada@example.com", "password": GoodPassword, "confirmed": true}
	for _, m := range members {
		maps.Copy(body, m)
	}
	maps.DeleteFunc(body, func(_ string, value any) bool { return value == nil })
	made := h.Post(t, p.Admin+"/accounts", body, AsOperator).Status(http.StatusCreated)
	secret, _ := body["password"].(string)
	id := made.Text("id")
	return Person{Portal: p, ID: id, Email: body["email"].(string), Password: secret, Admin: p.Admin + "/accounts/" + id}
}

// Tokens are the tokens of a login.
type Tokens struct{ Access, Refresh string }

// LogIn logs a person in.
func (h *Harness) LogIn(t testing.TB, who Person) Tokens {
	t.Helper()
	in := h.Post(t, who.Portal.Front+"/login", who.Credentials()).Status(http.StatusOK)
	return Tokens{Access: in.Text("access_token"), Refresh: in.Text("refresh_token")}
}

// Credentials are the body of a person's login.
func (p Person) Credentials(more ...Object) Object {
	body := Object{"email": p.Email, "password": p.Password}
	for _, m := range more {
		maps.Copy(body, m)
	}
	return body
}
