package contract_test

import (
	"context"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// The document is valid, its examples included.
func TestOpenAPIIsValid(t *testing.T) {
	t.Parallel()
	require.NoError(t, apitest.OpenAPI().Doc.Validate(context.Background(), openapi3.EnableExamplesValidation()))
	for _, op := range apitest.OpenAPI().Operations {
		require.NotEmpty(t, op.OperationID, op.String())
		require.NotEmpty(t, op.Summary, op.String())
		if op.RequestBody != nil {
			require.NotNil(t, apitest.ExampleBody(op), "%s: an example of the request", op)
		}
		for status, response := range op.Responses.Map() {
			for kind, content := range response.Value.Content {
				require.True(t, content.Example != nil || len(content.Examples) > 0, "%s %s %s: an example", op, status, kind)
			}
		}
	}
}

func TestRoutesAreTheOperations(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		var documented []string
		for _, op := range apitest.OpenAPI().Operations {
			documented = append(documented, op.String())
		}
		routes := apitest.New(t, db).Routes()
		slices.Sort(routes)
		require.Equal(t, documented, routes)
	})
}

// Operations that require credentials answer 401 without them, and refuse those of others.
func TestMissingCredentials(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		in := h.LogIn(t, h.Account(t, h.Portal(t)))
		for _, op := range apitest.OpenAPI().Operations {
			if !apitest.WantsCredentials(op) {
				continue
			}
			target := apitest.FillPath(op.Path, "acme")
			want := func(with ...apitest.Option) {
				t.Helper()
				h.Call(t, op.Method, target, apitest.ExampleBody(op), with...).Problem(http.StatusUnauthorized, "authentication_required").
					Remedies("log_in").HasHeader("WWW-Authenticate", `Bearer realm="latchkey"`)
			}
			want()
			for _, nonsense := range []string{
				"", "Bearer", "Bearer ", "Bearer \t", apitest.OperatorKey, in.Access, "Basic " + apitest.OperatorKey, "bearer:" + apitest.OperatorKey, "Token " + in.Access,
			} {
				want(apitest.Header("Authorization", nonsense))
			}
			want(apitest.AsOperator, apitest.AddHeader("Authorization", "Bearer "+apitest.OperatorKey))
			want(apitest.Bearer(in.Access), apitest.AddHeader("Authorization", "Bearer "+in.Access))
			if apitest.AcceptsCredentials(op, "accessToken") && !apitest.AcceptsCredentials(op, "apiKey") {
				h.Call(t, op.Method, target, apitest.ExampleBody(op), apitest.AsOperator).Problem(http.StatusUnauthorized, "access_token_invalid")
			}
			if apitest.AcceptsCredentials(op, "apiKey") {
				h.Call(t, op.Method, target, apitest.ExampleBody(op), apitest.Bearer("lk_nobody_has_this_key_0123456789012345")).
					Problem(http.StatusUnauthorized, "authentication_required")
			}
		}
	})
}

func TestUnknownMethodsAndPaths(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		for path, item := range apitest.OpenAPI().Doc.Paths.Map() {
			target := apitest.FillPath(path, "acme")
			for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "get"} {
				if slices.Contains(slices.Collect(maps.Keys(item.Operations())), method) {
					continue
				}
				h.Call(t, method, target, nil).Problem(http.StatusMethodNotAllowed, "method_not_allowed")
			}
		}
		for _, path := range []string{"/", "/v1", "/v1/", "/v1/portal", "/v1/portals/acme/", "/v1/portals/acme/login/", "//v1/portals", "/V1/portals"} {
			h.Get(t, path).Problem(http.StatusNotFound, "not_found")
		}
	})
}

// Each operation has one area, whose package fails unless every documented status of it is seen.
func TestEveryOperationHasOneArea(t *testing.T) {
	t.Parallel()
	var owned, documented []string
	for area, operations := range apitest.Areas {
		owned = append(owned, operations...)
		source, err := os.ReadFile(filepath.Join("..", area, "main_test.go"))
		require.NoError(t, err)
		require.Contains(t, string(source), "apitest.Main(m)")
	}
	for _, op := range apitest.OpenAPI().Operations {
		documented = append(documented, op.OperationID)
	}
	require.ElementsMatch(t, documented, owned)
}
