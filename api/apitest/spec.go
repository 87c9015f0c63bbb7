package apitest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"runtime"
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

// Spec is openapi.yaml, and the statuses of it that the tests have seen.
type Spec struct {
	Doc        *openapi3.T
	Operations []Operation
	problem    *openapi3.Schema // what any operation may answer instead of what it documents

	mu   sync.Mutex
	seen map[string]bool // operation and status, as documented lists them
}

// Operation is an operation of openapi.yaml.
type Operation struct {
	Method, Path string
	item         *openapi3.PathItem
	*openapi3.Operation
}

// String is the operation's method and path.
func (o Operation) String() string { return o.Method + " " + o.Path }

// OpenAPI reads openapi.yaml, once.
var OpenAPI = sync.OnceValue(func() *Spec {
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

	doc, err := openapi3.NewLoader().LoadFromFile(documentPath())
	if err != nil {
		panic(err)
	}
	closeAnswers(doc)
	s := &Spec{Doc: doc, seen: map[string]bool{}, problem: doc.Components.Schemas["Problem"].Value}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			s.Operations = append(s.Operations, Operation{method, path, item, op})
		}
	}
	slices.SortFunc(s.Operations, func(a, b Operation) int { return strings.Compare(a.String(), b.String()) })
	return s
})

// find gives the operation of a request, and the parameters in its path. HEAD is GET without a body.
func (s *Spec) find(r *http.Request) (found Operation, params map[string]string, ok bool) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for _, op := range s.Operations {
		if op.Method != method {
			continue
		}
		if given, fits := pathParams(op.Path, r.URL.EscapedPath()); fits && (!ok || len(given) < len(params)) {
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

// Exchange is a request and its answer.
type Exchange struct {
	Request *http.Request
	Sent    []byte
	Answer  *Answer
}

// anyOperation are statuses that operations may answer without documenting them.
var anyOperation = []int{http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusInternalServerError}

// unasked are answers to a body that an operation without one was sent: openapi.yaml says once that it takes none.
var unasked = []int{
	http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity,
}

// Check checks an exchange against openapi.yaml and notes that its status was seen.
func (s *Spec) Check(t testing.TB, e Exchange) {
	t.Helper()
	what := e.Request.Method + " " + e.Request.URL.String()
	require.NotEmpty(t, e.Answer.Header.Get("X-Request-ID"), "%s: X-Request-ID", what)
	if e.Answer.HTTPStatus >= http.StatusBadRequest && (e.Request.Method != http.MethodHead || len(e.Answer.Body) > 0) {
		s.CheckProblem(t, what, e.Answer)
	}
	op, params, ok := s.find(e.Request)
	if !ok {
		s.checkUndocumented(t, what, e)
		return
	}
	if op.Responses.Status(e.Answer.HTTPStatus) == nil && slices.Contains(anyOperation, e.Answer.HTTPStatus) {
		return
	}
	if op.RequestBody == nil && len(e.Sent) > 0 && slices.Contains(unasked, e.Answer.HTTPStatus) {
		return
	}
	options := &openapi3filter.Options{
		IncludeResponseStatus: true, SkipSettingDefaults: true, ExcludeResponseBody: e.Request.Method == http.MethodHead,
		AuthenticationFunc:      openapi3filter.NoopAuthenticationFunc,
		SchemaValidationOptions: []openapi3.SchemaValidationOption{openapi3.DisableSchemaErrorDetails()},
	}
	request := e.Request.Clone(context.Background())
	if request.Method == http.MethodHead {
		request.Method = http.MethodGet
	}
	request.Body, request.ContentLength = io.NopCloser(bytes.NewReader(e.Sent)), int64(len(e.Sent))
	input := &openapi3filter.RequestValidationInput{
		Request: request, PathParams: params, Options: options, QueryParams: request.URL.Query(),
		Route: &routers.Route{Spec: s.Doc, Path: op.Path, PathItem: op.item, Method: op.Method, Operation: op.Operation},
	}
	refused := openapi3filter.ValidateRequest(context.Background(), input)
	if refused != nil && (e.Answer.HTTPStatus < 400 || e.Answer.HTTPStatus >= 500) && e.Answer.HTTPStatus != 503 {
		require.Failf(t, "accepted what openapi.yaml refuses", "%s answered %d to %.500q: %v", what, e.Answer.HTTPStatus,
			e.Sent, refused)
	}
	err := openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: e.Answer.HTTPStatus, Header: e.Answer.Header,
		Body: io.NopCloser(bytes.NewReader(e.Answer.Body)), Options: options,
	})
	require.NoError(t, err, "%s answered %d what openapi.yaml does not say: %s", what, e.Answer.HTTPStatus, e.Answer.Body)
	if e.Answer.HTTPStatus == http.StatusNoContent {
		require.Empty(t, e.Answer.Body, what)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[seenAs(op, fmt.Sprint(e.Answer.HTTPStatus))] = true
}

func seenAs(op Operation, status string) string { return op.OperationID + " " + status }

// checkUndocumented checks answers to paths that are no operation: preflights, the files of /docs, and refusals.
func (s *Spec) checkUndocumented(t testing.TB, what string, e Exchange) {
	t.Helper()
	allowed := anyOperation
	switch {
	case e.Request.Method == http.MethodOptions:
		allowed = []int{http.StatusNoContent, http.StatusForbidden, http.StatusNotFound}
	case strings.HasPrefix(e.Request.URL.Path, "/docs/"):
		allowed = []int{http.StatusOK, http.StatusNotFound}
	}
	require.Contains(t, allowed, e.Answer.HTTPStatus, "%s: %s", what, e.Answer.Body)
}

// CheckProblem checks the members and headers that all problems have.
func (s *Spec) CheckProblem(t testing.TB, what string, a *Answer) {
	t.Helper()
	require.Equal(t, "application/problem+json", a.Header.Get("Content-Type"), "%s: %s", what, a.Body)
	require.Equal(t, "no-store", a.Header.Get("Cache-Control"), what)
	require.NotEmpty(t, a.Header.Get("Content-Language"), what)
	var body any
	require.NoError(t, json.Unmarshal(a.Body, &body), "%s: %s", what, a.Body)
	require.NoError(t, s.problem.VisitJSON(body, openapi3.DisableSchemaErrorDetails()), "%s: %s", what, a.Body)
	said := body.(Object)
	require.EqualValues(t, a.HTTPStatus, said["status"], what)
	require.Equal(t, a.Header.Get("X-Request-ID"), said["request_id"], what)
	page := "/problems/" + strings.ReplaceAll(said["code"].(string), "_", "-")
	require.True(t, strings.HasSuffix(said["type"].(string), page), "%s: type %s", what, said["type"])
	switch a.HTTPStatus {
	case http.StatusUnauthorized:
		require.NotEmpty(t, a.Header.Get("WWW-Authenticate"), what)
	case http.StatusMethodNotAllowed:
		require.NotEmpty(t, a.Header.Get("Allow"), what)
	case http.StatusLocked, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		require.Regexp(t, "^[1-9][0-9]*$", a.Header.Get("Retry-After"), what)
	}
}

// unseen lists the documented statuses of operations that no test of this run has seen.
func (s *Spec) unseen(operations []Operation) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, op := range operations {
		for status := range op.Responses.Map() {
			if !s.seen[seenAs(op, status)] {
				list = append(list, seenAs(op, status))
			}
		}
	}
	slices.Sort(list)
	return list
}

// documentPath is where openapi.yaml is in this repository.
func documentPath() string {
	_, thisFile, _, ok := runtime.Caller(0)
	if !ok {
		panic("the binary does not say where its source is")
	}
	return filepath.Join(filepath.Dir(thisFile), "..", "openapi.yaml")
}
