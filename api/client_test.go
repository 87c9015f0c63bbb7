package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// option changes a request before it is sent.
type option func(*http.Request)

func asOperator(r *http.Request) { r.Header.Set("Authorization", "Bearer "+operatorKey) }

func bearer(token string) option {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

func header(name, value string) option {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// another header of a name that may stand there already.
func oneMore(name, value string) option {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

func origin(of string) option { return header("Origin", of) }

func language(tags string) option { return header("Accept-Language", tags) }

func cookie(value string) option {
	return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: refreshCookie, Value: value}) }
}

func inContext(ctx context.Context) option {
	return func(r *http.Request) { *r = *r.WithContext(ctx) }
}

// refreshCookie is the name of the cookie that a browser keeps its refresh token in.
const refreshCookie = "__Secure-latchkey-refresh"

func (h *harness) get(t testing.TB, target string, with ...option) *answer {
	t.Helper()
	return h.call(t, http.MethodGet, target, nil, with...)
}

func (h *harness) post(t testing.TB, target string, body any, with ...option) *answer {
	t.Helper()
	return h.call(t, http.MethodPost, target, body, with...)
}

func (h *harness) patch(t testing.TB, target string, body any, with ...option) *answer {
	t.Helper()
	return h.call(t, http.MethodPatch, target, body, with...)
}

func (h *harness) delete(t testing.TB, target string, with ...option) *answer {
	t.Helper()
	return h.call(t, http.MethodDelete, target, nil, with...)
}

// call sends one request and holds request and answer to openapi.yaml. A body that is a string or octets is sent as
// it is, any other as JSON; nil is none.
func (h *harness) call(t testing.TB, method, target string, body any, with ...option) *answer {
	t.Helper()
	sent := encoded(t, body)
	r := h.request(t, method, target, sent)
	for _, change := range with {
		change(r)
	}
	h.noteSent(r, sent)
	a := h.send(t, r)
	h.noteAnswered(a)
	contract().check(t, exchange{request: r, sent: sent, answer: a})
	return a
}

func encoded(t testing.TB, body any) []byte {
	t.Helper()
	switch body := body.(type) {
	case nil:
		return nil
	case string:
		return []byte(body)
	case []byte:
		return body
	}
	text, err := json.Marshal(body)
	require.NoError(t, err)
	return text
}

func (h *harness) request(t testing.TB, method, target string, sent []byte) *http.Request {
	t.Helper()
	var body io.Reader
	if sent != nil {
		body = bytes.NewReader(sent)
	}
	var r *http.Request
	if h.base == "" {
		r = httptest.NewRequest(method, target, body)
		r.RemoteAddr = callerSocket
	} else {
		var err error
		r, err = http.NewRequest(method, h.base+target, body)
		require.NoError(t, err)
	}
	if sent != nil {
		r.Header.Set("Content-Type", bodyType(r))
	}
	return r
}

// bodyType is what the operation of a request takes; JSON where it takes nothing.
func bodyType(r *http.Request) string {
	if op, _, ok := contract().find(r); ok && op.RequestBody != nil {
		for kind := range op.RequestBody.Value.Content {
			return kind
		}
	}
	return "application/json"
}

