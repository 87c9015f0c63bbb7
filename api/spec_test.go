package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// spec is openapi.yaml, and what of it the tests have seen answered.
type spec struct {
	doc        *openapi3.T
	operations []operation
	problem    *openapi3.Schema // what any operation may answer instead of what it documents

	mu   sync.Mutex
	seen map[string]bool // operation and status, as documented lists them
}

// operation is one of openapi.yaml.
type operation struct {
	method, path string
	item         *openapi3.PathItem
	*openapi3.Operation
}

func (o operation) String() string { return o.method + " " + o.path }

// contract reads openapi.yaml, once.
var contract = sync.OnceValue(func() *spec {
	openapi3.DefineStringFormatValidator("uuid", openapi3.NewCallbackValidator(func(text string) error {
		id, err := uuid.Parse(text)
		if err == nil && (id.String() != text || id.Version() != 7) {
			err = fmt.Errorf("not a UUIDv7 in lower case")
		}
		return err
	}))
	openapi3.DefineStringFormatValidator("uri", openapi3.NewCallbackValidator(func(text string) error {
		u, err := url.Parse(text)
		if err == nil && !u.IsAbs() {
			err = fmt.Errorf("not absolute")
		}
		return err
	}))
	openapi3.DefineStringFormatValidator("uri-reference", openapi3.NewCallbackValidator(func(text string) error {
		_, err := url.Parse(text)
		return err
	}))
	for _, kind := range []string{"text/html", "text/csv", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"} {
		openapi3filter.RegisterBodyDecoder(kind, openapi3filter.PlainBodyDecoder)
	}

	doc, err := openapi3.NewLoader().LoadFromFile("openapi.yaml")
	if err != nil {
		panic(err)
	}
	s := &spec{doc: doc, seen: map[string]bool{}, problem: doc.Components.Schemas["Problem"].Value}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			s.operations = append(s.operations, operation{method, path, item, op})
		}
	}
	slices.SortFunc(s.operations, func(a, b operation) int { return strings.Compare(a.String(), b.String()) })
	return s
})

// find gives the operation of a request, and what stands in its path for the parameters. HEAD is GET without a body.
func (s *spec) find(r *http.Request) (found operation, params map[string]string, ok bool) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for _, op := range s.operations {
		if op.method != method {
			continue
		}
		if given, fits := pathParams(op.path, r.URL.EscapedPath()); fits && (!ok || len(given) < len(params)) {
			found, params, ok = op, given, true // a path that is spelled out goes before one with parameters
		}
	}
	return found, params, ok
}

func pathParams(template, path string) (map[string]string, bool) {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return nil, false
	}
	params := map[string]string{}
	for i, segment := range want {
		text, err := url.PathUnescape(got[i])
		switch {
		case err != nil:
			return nil, false
		case strings.HasPrefix(segment, "{"):
			params[strings.Trim(segment, "{}")] = text
		case segment != got[i]:
			return nil, false
		}
	}
	return params, true
}

// exchange is a request and its answer.
type exchange struct {
	request *http.Request
	sent    []byte
	answer  *answer
}

// anyOperation may answer these, whatever it documents.
var anyOperation = []int{http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusInternalServerError}

// unasked are answers to a body that an operation without one was sent: openapi.yaml says once that it takes none.
var unasked = []int{
	http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity,
}

