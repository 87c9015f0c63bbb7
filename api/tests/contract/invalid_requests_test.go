package contract_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

func TestInvalidQueries(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		in := h.LogIn(t, h.Account(t, h.Portal(t)))
		before := h.RowCounts(t)
		aCursor := apitest.Base64URL(uuid.Must(uuid.NewV7()).NodeID())
		for _, op := range apitest.OpenAPI().Operations {
			if op.Parameters.GetByInAndName("query", "limit") == nil {
				continue
			}
			target, with := apitest.FillPath(op.Path, "acme"), apitest.Entitled(op, in)
			for query, code := range map[string]string{
				"limit=0": "out_of_range", "limit=201": "out_of_range", "limit=-1": "out_of_range", "limit=1e3": "wrong_type",
				"limit=": "wrong_type", "limit": "wrong_type", "limit=1.0": "wrong_type", "limit=%2B1": "wrong_type", "limit=01": "wrong_type",
				"limit=+1": "wrong_type", "limit=ten": "wrong_type", "limit=0x10": "wrong_type", "limit=1&limit=1": "duplicate_member",
				"limit=2147483648": "out_of_range", "limit=9999999999": "out_of_range", "limit=99999999999999999999": "too_long",
				"limit=%00": "control_character", "limit=%FF": "invalid_encoding", "limit=1%0A": "control_character",
				"limit=%D9%A1": "wrong_type", "limit=%zz": "invalid_encoding",
			} {
				h.Get(t, target+"?"+query, with).Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/limit", code)
			}
			for query, code := range map[string]string{
				"cursor=": "invalid", "cursor": "invalid", "cursor=x": "invalid", "cursor=" + aCursor: "invalid",
				"cursor=" + url.QueryEscape("' OR 1=1 --"): "invalid", "cursor=" + strings.Repeat("A", 22) + "%3D%3D": "invalid",
				"cursor=" + strings.Repeat("A", 21) + "B": "invalid", "cursor=" + strings.Repeat("A", 101): "too_long",
				"cursor=" + uuid.Must(uuid.NewV7()).String(): "invalid", "cursor=%00": "control_character", "cursor=%FF": "invalid_encoding",
				"cursor=a&cursor=b": "duplicate_member", "cursor=" + strings.Repeat("A", 10) + "%0A" + strings.Repeat("A", 12): "control_character",
			} {
				h.Get(t, target+"?"+query, with).Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/cursor", code)
			}
			h.Get(t, target+"?limit=200&nonsense=1", with).Status(http.StatusOK)
		}
		for query, code := range map[string]string{
			"": "required", "domain=": "required", "domain=%00": "control_character", "domain=%FF": "invalid_encoding",
			"domain=a.example&domain=b.example": "duplicate_member", "domain=" + strings.Repeat("a", 254): "too_long", "Domain=a.example": "required",
		} {
			h.Get(t, "/v1/portals?"+query).Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/domain", code)
		}
		require.Equal(t, before, h.RowCounts(t))
	})
}

// Calls without a body refuse one, except {}.
func TestBodyOnOperationWithoutBody(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		ada := h.Account(t, h.Portal(t))
		in := h.LogIn(t, ada)
		before := h.RowCounts(t)
		for _, op := range apitest.OpenAPI().Operations {
			if op.RequestBody != nil || op.Method == http.MethodGet {
				continue
			}
			_, claims := apitest.DecodeToken(t, in.Access)
			path := strings.NewReplacer("accounts/{id}", "accounts/"+ada.ID, "sessions/{id}", "sessions/"+claims["sid"].(string)).Replace(op.Path)
			send := func(body any, with ...apitest.Option) *apitest.Answer {
				t.Helper()
				return h.Call(t, op.Method, apitest.FillPath(path, "acme"), body, append(with, apitest.Entitled(op, in))...)
			}
			send(apitest.Object{"all": true}).Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/all", "unknown_member")
			send("[]").Problem(http.StatusUnprocessableEntity, "validation_failed")
			send("{").Problem(http.StatusBadRequest, "malformed_request")
			send("{}", apitest.Header("Content-Type", "text/plain")).Problem(http.StatusUnsupportedMediaType, "unsupported_media_type")
			send(strings.Repeat(" ", 70<<10)).Problem(http.StatusRequestEntityTooLarge, "request_too_large")
		}
		require.Equal(t, before, h.RowCounts(t))
		h.RequireAccess(t, ada.Portal, in.Access, true)
	})
}