// impatient is a client that sees redirects and waits no longer than the contract lets it wait.
var impatient = &http.Client{
	Timeout:       5 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (h *harness) send(t testing.TB, r *http.Request) *answer {
	t.Helper()
	if h.base == "" {
		w := httptest.NewRecorder()
		h.server.ServeHTTP(w, r)
		return &answer{t: t, httpStatus: w.Code, header: w.Header(), body: w.Body.Bytes()}
	}
	response, err := impatient.Do(r)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return &answer{t: t, httpStatus: response.StatusCode, header: response.Header, body: body}
}

// private are the members of requests and answers that a log must not repeat.
var private = []string{
	"email", "password", "phone", "given_name", "family_name", "access_token", "refresh_token", "device_token",
	"current_password", "new_password", "token", "pin", "key",
}

func (h *harness) noteSent(r *http.Request, sent []byte) {
	if _, token, found := strings.Cut(r.Header.Get("Authorization"), " "); found {
		h.log.forbid(strings.TrimSpace(token))
	}
	for _, c := range r.Cookies() {
		h.log.forbid(c.Value)
	}
	h.notePrivate(sent)
}

func (h *harness) noteAnswered(a *answer) {
	response := http.Response{Header: a.header}
	for _, c := range response.Cookies() {
		h.log.forbid(c.Value)
	}
	if a.httpStatus < http.StatusBadRequest {
		h.notePrivate(a.body)
	}
}

func (h *harness) notePrivate(text []byte) {
	var members object
	if json.Unmarshal(text, &members) != nil {
		return
	}
	for name, value := range members {
		if secret, ok := value.(string); ok && slices.Contains(private, name) {
			h.log.forbid(secret)
		}
	}
}

// answer is what came back; its methods say what must be in it, and can be chained.
type answer struct {
	t          testing.TB
	httpStatus int
	header     http.Header
	body       []byte
}

func (a *answer) status(want int) *answer {
	a.t.Helper()
	require.Equal(a.t, want, a.httpStatus, "status of: %s", a.body)
	return a
}

// problem wants a status and a code.
func (a *answer) problem(status int, code string) *answer {
	a.t.Helper()
	return a.status(status).is("code", code)
}

// field wants a member of the request named as wrong.
func (a *answer) field(pointer, code string) *answer {
	a.t.Helper()
	require.True(a.t, a.names(pointer, code), "want %s %s in: %s", pointer, code, a.body)
	return a
}

func (a *answer) names(pointer, code string) bool {
	a.t.Helper()
	var said struct {
		Errors []struct{ Pointer, Code string }
	}
	a.into(&said)
	return slices.ContainsFunc(said.Errors, func(e struct{ Pointer, Code string }) bool {
		return e.Pointer == pointer && e.Code == code
	})
}

// remedies wants exactly these actions, in this order.
func (a *answer) remedies(actions ...string) *answer {
	a.t.Helper()
	var said struct{ Remedies []struct{ Action string } }
	a.into(&said)
	got := make([]string, 0, len(said.Remedies))
	for _, r := range said.Remedies {
		got = append(got, r.Action)
	}
	require.Equal(a.t, actions, got, "remedies of: %s", a.body)
	return a
}

// is wants the member at a path of names and indices, "account.roles.0", to be a value.
func (a *answer) is(path string, want any) *answer {
	a.t.Helper()
	got, ok := a.at(path)
	require.True(a.t, ok, "no %s in: %s", path, a.body)
	var normal any
	require.NoError(a.t, json.Unmarshal(encoded(a.t, []any{want}), &normal))
	want = normal.([]any)[0]
	require.True(a.t, reflect.DeepEqual(want, got), "%s: want %v, got %v in: %s", path, want, got, a.body)
	return a
}

// lacks wants no member at a path.
func (a *answer) lacks(path string) *answer {
	a.t.Helper()
	_, ok := a.at(path)
	require.False(a.t, ok, "%s in: %s", path, a.body)
	return a
}

// sets wants a header to be a value; "" wants none.
func (a *answer) sets(name, want string) *answer {
	a.t.Helper()
	require.Equal(a.t, want, strings.Join(a.header.Values(name), "|"), "header %s", name)
	return a
}

// text is the string at a path.
func (a *answer) text(path string) string {
	a.t.Helper()
	value, ok := a.at(path)
	text, isText := value.(string)
	require.True(a.t, ok && isText, "no text %s in: %s", path, a.body)
	return text
}

// list is a member of every item of the list at a path.
func (a *answer) list(path, member string) []any {
	a.t.Helper()
	value, ok := a.at(path)
	require.True(a.t, ok, "no %s in: %s", path, a.body)
	list := make([]any, 0)
	for _, item := range value.([]any) {
		list = append(list, item.(object)[member])
	}
	return list
}

func (a *answer) into(target any) {
	a.t.Helper()
	require.NoError(a.t, json.Unmarshal(a.body, target), "not JSON: %s", a.body)
}

func (a *answer) at(path string) (any, bool) {
	a.t.Helper()
	var value any
	a.into(&value)
	for name := range strings.SplitSeq(path, ".") {
		switch within := value.(type) {
		case object:
			found, ok := within[name]
			if !ok {
				return nil, false
			}
			value = found
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(within) {
				return nil, false
			}
			value = within[i]
		default:
			return nil, false
		}
	}
	return value, true
}
