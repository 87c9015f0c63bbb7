package contract_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// Pages of a portal's origins can read all of its answers, errors included. Other pages can only read its public part.
func TestPortalOriginsReadAnswers(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.WithLoginOrigin())
		h.Portal(t, apitest.Object{"slug": "other", "origins": []string{"https://login.other.example"}})
		in := h.LogIn(t, h.Account(t, p))
		for _, tt := range []struct {
			method, path string
			body         any
			with         []apitest.Option
			want         int
		}{
			{"POST", "/lookup", apitest.Object{"email": "ada@example.com"}, nil, http.StatusOK},
			{"POST", "/lookup", apitest.Object{"email": "nobody@example.com"}, nil, http.StatusNotFound},
			{"POST", "/lookup", "{", nil, http.StatusBadRequest},
			{"POST", "/lookup", strings.Repeat("x", 70<<10), nil, http.StatusRequestEntityTooLarge},
			{"POST", "/lookup", "{}", []apitest.Option{apitest.Header("Content-Type", "text/plain")}, http.StatusUnsupportedMediaType},
			{"POST", "/login", apitest.Object{}, nil, http.StatusUnprocessableEntity},
			{"GET", "/me", nil, []apitest.Option{apitest.Bearer(in.Access)}, http.StatusOK},
			{"GET", "/me", nil, nil, http.StatusUnauthorized},
			{"PUT", "/me", nil, nil, http.StatusMethodNotAllowed},
			{"GET", "/login", nil, nil, http.StatusMethodNotAllowed},
			{"GET", "/nothing", nil, nil, http.StatusNotFound},
		} {
			h.Call(t, tt.method, p.Front+tt.path, tt.body, append(tt.with, apitest.Origin(apitest.LoginOrigin))...).Status(tt.want).
				HasHeader("Access-Control-Allow-Origin", apitest.LoginOrigin).HasHeader("Access-Control-Allow-Credentials", "true")
			for _, elsewhere := range []string{"https://evil.example", "https://login.other.example", "null", "*", apitest.LoginOrigin + ":444"} {
				a := h.Call(t, tt.method, p.Front+tt.path, tt.body, append(tt.with, apitest.Origin(elsewhere))...).Status(tt.want).
					HasHeader("Access-Control-Allow-Origin", "").HasHeader("Access-Control-Allow-Credentials", "")
				require.Contains(t, a.Header.Values("Vary"), "Origin")
			}
		}
	})
}

func TestAnyOriginReadsPublicPortal(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		h.Portal(t, apitest.WithLoginOrigin(), apitest.Object{"domains": []string{"login.acme.example"}})
		for _, path := range []string{
			"/v1/portals?domain=login.acme.example", "/v1/portals?domain=nothing.example", "/v1/portals/acme", "/v1/portals/nothing",
			"/v1/portals/acme/.well-known/openid-configuration", "/.well-known/jwks.json", "/openapi.yaml",
		} {
			for _, from := range []string{apitest.LoginOrigin, "https://evil.example", "null"} {
				h.Get(t, path, apitest.Origin(from)).HasHeader("Access-Control-Allow-Origin", "*").HasHeader("Access-Control-Allow-Credentials", "")
			}
		}
	})
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.WithLoginOrigin())
		asks := apitest.Header("Access-Control-Request-Method", "POST")
		const allowed = "Authorization, Content-Type, Accept-Language, X-Request-ID"
		h.Call(t, "OPTIONS", p.Front+"/login", nil, asks, apitest.Origin(apitest.LoginOrigin)).Status(http.StatusNoContent).
			HasHeader("Access-Control-Allow-Origin", apitest.LoginOrigin).HasHeader("Access-Control-Allow-Credentials", "true").
			HasHeader("Access-Control-Allow-Methods", "POST, OPTIONS").HasHeader("Access-Control-Max-Age", "600").
			HasHeader("Access-Control-Allow-Headers", allowed)
		for asked, more := range map[string]string{
			"content-type,sentry-trace,baggage":                     ", sentry-trace, baggage",
			" Traceparent , X-Requested-With,, cache-control":       ", traceparent, x-requested-with, cache-control",
			"x-request-id, AUTHORIZATION":                           "",
			"x-evil\u00e9":                                          "",
			"x one, x-two":                                          "",
			"x-a(b)":                                                "",
			strings.Repeat("x,", 600):                               "",
			strings.Repeat("x-trace,", 33):                          "",
			strings.TrimSuffix(strings.Repeat("x-trace,", 32), ","): strings.Repeat(", x-trace", 32),
		} {
			ask := apitest.Header("Access-Control-Request-Headers", asked)
			a := h.Call(t, "OPTIONS", p.Front+"/login", nil, asks, ask, apitest.Origin(apitest.LoginOrigin)).Status(http.StatusNoContent).
				HasHeader("Access-Control-Allow-Headers", allowed+more)
			require.Contains(t, a.Header.Values("Vary"), "Access-Control-Request-Headers")
			h.Call(t, "OPTIONS", p.Front+"/login", nil, asks, ask, apitest.Origin("https://evil.example")).
				Problem(http.StatusForbidden, "origin_not_allowed").HasHeader("Access-Control-Allow-Headers", "")
		}
		h.Call(t, "OPTIONS", p.Front+"/me", nil, asks, apitest.Origin(apitest.LoginOrigin)).Status(http.StatusNoContent).
			HasHeader("Access-Control-Allow-Methods", "GET, HEAD, PATCH, OPTIONS")
		h.Call(t, "OPTIONS", p.Front+"/login", nil, asks, apitest.Origin("https://evil.example")).
			Problem(http.StatusForbidden, "origin_not_allowed").HasHeader("Access-Control-Allow-Origin", "").
			HasHeader("Access-Control-Allow-Methods", "")
		h.Call(t, "OPTIONS", "/v1/admin/portals", nil, asks, apitest.Origin(apitest.LoginOrigin)).Problem(http.StatusForbidden, "origin_not_allowed")
		h.Call(t, "OPTIONS", p.Front, nil, asks, apitest.Origin("https://evil.example")).Status(http.StatusNoContent).
			HasHeader("Access-Control-Allow-Origin", "*")
		h.Call(t, "OPTIONS", p.Front+"/login", nil).Status(http.StatusNoContent).HasHeader("Allow", "POST, OPTIONS")
	})
}

