package api_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// The pages of a portal's origins read every answer of it, errors included; other pages read nothing but its face.
func TestOriginsMayReadEveryAnswer(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, withOrigin())
		h.portal(t, object{"slug": "other", "origins": []string{"https://login.other.example"}})
		in := h.logIn(t, h.account(t, p))
		for _, tt := range []struct {
			method, path string
			body         any
			with         []option
			want         int
		}{
			{"POST", "/lookup", object{"email": "ada@example.com"}, nil, http.StatusOK},
			{"POST", "/lookup", object{"email": "nobody@example.com"}, nil, http.StatusNotFound},
			{"POST", "/lookup", "{", nil, http.StatusBadRequest},
			{"POST", "/lookup", strings.Repeat("x", 70<<10), nil, http.StatusRequestEntityTooLarge},
			{"POST", "/lookup", "{}", []option{header("Content-Type", "text/plain")}, http.StatusUnsupportedMediaType},
			{"POST", "/login", object{}, nil, http.StatusUnprocessableEntity},
			{"GET", "/me", nil, []option{bearer(in.access)}, http.StatusOK},
			{"GET", "/me", nil, nil, http.StatusUnauthorized},
			{"PUT", "/me", nil, nil, http.StatusMethodNotAllowed},
			{"GET", "/login", nil, nil, http.StatusMethodNotAllowed},
			{"GET", "/nothing", nil, nil, http.StatusNotFound},
		} {
			h.call(t, tt.method, p.front+tt.path, tt.body, append(tt.with, origin(page))...).status(tt.want).
				sets("Access-Control-Allow-Origin", page).sets("Access-Control-Allow-Credentials", "true")
			for _, elsewhere := range []string{"https://evil.example", "https://login.other.example", "null", "*", page + ":444"} {
				a := h.call(t, tt.method, p.front+tt.path, tt.body, append(tt.with, origin(elsewhere))...).status(tt.want).
					sets("Access-Control-Allow-Origin", "").sets("Access-Control-Allow-Credentials", "")
				require.Contains(t, a.header.Values("Vary"), "Origin")
			}
		}
	})
}

func TestPublicFacesAreReadableByAll(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		h.portal(t, withOrigin(), object{"domains": []string{"login.acme.example"}})
		for _, path := range []string{
			"/v1/portals?domain=login.acme.example", "/v1/portals?domain=nothing.example", "/v1/portals/acme", "/v1/portals/nothing",
			"/v1/portals/acme/.well-known/openid-configuration", "/.well-known/jwks.json", "/openapi.yaml",
		} {
			for _, from := range []string{page, "https://evil.example", "null"} {
				h.get(t, path, origin(from)).sets("Access-Control-Allow-Origin", "*").sets("Access-Control-Allow-Credentials", "")
			}
		}
	})
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, withOrigin())
		asks := header("Access-Control-Request-Method", "POST")
		h.call(t, "OPTIONS", p.front+"/login", nil, asks, origin(page)).status(http.StatusNoContent).
			sets("Access-Control-Allow-Origin", page).sets("Access-Control-Allow-Credentials", "true").
			sets("Access-Control-Allow-Methods", "POST, OPTIONS").sets("Access-Control-Max-Age", "600").
			sets("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept-Language, X-Request-ID")
		h.call(t, "OPTIONS", p.front+"/me", nil, asks, origin(page)).status(http.StatusNoContent).
			sets("Access-Control-Allow-Methods", "GET, HEAD, PATCH, OPTIONS")
		h.call(t, "OPTIONS", p.front+"/login", nil, asks, origin("https://evil.example")).
			problem(http.StatusForbidden, "origin_not_allowed").sets("Access-Control-Allow-Origin", "").
			sets("Access-Control-Allow-Methods", "")
		h.call(t, "OPTIONS", "/v1/admin/portals", nil, asks, origin(page)).problem(http.StatusForbidden, "origin_not_allowed")
		h.call(t, "OPTIONS", p.front, nil, asks, origin("https://evil.example")).status(http.StatusNoContent).
			sets("Access-Control-Allow-Origin", "*")
		h.call(t, "OPTIONS", p.front+"/login", nil).status(http.StatusNoContent).sets("Allow", "POST, OPTIONS")
	})
}

// The address that the audit trail keeps is the socket's, unless that is a trusted proxy's.
func TestTheCallersNetwork(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		ada := h.account(t, p)
		socket, _, _ := strings.Cut(callerSocket, ":")
		trusting := h.calling(h.another(t, db, func(o *options) {
			o.API.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(socket + "/32"), netip.MustParsePrefix("2001:db8:1::/48")}
		}))
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
			last := func(by *harness) string {
				by.post(t, p.front+"/login", ada.credentials(), header("X-Forwarded-For", forwarded)).status(http.StatusOK)
				return h.sql(t, "SELECT network FROM sessions ORDER BY id DESC LIMIT 1")
			}
			require.Equal(t, want, last(trusting), "forwarded %q", forwarded)
			require.Equal(t, socket, last(h), "forwarded %q, by nobody who is trusted", forwarded)
		}
	})
}
