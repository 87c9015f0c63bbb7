package api_test

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

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

func TestHostileQueries(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		in := h.logIn(t, h.account(t, h.portal(t)))
		before := h.counts(t)
		aCursor := encode(uuid.Must(uuid.NewV7()).NodeID())
		for _, op := range contract().operations {
			if op.Parameters.GetByInAndName("query", "limit") == nil {
				continue
			}
			target, with := fill(op.path, "acme"), entitled(op, in)
			for query, code := range map[string]string{
				"limit=0": "out_of_range", "limit=201": "out_of_range", "limit=-1": "out_of_range", "limit=1e3": "wrong_type",
				"limit=": "wrong_type", "limit": "wrong_type", "limit=1.0": "wrong_type", "limit=%2B1": "wrong_type", "limit=01": "wrong_type",
				"limit=+1": "wrong_type", "limit=ten": "wrong_type", "limit=0x10": "wrong_type", "limit=1&limit=1": "duplicate_member",
				"limit=2147483648": "out_of_range", "limit=9999999999": "out_of_range", "limit=99999999999999999999": "too_long",
				"limit=%00": "control_character", "limit=%FF": "invalid_encoding", "limit=1%0A": "control_character",
				"limit=%D9%A1": "wrong_type", "limit=%zz": "invalid_encoding",
			} {
				h.get(t, target+"?"+query, with).problem(http.StatusUnprocessableEntity, "validation_failed").field("/limit", code)
			}
			for query, code := range map[string]string{
				"cursor=": "invalid", "cursor": "invalid", "cursor=x": "invalid", "cursor=" + aCursor: "invalid",
				"cursor=" + url.QueryEscape("' OR 1=1 --"): "invalid", "cursor=" + strings.Repeat("A", 22) + "%3D%3D": "invalid",
				"cursor=" + strings.Repeat("A", 21) + "B": "invalid", "cursor=" + strings.Repeat("A", 101): "too_long",
				"cursor=" + uuid.Must(uuid.NewV7()).String(): "invalid", "cursor=%00": "control_character", "cursor=%FF": "invalid_encoding",
				"cursor=a&cursor=b": "duplicate_member", "cursor=" + strings.Repeat("A", 10) + "%0A" + strings.Repeat("A", 12): "control_character",
			} {
				h.get(t, target+"?"+query, with).problem(http.StatusUnprocessableEntity, "validation_failed").field("/cursor", code)
			}
			h.get(t, target+"?limit=200&nonsense=1", with).status(http.StatusOK)
		}
		for query, code := range map[string]string{
			"": "required", "domain=": "required", "domain=%00": "control_character", "domain=%FF": "invalid_encoding",
			"domain=a.example&domain=b.example": "duplicate_member", "domain=" + strings.Repeat("a", 254): "too_long", "Domain=a.example": "required",
		} {
			h.get(t, "/v1/portals?"+query).problem(http.StatusUnprocessableEntity, "validation_failed").field("/domain", code)
		}
		require.Equal(t, before, h.counts(t))
	})
}

// What takes no body is not done with one, except that {} says nothing.
func TestABodyWhereNoneIsTaken(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		ada := h.account(t, h.portal(t))
		in := h.logIn(t, ada)
		before := h.counts(t)
		for _, op := range contract().operations {
			if op.RequestBody != nil || op.method == http.MethodGet {
				continue
			}
			_, claims := takenApart(t, in.access)
			path := strings.NewReplacer("accounts/{id}", "accounts/"+ada.id, "sessions/{id}", "sessions/"+claims["sid"].(string)).Replace(op.path)
			send := func(body any, with ...option) *answer {
				t.Helper()
				return h.call(t, op.method, fill(path, "acme"), body, append(with, entitled(op, in))...)
			}
			send(object{"all": true}).problem(http.StatusUnprocessableEntity, "validation_failed").field("/all", "unknown_member")
			send("[]").problem(http.StatusUnprocessableEntity, "validation_failed")
			send("{").problem(http.StatusBadRequest, "malformed_request")
			send("{}", header("Content-Type", "text/plain")).problem(http.StatusUnsupportedMediaType, "unsupported_media_type")
			send(strings.Repeat(" ", 70<<10)).problem(http.StatusRequestEntityTooLarge, "request_too_large")
		}
		require.Equal(t, before, h.counts(t))
		h.alive(t, ada.portal, in.access, true)
	})
}

// dial sends octets as they are and reads the answer.
func (h *harness) dial(t *testing.T, request string) *answer {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.base, "http://"))
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
	return &answer{t: t, httpStatus: response.StatusCode, header: response.Header, body: body}
}

