package contract_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// withoutDatabase are operations that work without a database.
var withoutDatabase = []string{"getHealth", "getStatus", "getOpenapi", "getDocs", "explainProblem", "getJwks"}

// A database that does not answer is 503 within 5 s for every operation. Later requests are served again.
func TestUnresponsiveDatabase(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		in := h.LogIn(t, h.Account(t, h.Portal(t)))
		key := h.Post(t, "/v1/admin/api-keys", apitest.Object{"name": "Key", "scopes": []string{"operator"}}, apitest.AsOperator).
			Status(http.StatusCreated).Text("key")
		cold := h.Calling(h.NewServer(t, db)) // has no portal in its cache
		release := holdEveryConnection(t, db)

		var asked []apitest.Operation
		var requests []*http.Request
		for _, op := range apitest.OpenAPI().Operations {
			target := apitest.FillPath(op.Path, "acme")
			if op.Path == "/v1/portals" {
				target += "?domain=login.acme.example"
			}
			sent := apitest.Encode(t, apitest.ExampleBody(op))
			r := cold.Request(t, op.Method, target, sent)
			apitest.Entitled(op, in)(r)
			if op.OperationID == "listSigningKeys" || op.OperationID == "getMetrics" {
				apitest.Bearer(key)(r) // the answer is in memory, but a stored key has to be looked up
			}
			asked, requests = append(asked, op), append(requests, r)
		}
		began := time.Now()
		answers := cold.SendTogether(t, requests)
		took := time.Since(began)
		release()
		require.Less(t, took, 5*time.Second)
		for i, a := range answers {
			apitest.OpenAPI().Check(t, apitest.Exchange{Request: requests[i], Sent: apitest.Encode(t, apitest.ExampleBody(asked[i])), Answer: a})
			if slices.Contains(withoutDatabase, asked[i].OperationID) {
				a.Status(http.StatusOK)
				continue
			}
			a.Problem(http.StatusServiceUnavailable, "unavailable").Remedies("retry", "contact_support")
			if asked[i].OperationID == "getStatus" {
				a.Is("status", "degraded").Is("components.database", "down")
			}
		}
		cold.Get(t, "/readyz").Status(http.StatusOK).Is("status", "ready")
		cold.Get(t, "/status").Status(http.StatusOK).Is("components.database", "ok")
		cold.Get(t, "/v1/portals/acme/me", apitest.Bearer(in.Access)).Status(http.StatusOK)
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

// Operations that need no credentials answer.
func TestOperationalEndpoints(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.NewListening(t, db)
		h.Get(t, "/healthz").Status(http.StatusOK).Is("status", "ok").HasHeader("Cache-Control", "no-store")
		h.Get(t, "/readyz").Status(http.StatusOK).Is("status", "ready")
		h.Get(t, "/status").Status(http.StatusOK).Is("status", "ok").Is("components.database", "ok")
		h.Get(t, "/openapi.yaml").Status(http.StatusOK).HasHeader("Content-Type", "application/yaml")
		docs := h.Get(t, "/docs").Status(http.StatusOK)
		require.NotRegexp(t, `(src|href)="?(https?:)?//`, string(docs.Body), "nothing of another host")
		require.Contains(t, docs.Header.Get("Content-Security-Policy"), "default-src 'self'")
		assets := scriptsOf(string(docs.Body))
		require.NotEmpty(t, assets)
		for asset := range assets {
			h.Get(t, asset).Status(http.StatusOK)
		}
		h.Get(t, "/.well-known/jwks.json").Status(http.StatusOK).Is("keys.0.kty", "EC").Lacks("keys.0.d").Lacks("keys.1")

		for _, path := range []string{"/healthz", "/docs", "/v1/portals/nothing", "/nothing", "/v1/portals/nothing/me"} {
			got, head := h.Get(t, path), h.Call(t, http.MethodHead, path, nil)
			require.Equal(t, got.HTTPStatus, head.HTTPStatus, path)
			require.Empty(t, head.Body, path)
			require.Equal(t, got.Header.Get("Content-Type"), head.Header.Get("Content-Type"), path)
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
func TestTruncatedBody(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		r := h.Request(t, http.MethodPost, p.Front+"/lookup", []byte(`{"email":"ada@exam`))
		r.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"email":"ada@exam`), brokenReader{}))
		a := h.Send(t, r)
		apitest.OpenAPI().Check(t, apitest.Exchange{Request: r, Sent: []byte(`{"email":"ada@exam`), Answer: a})
		a.Problem(http.StatusBadRequest, "malformed_request")
	})
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
