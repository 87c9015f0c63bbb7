package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// without are operations that a database which does not answer leaves as they are.
var without = []string{"getHealth", "getStatus", "getOpenapi", "getDocs", "explainProblem", "getJwks", "getMetrics"}

// A database that does not answer is 503 within 5 s, whatever was asked, and the next one that asks is served.
func TestADatabaseThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		in := h.logIn(t, h.account(t, h.portal(t)))
		key := h.post(t, "/v1/admin/api-keys", object{"name": "Key", "scopes": []string{"operator"}}, asOperator).
			status(http.StatusCreated).text("key")
		cold := h.calling(h.another(t, db)) // one that has no portal in its cache
		release := holdEveryConnection(t, db)

		var asked []operation
		var requests []*http.Request
		for _, op := range contract().operations {
			target := fill(op.path, "acme")
			if op.path == "/v1/portals" {
				target += "?domain=login.acme.example"
			}
			sent := encoded(t, example(op))
			r := cold.request(t, op.method, target, sent)
			entitled(op, in)(r)
			if op.OperationID == "listSigningKeys" {
				bearer(key)(r) // the signing keys are at hand; whoever asks with a stored key has to be looked up
			}
			asked, requests = append(asked, op), append(requests, r)
		}
		began := time.Now()
		answers := cold.together(t, requests)
		took := time.Since(began)
		release()
		require.Less(t, took, 5*time.Second)
		for i, a := range answers {
			contract().check(t, exchange{request: requests[i], sent: encoded(t, example(asked[i])), answer: a})
			if slices.Contains(without, asked[i].OperationID) {
				a.status(http.StatusOK)
				continue
			}
			a.problem(http.StatusServiceUnavailable, "unavailable").remedies("retry", "contact_support")
			if asked[i].OperationID == "getStatus" {
				a.is("status", "degraded").is("components.database", "down")
			}
		}
		cold.get(t, "/readyz").status(http.StatusOK).is("status", "ready")
		cold.get(t, "/status").status(http.StatusOK).is("components.database", "ok")
		cold.get(t, "/v1/portals/acme/me", bearer(in.access)).status(http.StatusOK)
	})
}

// holdEveryConnection leaves the pool empty until it is released.
func holdEveryConnection(t *testing.T, db *database.DB) (release func()) {
	t.Helper()
	done := make(chan struct{})
	var held, ended sync.WaitGroup
	for range db.Stats().MaxOpenConnections {
		held.Add(1)
		ended.Go(func() {
			err := db.InTx(context.Background(), func(context.Context) error {
				held.Done()
				<-done
				return nil
			})
			if err != nil {
				t.Errorf("hold a connection: %v", err)
			}
		})
	}
	held.Wait()
	return sync.OnceFunc(func() {
		close(done)
		ended.Wait()
	})
}

// together sends requests at once; their answers are not yet held to the contract.
func (h *harness) together(t testing.TB, requests []*http.Request) []*answer {
	t.Helper()
	answers := make([]*answer, len(requests))
	var all sync.WaitGroup
	for i, r := range requests {
		all.Go(func() { answers[i] = h.send(t, r) })
	}
	all.Wait()
	return answers
}

// A caller who left before his hash began decided nothing, and nothing is recorded of him.
func TestACallerWhoLeft(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		ada := h.account(t, h.portal(t))
		before := h.counts(t)
		left, leave := context.WithCancel(context.Background())
		leave()
		for _, secret := range []string{ada.password, "not the right one"} {
			h.post(t, ada.portal.front+"/login", ada.credentials(object{"password": secret}), inContext(left)).
				problem(http.StatusServiceUnavailable, "unavailable")
		}
		require.Equal(t, before, h.counts(t))
		h.logIn(t, ada)
	})
}