// The audit trail keeps the socket's address, unless the socket is a trusted proxy's.
func TestCallerNetwork(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		ada := h.Account(t, p)
		socket, _, _ := strings.Cut(apitest.CallerAddress, ":")
		trusting := h.Calling(h.NewServer(t, db, apitest.TrustingProxies(socket+"/32", "2001:db8:1::/48")))
		for forwarded, want := range map[string]string{
			"":                                     socket,
			"203.0.113.9":                          "203.0.113.9",
			"10.0.0.1, 203.0.113.9":                "203.0.113.9",
			"evil, 203.0.113.9":                    "203.0.113.9",
			"203.0.113.9, 2001:db8:1::7":           "203.0.113.9",
			"203.0.113.9:4711":                     "203.0.113.9",
			"[2001:db8:2::1]:443, [2001:db8:1::7]": "2001:db8:2::1",
			"::ffff:203.0.113.9":                   "203.0.113.9",
			"fe80::1%eth0":                         "fe80::1",
			"nonsense":                             socket,
			"203.0.113.9, nonsense":                socket,
		} {
			last := func(by *apitest.Harness) string {
				by.Post(t, p.Front+"/login", ada.Credentials(), apitest.Header("X-Forwarded-For", forwarded)).Status(http.StatusOK)
				return h.QueryValue(t, "SELECT network FROM sessions ORDER BY id DESC LIMIT 1")
			}
			require.Equal(t, want, last(trusting), "forwarded %q", forwarded)
			require.Equal(t, socket, last(h), "forwarded %q, by nobody who is trusted", forwarded)
		}
	})
}

// An app shell calls from an origin of its own scheme. An entry that is no origin is explained.
func TestOriginsOfApps(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{"origins": []string{"capacitor://localhost", "ionic://localhost"}})
		lookup := apitest.Object{"email": "ada@example.com"}
		for _, origin := range []string{"capacitor://localhost", "ionic://localhost"} {
			h.Post(t, p.Front+"/lookup", lookup, apitest.Origin(origin)).HasHeader("Access-Control-Allow-Origin", origin)
		}
		h.Post(t, p.Front+"/lookup", lookup, apitest.Origin("capacitor://elsewhere")).HasHeader("Access-Control-Allow-Origin", "")
		for _, origin := range []string{"file://localhost", "null", "https://acme.example/login", "localhost"} {
			a := h.Patch(t, p.Admin, apitest.Object{"origins": []string{origin}}, apitest.AsOperator).FieldError("/origins/0", "invalid")
			require.Contains(t, a.Text("errors.0.detail"), "scheme://host", origin)
		}
	})
}
