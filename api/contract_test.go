package api_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/locale"
)

// The document is valid, its examples included.
func TestOpenAPIIsValid(t *testing.T) {
	t.Parallel()
	require.NoError(t, contract().doc.Validate(context.Background(), openapi3.EnableExamplesValidation()))
	for _, op := range contract().operations {
		require.NotEmpty(t, op.OperationID, op.String())
		require.NotEmpty(t, op.Summary, op.String())
		if op.RequestBody != nil {
			require.NotNil(t, example(op), "%s: an example of the request", op)
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
		for _, op := range contract().operations {
			documented = append(documented, op.String())
		}
		routes := newHarness(t, db).server.Routes()
		slices.Sort(routes)
		require.Equal(t, documented, routes)
	})
}

// Every code is in openapi.yaml, has a status, words in every language and a page that explains it.
func TestEveryCodeIsExplained(t *testing.T) {
	t.Parallel()
	var codes []string
	for _, code := range fault.All() {
		codes = append(codes, string(code))
		require.Contains(t, api.Statuses, code)
	}
	require.Len(t, api.Statuses, len(codes))
	require.ElementsMatch(t, enum(t, "ProblemCode"), codes)
	var fields []string
	for _, code := range fault.AllFields() {
		fields = append(fields, string(code))
	}
	require.ElementsMatch(t, enum(t, "FieldCode"), fields)

	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		for _, code := range codes {
			pages := map[string]bool{}
			for _, l := range locale.Languages() {
				page := h.get(t, "/problems/"+strings.ReplaceAll(code, "_", "-"), language(string(l))).status(http.StatusOK).
					sets("Content-Language", string(l))
				require.Contains(t, string(page.body), code)
				require.Contains(t, string(page.body), fmt.Sprint(api.Statuses[fault.Code(code)]))
				require.NotContains(t, string(page.body), "problem."+code, "%s: words are missing in %s", code, l)
				pages[string(page.body)] = true
			}
			require.Len(t, pages, len(locale.Languages()), "%s: a page for each language", code)
		}
		for _, none := range []string{"nothing", "incorrect_credentials", "Not-Found", "not-found-", "%00", "..%2fstatus"} {
			h.get(t, "/problems/"+none).problem(http.StatusNotFound, "not_found")
		}
	})
}

func TestRemediesAreOfTheClosedList(t *testing.T) {
	t.Parallel()
	actions := enum(t, "RemedyAction")
	for code, remedies := range api.RemediesOf {
		require.Contains(t, api.Statuses, code)
		for _, action := range remedies {
			meant := []string{action}
			if action == api.ActionAnother {
				meant = nil
				for _, actions := range api.AnotherOf {
					meant = slices.AppendSeq(meant, maps.Values(actions))
				}
			}
			for _, action := range meant {
				require.Contains(t, actions, action, code)
				for _, l := range locale.Languages() {
					require.NotEqual(t, "remedy."+action, locale.Text(l, "remedy."+action, nil), "%s in %s", action, l)
				}
			}
		}
	}
}

func enum(t *testing.T, schema string) []string {
	t.Helper()
	require.Contains(t, contract().doc.Components.Schemas, schema)
	var values []string
	for _, value := range contract().doc.Components.Schemas[schema].Value.Enum {
		values = append(values, value.(string))
	}
	return values
}

// Whatever wants credentials answers 401 without them, and nobody else's open it.
func TestCredentialsAreAskedFor(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		in := h.logIn(t, h.account(t, h.portal(t)))
		for _, op := range contract().operations {
			if !wantsCredentials(op) {
				continue
			}
			target := fill(op.path, "acme")
			want := func(with ...option) {
				t.Helper()
				h.call(t, op.method, target, example(op), with...).problem(http.StatusUnauthorized, "authentication_required").
					remedies("log_in").sets("WWW-Authenticate", `Bearer realm="latchkey"`)
			}
			want()
			for _, nonsense := range []string{
				"", "Bearer", "Bearer ", "Bearer \t", operatorKey, in.access, "Basic " + operatorKey, "bearer:" + operatorKey, "Token " + in.access,
			} {
				want(header("Authorization", nonsense))
			}
			want(asOperator, oneMore("Authorization", "Bearer "+operatorKey))
			want(bearer(in.access), oneMore("Authorization", "Bearer "+in.access))
			if accepts(op, "accessToken") && !accepts(op, "apiKey") {
				h.call(t, op.method, target, example(op), asOperator).problem(http.StatusUnauthorized, "access_token_invalid")
			}
			if accepts(op, "apiKey") {
				h.call(t, op.method, target, example(op), bearer("lk_nobody_has_this_key_0123456789012345")).
					problem(http.StatusUnauthorized, "authentication_required")
			}
		}
	})
}

// wantsCredentials reports whether nobody may call an operation without: an empty requirement says that they may.
func wantsCredentials(op operation) bool {
	return op.Security != nil && len(*op.Security) > 0 &&
		!slices.ContainsFunc(*op.Security, func(r openapi3.SecurityRequirement) bool { return len(r) == 0 })
}

// entitled gives a request the credentials that its operation takes: the operator's, or else a person's.
func entitled(op operation, in tokens) option {
	switch {
	case accepts(op, "apiKey"):
		return asOperator
	case accepts(op, "accessToken"):
		return bearer(in.access)
	}
	return func(*http.Request) {}
}

// accepts reports whether an operation takes credentials of a kind.
func accepts(op operation, scheme string) bool {
	return op.Security != nil && slices.ContainsFunc(*op.Security, func(r openapi3.SecurityRequirement) bool {
		_, ok := r[scheme]
		return ok
	})
}

func TestAMethodThatIsNotThere(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		for path, item := range contract().doc.Paths.Map() {
			target := fill(path, "acme")
			for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "get"} {
				if slices.Contains(slices.Collect(maps.Keys(item.Operations())), method) {
					continue
				}
				h.call(t, method, target, nil).problem(http.StatusMethodNotAllowed, "method_not_allowed")
			}
		}
		for _, path := range []string{"/", "/v1", "/v1/", "/v1/portal", "/v1/portals/acme/", "/v1/portals/acme/login/", "//v1/portals", "/V1/portals"} {
			h.get(t, path).problem(http.StatusNotFound, "not_found")
		}
	})
}

// example is the request that openapi.yaml shows for an operation; nil for one without a body.
func example(op operation) any {
	if op.RequestBody == nil {
		return nil
	}
	for _, content := range op.RequestBody.Value.Content {
		return content.Example
	}
	return nil
}

// takesJSON reports whether an operation has a JSON body.
func takesJSON(op operation) bool {
	return op.RequestBody != nil && op.RequestBody.Value.Content["application/json"] != nil
}

var parameter = regexp.MustCompile(`\{[a-z_]+\}`)

// fill puts a portal, and something of the right form for every other parameter, into a path of openapi.yaml.
func fill(path, slug string) string {
	return parameter.ReplaceAllStringFunc(path, func(name string) string {
		switch name {
		case "{portal}":
			return slug
		case "{code}":
			return "not-found"
		}
		return uuid.Must(uuid.NewV7()).String()
	})
}

// Example_everyDocumentedStatus is the last to run, for examples come after all tests: by then every status that
// openapi.yaml documents has been answered to one of them.
func Example_everyDocumentedStatus() {
	if !runsAll() {
		return
	}
	for _, status := range contract().unseen() {
		fmt.Println("documented, and no test sees it:", status)
	}
	// Output:
}

// runsAll reports whether this run is of all tests.
func runsAll() bool {
	for _, name := range []string{"test.run", "test.skip", "test.bench", "test.fuzz"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return !testing.Short()
}
