package apitest

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
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Option changes a request before it is sent.
type Option func(*http.Request)

// AsOperator sends the operator key of the configuration.
func AsOperator(r *http.Request) { r.Header.Set("Authorization", "Bearer "+OperatorKey) }

// Bearer sends an access token or an API key.
func Bearer(token string) Option {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

// Header sets a header.
func Header(name, value string) Option {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// AddHeader adds a further value of a header.
func AddHeader(name, value string) Option {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

// Origin names the page that sends the request.
func Origin(of string) Option { return Header("Origin", of) }

// Language asks for a language.
func Language(tags string) Option { return Header("Accept-Language", tags) }

// RefreshCookie sends a refresh token as a cookie.
func RefreshCookie(value string) Option {
	return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: RefreshCookieName, Value: value}) }
}

// InContext sends the request with a context.
func InContext(ctx context.Context) Option {
	return func(r *http.Request) { *r = *r.WithContext(ctx) }
}

// RefreshCookieName is the name of the cookie that a browser keeps its refresh token in.
const RefreshCookieName = "__Secure-latchkey-refresh"

// Get calls an operation with GET.
func (h *Harness) Get(t testing.TB, target string, with ...Option) *Answer {
	t.Helper()
	return h.Call(t, http.MethodGet, target, nil, with...)
}

// Post calls an operation with POST.
func (h *Harness) Post(t testing.TB, target string, body any, with ...Option) *Answer {
	t.Helper()
	return h.Call(t, http.MethodPost, target, body, with...)
}

// Patch calls an operation with PATCH.
func (h *Harness) Patch(t testing.TB, target string, body any, with ...Option) *Answer {
	t.Helper()
	return h.Call(t, http.MethodPatch, target, body, with...)
}

// Delete calls an operation with DELETE.
func (h *Harness) Delete(t testing.TB, target string, with ...Option) *Answer {
	t.Helper()
	return h.Call(t, http.MethodDelete, target, nil, with...)
}

// Call sends one request and holds request and answer to openapi.yaml. A body that is a string or octets is sent as
// it is, any other as JSON; nil is none.
func (h *Harness) Call(t testing.TB, method, target string, body any, with ...Option) *Answer {
	t.Helper()
	sent := Encode(t, body)
	r := h.Request(t, method, target, sent)
	for _, change := range with {
		change(r)
	}
	h.noteSent(r, sent)
	a := h.Send(t, r)
	h.NoteAnswered(a)
	OpenAPI().Check(t, Exchange{Request: r, Sent: sent, Answer: a})
	return a
}