// check holds an exchange to the contract and notes that it was seen.
func (s *spec) check(t testing.TB, e exchange) {
	t.Helper()
	what := e.request.Method + " " + e.request.URL.String()
	require.NotEmpty(t, e.answer.header.Get("X-Request-ID"), "%s: X-Request-ID", what)
	if e.answer.httpStatus >= http.StatusBadRequest && (e.request.Method != http.MethodHead || len(e.answer.body) > 0) {
		s.checkProblem(t, what, e.answer)
	}
	op, params, ok := s.find(e.request)
	if !ok {
		s.checkUndocumented(t, what, e)
		return
	}
	if op.Responses.Status(e.answer.httpStatus) == nil && slices.Contains(anyOperation, e.answer.httpStatus) {
		return
	}
	if op.RequestBody == nil && len(e.sent) > 0 && slices.Contains(unasked, e.answer.httpStatus) {
		return
	}
	options := &openapi3filter.Options{
		IncludeResponseStatus: true, SkipSettingDefaults: true, ExcludeResponseBody: e.request.Method == http.MethodHead,
		AuthenticationFunc:      openapi3filter.NoopAuthenticationFunc,
		SchemaValidationOptions: []openapi3.SchemaValidationOption{openapi3.DisableSchemaErrorDetails()},
	}
	request := e.request.Clone(context.Background())
	if request.Method == http.MethodHead {
		request.Method = http.MethodGet
	}
	request.Body, request.ContentLength = io.NopCloser(bytes.NewReader(e.sent)), int64(len(e.sent))
	input := &openapi3filter.RequestValidationInput{
		Request: request, PathParams: params, Options: options, QueryParams: request.URL.Query(),
		Route: &routers.Route{Spec: s.doc, Path: op.path, PathItem: op.item, Method: op.method, Operation: op.Operation},
	}
	refused := openapi3filter.ValidateRequest(context.Background(), input)
	if refused != nil && (e.answer.httpStatus < 400 || e.answer.httpStatus >= 500) && e.answer.httpStatus != 503 {
		require.Failf(t, "accepted what openapi.yaml refuses", "%s answered %d to %.500q: %v", what, e.answer.httpStatus,
			e.sent, refused)
	}
	err := openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: e.answer.httpStatus, Header: e.answer.header,
		Body: io.NopCloser(bytes.NewReader(e.answer.body)), Options: options,
	})
	require.NoError(t, err, "%s answered %d what openapi.yaml does not say: %s", what, e.answer.httpStatus, e.answer.body)
	if e.answer.httpStatus == http.StatusNoContent {
		require.Empty(t, e.answer.body, what)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[seenAs(op, fmt.Sprint(e.answer.httpStatus))] = true
}

func seenAs(op operation, status string) string { return op.OperationID + " " + status }

// checkUndocumented takes what browsers ask for besides the operations, and refusals of paths that are none.
func (s *spec) checkUndocumented(t testing.TB, what string, e exchange) {
	t.Helper()
	allowed := anyOperation
	switch {
	case e.request.Method == http.MethodOptions:
		allowed = []int{http.StatusNoContent, http.StatusForbidden, http.StatusNotFound}
	case strings.HasPrefix(e.request.URL.Path, "/docs/"):
		allowed = []int{http.StatusOK, http.StatusNotFound}
	}
	require.Contains(t, allowed, e.answer.httpStatus, "%s: %s", what, e.answer.body)
}

// checkProblem holds a refusal to what all of them have in common.
func (s *spec) checkProblem(t testing.TB, what string, a *answer) {
	t.Helper()
	require.Equal(t, "application/problem+json", a.header.Get("Content-Type"), "%s: %s", what, a.body)
	require.Equal(t, "no-store", a.header.Get("Cache-Control"), what)
	require.NotEmpty(t, a.header.Get("Content-Language"), what)
	var body any
	require.NoError(t, json.Unmarshal(a.body, &body), "%s: %s", what, a.body)
	require.NoError(t, s.problem.VisitJSON(body, openapi3.DisableSchemaErrorDetails()), "%s: %s", what, a.body)
	said := body.(object)
	require.EqualValues(t, a.httpStatus, said["status"], what)
	require.Equal(t, a.header.Get("X-Request-ID"), said["request_id"], what)
	page := "/problems/" + strings.ReplaceAll(said["code"].(string), "_", "-")
	require.True(t, strings.HasSuffix(said["type"].(string), page), "%s: type %s", what, said["type"])
	switch a.httpStatus {
	case http.StatusUnauthorized:
		require.NotEmpty(t, a.header.Get("WWW-Authenticate"), what)
	case http.StatusMethodNotAllowed:
		require.NotEmpty(t, a.header.Get("Allow"), what)
	case http.StatusLocked, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		require.Regexp(t, "^[1-9][0-9]*$", a.header.Get("Retry-After"), what)
	}
}

// unseen lists the documented statuses that no test has seen, of every operation.
func (s *spec) unseen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, op := range s.operations {
		for status := range op.Responses.Map() {
			if !s.seen[seenAs(op, status)] {
				list = append(list, seenAs(op, status))
			}
		}
	}
	slices.Sort(list)
	return list
}