// dial sends octets as they are and reads the answer.
func dial(t *testing.T, h *apitest.Harness, request string) *apitest.Answer {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.BaseURL, "http://"))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err, "no answer to %.200q", request)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return &apitest.Answer{T: t, HTTPStatus: response.StatusCode, Header: response.Header, Body: body}
}

// requireRefusal wants a 4xx: a problem of ours, or, before a request could be read at all, a line of net/http's own.
func requireRefusal(a *apitest.Answer, what string) *apitest.Answer {
	a.T.Helper()
	require.True(a.T, a.HTTPStatus >= 400 && a.HTTPStatus < 500, "%.200q: %d %s", what, a.HTTPStatus, a.Body)
	if bytes.HasPrefix(a.Body, []byte("{")) {
		apitest.OpenAPI().CheckProblem(a.T, what, a)
	} else {
		require.Contains(a.T, []int{400, 431, 417}, a.HTTPStatus, "%.200q: %s", what, a.Body)
	}
	return a
}

func TestInvalidPaths(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.NewListening(t, db)
		ada := h.Account(t, h.Portal(t))
		before := h.RowCounts(t)
		for _, path := range []string{
			"/v1/portals/%2e%2e/admin/portals", "/v1/portals/../admin/portals", "/v1/portals/..%2fadmin%2fportals", "/..", "/../../etc/passwd",
			"/%2e%2e/%2e%2e/etc/passwd", "/docs/../../../etc/passwd", "/docs/%2e%2e/%2e%2e/etc/passwd", "/docs/..%2f..%2fapi.go", "/docs/..\\api.go",
			"/v1/portals/acme%00", "/v1/portals/acme%00/me", "/v1/portals/%00/lookup", "/v1/portals/%ff", "/v1/portals/%c0%ae%c0%ae/me",
			"/v1/portals/%F0%9F%94%91", "/v1/portals/ac%CC%81me", "/v1/portals/%E2%80%AEacme", "/v1/portals/acme%0d%0aX-Evil:%201", "/v1/portals/ACME",
			"/v1/portals/acme%20", "/v1/portals/acme;x=1", "/v1/portals/acme.json", "/v1/portals/acme%2fme", "/v1/portals/acme//me", "//v1/portals/acme",
			"/v1/portals/acme/./me", "/v1/portals/acme/me/", "/v1/portals/acme/me%2f", "/v1/portals/acme/me%00", "/v1/portals/:portal/me",
			"/v1/portals/{portal}/me", "/v1/portals/*/me", "/v1/portals/'%20OR%201=1%20--", "/v1/portals/%25%32%65", "/v1/portals/%zz", "/v1/portals/%",
			"/v1/portals/a b", "/v1/portals/\x00", "/v1/portals/\xff", "/v1/portals/acme\t", "/" + strings.Repeat("a", 15_000),
			"/v1/portals/" + strings.Repeat("%61", 4_000), "/" + strings.Repeat("a/", 6_000), "/" + strings.Repeat("x", 40_000),
			"/problems/%2e%2e%2fstatus", "/problems/incorrect_credentials", "/problems/not-found%00", "/.env", "/.git/config", "/debug/pprof/", "/metrics/..",
			"/V1/portals/acme", "/v1/portals/acme/.well-known/openid-configuration/", "v1/portals/acme", "*",
		} {
			requireRefusal(dial(t, h, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), path)
		}
		for _, id := range []string{"%00", "..", "%2e%2e", "'%20OR%20'1'='1", strings.Repeat("a", 10_000), "%ff", ada.ID + "%20", "0", "-1", "null"} {
			for _, method := range []string{"GET", "DELETE"} {
				request := method + " " + ada.Portal.Admin + "/accounts/" + id + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + apitest.OperatorKey
				requireRefusal(dial(t, h, request+"\r\nConnection: close\r\n\r\n"), id)
			}
		}
		require.Equal(t, before, h.RowCounts(t))
	})
}