// refused wants a 4xx: a problem of ours, or, before a request could be read at all, a line of net/http's own.
func (a *answer) refused(what string) *answer {
	a.t.Helper()
	require.True(a.t, a.httpStatus >= 400 && a.httpStatus < 500, "%.200q: %d %s", what, a.httpStatus, a.body)
	if bytes.HasPrefix(a.body, []byte("{")) {
		contract().checkProblem(a.t, what, a)
	} else {
		require.Contains(a.t, []int{400, 431, 417}, a.httpStatus, "%.200q: %s", what, a.body)
	}
	return a
}

func TestHostilePaths(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := overSocket(t, db)
		ada := h.account(t, h.portal(t))
		before := h.counts(t)
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
			h.dial(t, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").refused(path)
		}
		for _, id := range []string{"%00", "..", "%2e%2e", "'%20OR%20'1'='1", strings.Repeat("a", 10_000), "%ff", ada.id + "%20", "0", "-1", "null"} {
			for _, method := range []string{"GET", "DELETE"} {
				request := method + " " + ada.portal.admin + "/accounts/" + id + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + operatorKey
				h.dial(t, request+"\r\nConnection: close\r\n\r\n").refused(id)
			}
		}
		require.Equal(t, before, h.counts(t))
	})
}

func TestHostileHeaders(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := overSocket(t, db)
		h.portal(t)
		start := "GET /v1/portals/acme/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
		for _, headers := range []string{
			"X-Huge: " + strings.Repeat("x", 64<<10) + "\r\n", strings.Repeat("X-Many: x\r\n", 4_000), "Authorization: Bearer " + strings.Repeat("x", 12<<10) + "\r\n",
			"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n", "Authorization: \xff\r\n", "No colon\r\n", "Bad name: x\r\n", ": x\r\n",
			"X-Nul: a\x00b\r\n", "Content-Length: -1\r\n", "Content-Length: 1\r\nContent-Length: 2\r\n",
			"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "Expect: nonsense\r\n", "Accept: application/xml\r\n", "Cookie: " + strings.Repeat("a=b; ", 500) + "\r\n",
			"Cookie: \"\\\r\n", "Authorization: Bearer a\r\n b\r\n", "X-HTTP-Method-Override: DELETE\r\n", "Range: bytes=0-1\r\n", "If-None-Match: *\r\n",
		} {
			h.dial(t, start+headers+"\r\n").refused(headers)
		}
		h.dial(t, "GET /v1/portals/acme/me HTTP/1.1\r\n\r\n").refused("no host")
		h.dial(t, "GET /v1/portals/acme/me HTTP/9.9\r\nHost: x\r\n\r\n") // any answer will do: 400 or 505, by net/http
		h.dial(t, "POST /v1/portals/acme/lookup HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"+
			"Connection: close\r\n\r\nzz\r\n").refused("broken chunk")
		h.get(t, "/healthz").status(http.StatusOK)
	})
}

// A caller's id of a request is kept where it is sane, and replaced where it is not.
func TestRequestIDs(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		for _, sane := range []string{"a", "trace-1.2_3:4/5+6=", strings.Repeat("a", 128), uuid.NewString()} {
			h.get(t, "/healthz", header("X-Request-ID", sane)).status(http.StatusOK).sets("X-Request-ID", sane)
			h.get(t, "/nothing", header("X-Request-ID", sane)).status(http.StatusNotFound).is("request_id", sane)
			require.Contains(t, h.log.String(), `"request_id":"`+sane+`"`)
		}
		for _, odd := range []string{"", " ", strings.Repeat("a", 129), "a b", "a\"b", "<script>", "é", "\xff", "a\nb", "a,b", "%00", "🔑"} {
			a := h.get(t, "/nothing", header("X-Request-ID", odd)).status(http.StatusNotFound)
			id, err := uuid.Parse(a.text("request_id"))
			require.NoError(t, err)
			require.EqualValues(t, 7, id.Version(), "%q", odd)
		}
	})
}

// What says nothing about a language is answered in the portal's, else in English.
func TestAcceptLanguage(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		h.portal(t, object{"default_locale": "nl"})
		for tags, want := range map[string]string{
			"de": "de", "DE-at": "de", "fr-CA, en;q=0.5": "fr", "sv, da;q=0.3": "da", "en-US": "en", "*": "", "": "", "sv": "", "xx-yy-zz": "", ";q=": "",
			"de;q=0": "", "\xff": "", "de\x00": "", strings.Repeat("de,", 5_000): "", "../../de": "", "q=1;de": "", "none": "", "-": "", "zh": "",
		} {
			for path, fallback := range map[string]string{"/nothing": "en", "/v1/portals/acme/me": "nl"} {
				a := h.get(t, path, language(tags)).sets("Content-Language", map[bool]string{true: fallback, false: want}[want == ""])
				require.NotContains(t, a.text("title"), "problem.", tags)
				require.Contains(t, a.header.Values("Vary"), "Accept-Language")
			}
		}
	})
}