// What breaks inside is 500, and neither its caller nor the log hears the value that it broke with.
func TestWhatBreaksInside(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		const secret = "hunter2-is-what-the-caller-typed"
		h.log.forbid(secret)
		var nobody *harness
		for name, breaks := range map[string]func(){
			"text":    func() { panic(secret) },
			"error":   func() { panic(errors.New(secret)) },
			"wrapped": func() { panic(fmt.Errorf("wrapped: %w", errors.New(secret))) },
			"struct":  func() { panic(struct{ Password string }{secret}) },
			"runtime": func() { _ = nobody.clock.now() },
			"index":   func() { _ = []int{}[len(secret)] },
		} {
			h.server.HandleGet("/break/"+name, func(echo.Context) error { breaks(); return nil })
			a := h.get(t, "/break/"+name, header("X-Request-ID", "broken-"+name)).problem(http.StatusInternalServerError, "internal").
				remedies("retry", "contact_support").is("request_id", "broken-"+name)
			require.NotContains(t, string(a.body), secret)
			require.NotContains(t, string(a.body), "goroutine")
			require.Contains(t, h.log.String(), "broken-"+name)
		}
		require.Contains(t, h.log.String(), "nil pointer dereference")
		require.Contains(t, h.log.String(), "fault_test.go", "the log says where")

		h.server.HandleGet("/fail", func(echo.Context) error { return errors.New("the cause is for the log") })
		a := h.get(t, "/fail").problem(http.StatusInternalServerError, "internal")
		require.NotContains(t, string(a.body), "for the log")
		require.Contains(t, h.log.String(), "the cause is for the log")
		h.get(t, "/healthz").status(http.StatusOK)
	})
}

// Operations that need nothing answer, and say what a status page wants.
func TestOperations(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := overSocket(t, db)
		h.get(t, "/healthz").status(http.StatusOK).is("status", "ok").sets("Cache-Control", "no-store")
		h.get(t, "/readyz").status(http.StatusOK).is("status", "ready")
		h.get(t, "/status").status(http.StatusOK).is("status", "ok").is("components.database", "ok")
		h.get(t, "/openapi.yaml").status(http.StatusOK).sets("Content-Type", "application/yaml")
		docs := h.get(t, "/docs").status(http.StatusOK)
		require.NotRegexp(t, `(src|href)="?(https?:)?//`, string(docs.body), "nothing of another host")
		require.Contains(t, docs.header.Get("Content-Security-Policy"), "default-src 'self'")
		assets := scriptsOf(string(docs.body))
		require.NotEmpty(t, assets)
		for asset := range assets {
			h.get(t, asset).status(http.StatusOK)
		}
		h.get(t, "/.well-known/jwks.json").status(http.StatusOK).is("keys.0.kty", "OKP").lacks("keys.0.d").lacks("keys.1")

		for _, path := range []string{"/healthz", "/docs", "/v1/portals/nothing", "/nothing", "/v1/portals/nothing/me"} {
			got, head := h.get(t, path), h.call(t, http.MethodHead, path, nil)
			require.Equal(t, got.httpStatus, head.httpStatus, path)
			require.Empty(t, head.body, path)
			require.Equal(t, got.header.Get("Content-Type"), head.header.Get("Content-Type"), path)
		}
	})
}

// scriptsOf gives the paths of what a page loads.
func scriptsOf(page string) map[string]bool {
	found := map[string]bool{}
	for _, attribute := range []string{`src="`, `href="`} {
		for _, rest := range strings.Split(page, attribute)[1:] {
			if path, _, _ := strings.Cut(rest, `"`); strings.HasPrefix(path, "/docs/") {
				found[path] = true
			}
		}
	}
	return found
}

// A caller who stops in the middle of a body has sent no JSON.
func TestABodyThatIsCutOff(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		r := h.request(t, http.MethodPost, p.front+"/lookup", []byte(`{"email":"ada@exam`))
		r.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"email":"ada@exam`), brokenReader{}))
		a := h.send(t, r)
		contract().check(t, exchange{request: r, sent: []byte(`{"email":"ada@exam`), answer: a})
		a.problem(http.StatusBadRequest, "malformed_request")
	})
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
