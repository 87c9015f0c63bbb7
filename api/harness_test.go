package api_test

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/pkg/app"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/password"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

const (
	operatorKey  = "lk_operator_key_of_the_tests_0123456789"
	publicURL    = "https://auth.example"
	secretKey    = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	goodPassword = "correct horse battery staple"
	callerSocket = "192.0.2.77:4711" // where requests come from that pass no socket
)

type object = map[string]any

// harness is a server of a test's own on a database of its own, and a client that holds every answer to openapi.yaml.
type harness struct {
	db     *database.DB
	ring   *keyring.Ring
	server *api.Server
	clock  *clock
	log    *journal
	base   string // the address of the real socket that is called; "" calls the handler itself
}

// newHarness makes one. What it logs must never hold a password, a token or an address that the test used, which is
// looked at when the test ends.
func newHarness(t testing.TB, db *database.DB, adjust ...func(*options)) *harness {
	t.Helper()
	ring, err := keyring.Parse(secretKey)
	require.NoError(t, err)
	h := &harness{db: db, ring: ring, clock: &clock{at: time.Now().UTC().Truncate(time.Millisecond)}, log: newJournal(t)}
	h.server = h.another(t, db, adjust...)
	return h
}

// another is one more server, of the harness's own or another database, with the same key, clock and log.
func (h *harness) another(t testing.TB, db *database.DB, adjust ...func(*options)) *api.Server {
	t.Helper()
	o := options{
		app.Options{
			DB: db, Ring: h.ring, Passwords: password.NewPool(2, 30*time.Second, password.Cheapest), PublicURL: publicURL,
			Now: h.clock.now, Log: slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		},
		api.Options{OperatorKey: operatorKey, Unlimited: true},
	}
	for _, change := range adjust {
		change(&o)
	}
	a, err := app.New(context.Background(), o.App)
	require.NoError(t, err)
	server := api.New(a, o.API)
	apps.Store(server, a)
	return server
}

// options are what a harness makes a server of.
type options struct {
	App app.Options
	API api.Options
}

// apps holds the app of each server.
var apps sync.Map // *api.Server -> *app.App

func appOf(server *api.Server) *app.App {
	a, _ := apps.Load(server)
	return a.(*app.App)
}

// calling is the harness with another of its servers to call.
func (h *harness) calling(server *api.Server) *harness {
	other := *h
	other.server = server
	return &other
}

// overSocket is a harness whose server listens, as its public URL says, for what only a real connection shows.
func overSocket(t testing.TB, db *database.DB) *harness {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	base := "http://" + listener.Addr().String()
	h := newHarness(t, db, func(o *options) { o.App.PublicURL = base })
	h.base = base
	server, ended := h.server.HTTP(), make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		require.NoError(t, server.Shutdown(context.Background()))
		require.ErrorIs(t, <-ended, http.ErrServerClosed)
	})
	return h
}

// clock stands still, on a whole millisecond as the tables keep it, until it is told to go on.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// journal is a captured log, with what must not stand in it.
type journal struct {
	mu      sync.Mutex
	text    bytes.Buffer
	secrets map[string]bool
}

func newJournal(t testing.TB) *journal {
	j := &journal{secrets: map[string]bool{
		operatorKey: true, secretKey: true, strings.Split(callerSocket, ":")[0]: true,
	}}
	t.Cleanup(func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		logged := j.text.String()
		for secret := range j.secrets {
			escaped := strconv.Quote(secret)
			for _, spelling := range []string{secret, escaped[1 : len(escaped)-1]} {
				if at := strings.Index(logged, spelling); at >= 0 {
					t.Errorf("the log holds what it must not, %q: …%s", secret, logged[max(0, at-300):min(len(logged), at+300)])
				}
			}
		}
	})
	return j
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(line)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// forbid notes a secret; words so short that a log may hold them by chance are none.
func (j *journal) forbid(secret string) {
	const shortest = 8
	if len(secret) < shortest {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.secrets[secret] = true
}

// portal is a portal that a test made.
type portal struct {
	id    string
	slug  string
	front string // where its people call
	admin string // where administrators do
}

// portal makes one through the admin API: "acme", unless a setting says otherwise.
func (h *harness) portal(t testing.TB, settings ...object) portal {
	t.Helper()
	body := object{"slug": "acme", "name": "Acme"}
	for _, s := range settings {
		maps.Copy(body, s)
	}
	id := h.post(t, "/v1/admin/portals", body, asOperator).status(http.StatusCreated).text("id")
	slug := body["slug"].(string)
	return portal{id: id, slug: slug, front: "/v1/portals/" + slug, admin: "/v1/admin/portals/" + slug}
}

// person is an account that a test made, and what it logs in with.
type person struct {
	portal   portal
	id       string
	email    string
	password string
	admin    string // where administrators find it
}

// account makes one through the admin API: Ada, who is confirmed and can log in, unless a member says otherwise; a
// member that is nil is left out.
func (h *harness) account(t testing.TB, p portal, members ...object) person {
	t.Helper()
	body := object{"email": "ada@example.com", "password": goodPassword, "confirmed": true}
	for _, m := range members {
		maps.Copy(body, m)
	}
	maps.DeleteFunc(body, func(_ string, value any) bool { return value == nil })
	made := h.post(t, p.admin+"/accounts", body, asOperator).status(http.StatusCreated)
	secret, _ := body["password"].(string)
	id := made.text("id")
	return person{portal: p, id: id, email: body["email"].(string), password: secret, admin: p.admin + "/accounts/" + id}
}

// tokens are what a login answered.
type tokens struct{ access, refresh string }

// logIn logs a person in.
func (h *harness) logIn(t testing.TB, who person) tokens {
	t.Helper()
	in := h.post(t, who.portal.front+"/login", who.credentials()).status(http.StatusOK)
	return tokens{access: in.text("access_token"), refresh: in.text("refresh_token")}
}

// credentials are the body of a person's login.
func (p person) credentials(more ...object) object {
	body := object{"email": p.email, "password": p.password}
	for _, m := range more {
		maps.Copy(body, m)
	}
	return body
}