// Encode gives the bytes of a body: strings and bytes as they are, any other value as JSON.
func Encode(t testing.TB, body any) []byte {
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

// Request makes a request without sending it.
func (h *Harness) Request(t testing.TB, method, target string, sent []byte) *http.Request {
	t.Helper()
	var body io.Reader
	if sent != nil {
		body = bytes.NewReader(sent)
	}
	var r *http.Request
	if h.BaseURL == "" {
		r = httptest.NewRequest(method, target, body)
		r.RemoteAddr = CallerAddress
	} else {
		var err error
		r, err = http.NewRequest(method, h.BaseURL+target, body)
		require.NoError(t, err)
	}
	if sent != nil {
		r.Header.Set("Content-Type", bodyType(r))
	}
	return r
}

// bodyType is the media type of the operation's body; JSON if it takes none.
func bodyType(r *http.Request) string {
	if op, _, ok := OpenAPI().find(r); ok && op.RequestBody != nil {
		return exampleType(op)
	}
	return "application/json"
}

// Impatient is a client that sees redirects and waits no longer than a server may take.
var Impatient = &http.Client{
	Timeout:       5 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Send sends a request, and leaves the answer unchecked.
func (h *Harness) Send(t testing.TB, r *http.Request) *Answer {
	t.Helper()
	if h.BaseURL == "" {
		w := httptest.NewRecorder()
		h.Handler().ServeHTTP(w, r)
		return &Answer{T: t, HTTPStatus: w.Code, Header: w.Header(), Body: w.Body.Bytes()}
	}
	response, err := Impatient.Do(r)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return &Answer{T: t, HTTPStatus: response.StatusCode, Header: response.Header, Body: body}
}

// secretMembers are the members of requests and answers that a log must not repeat.
var secretMembers = []string{
	"email", "password", "phone", "given_name", "family_name", "access_token", "refresh_token", "device_token",
	"current_password", "new_password", "token", "pin", "key",
}

func (h *Harness) noteSent(r *http.Request, sent []byte) {
	if _, token, found := strings.Cut(r.Header.Get("Authorization"), " "); found {
		h.Log.Forbid(strings.TrimSpace(token))
	}
	for _, c := range r.Cookies() {
		h.Log.Forbid(c.Value)
	}
	h.NotePrivate(sent)
}

// NoteAnswered forbids the log every secret of an answer.
func (h *Harness) NoteAnswered(a *Answer) {
	response := http.Response{Header: a.Header}
	for _, c := range response.Cookies() {
		h.Log.Forbid(c.Value)
	}
	if a.HTTPStatus < http.StatusBadRequest {
		h.NotePrivate(a.Body)
	}
}

// NotePrivate forbids the log every secret of a JSON object.
func (h *Harness) NotePrivate(text []byte) {
	var members Object
	if json.Unmarshal(text, &members) != nil {
		return
	}
	for name, value := range members {
		if secret, ok := value.(string); ok && slices.Contains(secretMembers, name) {
			h.Log.Forbid(secret)
		}
	}
}

// Answer is the answer to a request. Its methods check it, and can be chained.
type Answer struct {
	T          testing.TB
	HTTPStatus int
	Header     http.Header
	Body       []byte
}

// Status wants a status.
func (a *Answer) Status(want int) *Answer {
	a.T.Helper()
	require.Equal(a.T, want, a.HTTPStatus, "status of: %s", a.Body)
	return a
}

// Problem wants a problem with a status and a code.
func (a *Answer) Problem(status int, code string) *Answer {
	a.T.Helper()
	return a.Status(status).Is("code", code)
}

// FieldError wants a member of the request named as wrong.
func (a *Answer) FieldError(pointer, code string) *Answer {
	a.T.Helper()
	require.True(a.T, a.NamesField(pointer, code), "want %s %s in: %s", pointer, code, a.Body)
	return a
}

// NamesField reports whether a problem names a member of the request with a code.
func (a *Answer) NamesField(pointer, code string) bool {
	a.T.Helper()
	var said struct {
		Errors []struct{ Pointer, Code string }
	}
	a.Decode(&said)
	return slices.ContainsFunc(said.Errors, func(e struct{ Pointer, Code string }) bool {
		return e.Pointer == pointer && e.Code == code
	})
}

// Remedies wants exactly these actions, in this order.
func (a *Answer) Remedies(actions ...string) *Answer {
	a.T.Helper()
	var said struct{ Remedies []struct{ Action string } }
	a.Decode(&said)
	got := make([]string, 0, len(said.Remedies))
	for _, r := range said.Remedies {
		got = append(got, r.Action)
	}
	require.Equal(a.T, actions, got, "remedies of: %s", a.Body)
	return a
}

// Is wants the member at a path of names and indices, "account.roles.0", to be a value.
func (a *Answer) Is(path string, want any) *Answer {
	a.T.Helper()
	got, ok := a.At(path)
	require.True(a.T, ok, "no %s in: %s", path, a.Body)
	var normal any
	require.NoError(a.T, json.Unmarshal(Encode(a.T, []any{want}), &normal))
	want = normal.([]any)[0]
	require.True(a.T, reflect.DeepEqual(want, got), "%s: want %v, got %v in: %s", path, want, got, a.Body)
	return a
}

// Lacks wants no member at a path.
func (a *Answer) Lacks(path string) *Answer {
	a.T.Helper()
	_, ok := a.At(path)
	require.False(a.T, ok, "%s in: %s", path, a.Body)
	return a
}

// HasHeader wants a header to be a value; "" wants none.
func (a *Answer) HasHeader(name, want string) *Answer {
	a.T.Helper()
	require.Equal(a.T, want, strings.Join(a.Header.Values(name), "|"), "header %s", name)
	return a
}

// Text is the string at a path.
func (a *Answer) Text(path string) string {
	a.T.Helper()
	value, ok := a.At(path)
	text, isText := value.(string)
	require.True(a.T, ok && isText, "no text %s in: %s", path, a.Body)
	return text
}

// List is a member of every item of the list at a path.
func (a *Answer) List(path, member string) []any {
	a.T.Helper()
	value, ok := a.At(path)
	require.True(a.T, ok, "no %s in: %s", path, a.Body)
	list := make([]any, 0)
	for _, item := range value.([]any) {
		list = append(list, item.(Object)[member])
	}
	return list
}

// Decode decodes the body.
func (a *Answer) Decode(target any) {
	a.T.Helper()
	require.NoError(a.T, json.Unmarshal(a.Body, target), "not JSON: %s", a.Body)
}

// At is the value at a path of names and indices.
func (a *Answer) At(path string) (any, bool) {
	a.T.Helper()
	var value any
	a.Decode(&value)
	for name := range strings.SplitSeq(path, ".") {
		switch within := value.(type) {
		case Object:
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

// SendTogether sends requests at once, and leaves their answers unchecked.
func (h *Harness) SendTogether(t testing.TB, requests []*http.Request) []*Answer {
	t.Helper()
	answers := make([]*Answer, len(requests))
	var all sync.WaitGroup
	for i, r := range requests {
		all.Go(func() { answers[i] = h.Send(t, r) })
	}
	all.Wait()
	return answers
}

// FromAddress sends the request from another socket.
func FromAddress(socket string) Option {
	return func(r *http.Request) { r.RemoteAddr = socket }
}