func TestInvalidHeaders(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.NewListening(t, db)
		h.Portal(t)
		start := "GET /v1/portals/acme/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
		for _, headers := range []string{
			"X-Huge: " + strings.Repeat("x", 64<<10) + "\r\n", strings.Repeat("X-Many: x\r\n", 4_000), "Authorization: Bearer " + strings.Repeat("x", 12<<10) + "\r\n",
			"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n", "Authorization: \xff\r\n", "No colon\r\n", "Bad name: x\r\n", ": x\r\n",
			"X-Nul: a\x00b\r\n", "Content-Length: -1\r\n", "Content-Length: 1\r\nContent-Length: 2\r\n",
			"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "Expect: nonsense\r\n", "Accept: application/xml\r\n", "Cookie: " + strings.Repeat("a=b; ", 500) + "\r\n",
			"Cookie: \"\\\r\n", "Authorization: Bearer a\r\n b\r\n", "X-HTTP-Method-Override: DELETE\r\n", "Range: bytes=0-1\r\n", "If-None-Match: *\r\n",
		} {
			requireRefusal(dial(t, h, start+headers+"\r\n"), headers)
		}
		requireRefusal(dial(t, h, "GET /v1/portals/acme/me HTTP/1.1\r\n\r\n"), "no host")
		dial(t, h, "GET /v1/portals/acme/me HTTP/9.9\r\nHost: x\r\n\r\n") // net/http answers 400 or 505
		requireRefusal(dial(t, h, "POST /v1/portals/acme/lookup HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"+
			"Connection: close\r\n\r\nzz\r\n"), "broken chunk")
		h.Get(t, "/healthz").Status(http.StatusOK)
	})
}

// A caller's request id is kept if it is well-formed, and replaced otherwise.
func TestRequestIDs(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		for _, sane := range []string{"a", "trace-1.2_3:4/5+6=", strings.Repeat("a", 128), uuid.NewString()} {
			h.Get(t, "/healthz", apitest.Header("X-Request-ID", sane)).Status(http.StatusOK).HasHeader("X-Request-ID", sane)
			h.Get(t, "/nothing", apitest.Header("X-Request-ID", sane)).Status(http.StatusNotFound).Is("request_id", sane)
			require.Contains(t, h.Log.String(), `"request_id":"`+sane+`"`)
		}
		for _, odd := range []string{"", " ", strings.Repeat("a", 129), "a b", "a\"b", "<script>", "é", "\xff", "a\nb", "a,b", "%00", "🔑"} {
			a := h.Get(t, "/nothing", apitest.Header("X-Request-ID", odd)).Status(http.StatusNotFound)
			id, err := uuid.Parse(a.Text("request_id"))
			require.NoError(t, err)
			require.EqualValues(t, 7, id.Version(), "%q", odd)
		}
	})
}

// Requests without a language are answered in the portal's, or else in English.
func TestAcceptLanguage(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		h.Portal(t, apitest.Object{"default_locale": "nl"})
		for tags, want := range map[string]string{
			"de": "de", "DE-at": "de", "fr-CA, en;q=0.5": "fr", "sv, da;q=0.3": "da", "en-US": "en", "*": "", "": "", "sv": "", "xx-yy-zz": "", ";q=": "",
			"de;q=0": "", "\xff": "", "de\x00": "", strings.Repeat("de,", 5_000): "", "../../de": "", "q=1;de": "", "none": "", "-": "", "zh": "",
		} {
			for path, fallback := range map[string]string{"/nothing": "en", "/v1/portals/acme/me": "nl"} {
				a := h.Get(t, path, apitest.Language(tags)).HasHeader("Content-Language", map[bool]string{true: fallback, false: want}[want == ""])
				require.NotContains(t, a.Text("title"), "problem.", tags)
				require.Contains(t, a.Header.Values("Vary"), "Accept-Language")
			}
		}
	})
}
