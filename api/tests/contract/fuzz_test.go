package contract_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// fuzzHarness is a server for a fuzz target, with Ada at the portal acme.
func fuzzHarness(f *testing.F) (*apitest.Harness, apitest.Person) {
	f.Helper()
	h := apitest.New(f, databasetest.Open(f, database.SQLite))
	return h, h.Account(f, h.Portal(f))
}

// For any octets as a body, each operation answers as openapi.yaml says, and never with a 5xx.
func FuzzBodies(f *testing.F) {
	h, ada := fuzzHarness(f)
	in := h.LogIn(f, ada)
	var taking []apitest.Operation
	for _, op := range apitest.OpenAPI().Operations {
		// A body that is right would end the session, or remove what the others need.
		if apitest.TakesJSON(op) && !slices.Contains([]string{"logOut", "changePassword", "updateAccount", "updatePortal"}, op.OperationID) {
			taking = append(taking, op)
		}
	}
	for _, op := range taking {
		whole := string(apitest.Encode(f, apitest.ExampleBody(op)))
		f.Add([]byte(whole))
		f.Add([]byte(strings.ToUpper(whole)))
	}
	for _, seed := range []string{
		"", "{}", "null", "[]", `""`, "0", "\x00", "\xff", "\ufeff{}", "{", `{"email":`, `{"email":"a@b.example","email":"a@b.example"}`,
		`{"email":"\u0000"}`, `{"email":"\ud800"}`, `{"email":"a@b.example","password":"\u00e9"}`, `{"Email":"a@b.example"}`,
		`{"email":{"email":{"email":[]}}}`, `{"metadata":{"a":1e999}}`, `{"metadata":{"a":{"b":[1,2,{"c":null}]}}}`,
		`{"slug":"fuzz","name":"F","lockout":{"threshold":1e2}}`, `{"slug":"fuzz","name":"F","domains":["\u3002.example"]}`,
		strings.Repeat("[", 10_000), `{"a":` + strings.Repeat("9", 10_000) + "}", `{"given_name":null,"locale":"da","opted_out":false}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, op := range taking {
			a := h.Call(t, op.Method, apitest.FillPath(op.Path, "acme"), body, apitest.Entitled(op, in))
			require.Less(t, a.HTTPStatus, http.StatusInternalServerError, "%s: %q: %s", op, body, a.Body)
			if a.HTTPStatus < http.StatusMultipleChoices {
				optional := len(body) == 0 && !op.RequestBody.Value.Required
				require.True(t, json.Valid(body) || optional, "%s took what is not JSON: %q", op, body)
			}
		}
	})
}

// Accepted origins are spelled as browsers do. Accepted links are http(s) URLs with one placeholder outside the host.
func FuzzOriginsAndLinks(f *testing.F) {
	h, ada := fuzzHarness(f)
	for _, seed := range []string{
		"https://acme.example", "https://acme.example:443/", "HTTP://ACME.example:80", "http://[::1]:8080", "https://user@acme.example",
		"https://acme.example/path", "https://acme.example?q", "https://acme.example#", "https://*.acme.example", "null", "javascript:alert(1)",
		"https://acme.example/reset?token={token}", "https://{token}.example/", "https://acme.example/{token}{token}", "//acme.example/{token}",
		"https://acme.example\\@evil.example/{token}", "https://acme.example/{token}/{other}", "http:///{token}", "https://bücher.example/{token}",
		"https://acme.example:99999/{token}", "data:text/html,{token}", "https:acme.example/{token}", " https://acme.example/{token}", "https://%61cme.example/{token}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		set := func(settings apitest.Object) (*apitest.Answer, bool) {
			a := h.Patch(t, ada.Portal.Admin, settings, apitest.AsOperator)
			require.Contains(t, []int{http.StatusOK, http.StatusBadRequest, http.StatusUnprocessableEntity}, a.HTTPStatus, "%q: %s", text, a.Body)
			return a, a.HTTPStatus == http.StatusOK
		}
		if a, taken := set(apitest.Object{"origins": []string{text}}); taken {
			kept := a.Text("origins.0")
			u, err := url.Parse(kept)
			require.NoError(t, err)
			require.Contains(t, []string{"http", "https"}, u.Scheme)
			require.Equal(t, u.Scheme+"://"+u.Host, kept, "%q", text)
			again, taken := set(apitest.Object{"origins": []string{kept}})
			require.True(t, taken, "%q is kept as %q, which is refused", text, kept)
			require.Equal(t, kept, again.Text("origins.0"))
		}
		if a, taken := set(apitest.Object{"links": apitest.Object{"reset": text}}); taken {
			kept := a.Text("links.reset")
			u, err := url.Parse(strings.ReplaceAll(kept, "{token}", "T0ken"))
			require.NoError(t, err)
			require.Contains(t, []string{"http", "https"}, u.Scheme)
			require.NotEmpty(t, u.Hostname())
			require.NotContains(t, u.Host, "T0ken")
			require.Equal(t, 1, strings.Count(kept, "{token}"))
		}
	})
}
