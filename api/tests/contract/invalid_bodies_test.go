package contract_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// A fault in any member of any operation's body is a 4xx problem that names the member, and the request changes nothing.
// The table comes from openapi.yaml, so that new operations are in it.
func TestInvalidBodies(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		ada := h.Account(t, h.Portal(t))
		in := h.LogIn(t, ada)
		before := h.RowCounts(t)
		for _, op := range apitest.OpenAPI().Operations {
			if !apitest.TakesJSON(op) {
				continue
			}
			target := apitest.FillPath(strings.Replace(op.Path, "accounts/{id}", "accounts/"+ada.ID, 1), "acme")
			send := func(body any, with ...apitest.Option) *apitest.Answer {
				t.Helper()
				return h.Call(t, op.Method, target, body, append(with, apitest.Entitled(op, in))...)
			}
			checkInvalidBodies(t, op, send)
			for _, m := range membersOf(op.RequestBody.Value.Content["application/json"].Schema.Value, "") {
				checkInvalidMember(t, op, m, shareOf(db), send)
			}
		}
		require.Equal(t, before, h.RowCounts(t))
		h.Get(t, ada.Portal.Front+"/me", apitest.Bearer(in.Access)).Status(http.StatusOK)
	})
}

// shareOf are the hostile texts that a database's run tries, of each member: no text gets as far as a database, so
// those that there are share them.
func shareOf(db *database.DB) []invalidText {
	var share []invalidText
	dialects := databasetest.Dialects()
	for i, text := range invalidTexts {
		if dialects[i%len(dialects)] == db.Dialect() {
			share = append(share, text)
		}
	}
	return share
}

type sender func(body any, with ...apitest.Option) *apitest.Answer

// wholes are bodies that are wrong as a whole, and what they are answered.
func wholes(whole string) map[string][]int {
	malformed, invalid := []int{http.StatusBadRequest}, []int{http.StatusUnprocessableEntity}
	either := append(malformed, invalid...) // two faults, of which either may be found first
	deep := strings.Repeat("[", 10_000)
	return map[string][]int{
		" ": malformed, "{": malformed, "}": malformed, "{]": malformed, `{"a"`: either, `{"a":}`: either, `{"a":0x10}`: either, `{"a":[1,]}`: either, `{a:1}`: malformed,
		"{'a':1}": malformed, "{,}": malformed, "nul": either, "NaN": malformed, "\x00": malformed, "\xff": malformed,
		"// no comments\n" + whole: malformed, "\ufeff" + whole: malformed, "\xef\xbb\xbf": malformed, `)]}',` + whole: malformed,
		whole + whole: malformed, whole + "x": malformed, whole + ",": malformed, whole + "\x00": malformed, whole + "\xff": malformed,
		whole[:len(whole)-1]: malformed, whole[:len(whole)-1] + ",}": malformed, "\xfe\xff\x00{\x00}": malformed,
		"null": invalid, "[]": invalid, "[" + whole + "]": invalid, `"x"`: invalid, "1": invalid, "true": invalid,
		deep: either, deep + strings.Repeat("]", 10_000): either,
		`{"nonsense":` + deep + strings.Repeat("]", 10_000) + "}":                              either,
		strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000):                    either,
		whole[:len(whole)-1] + strings.Repeat(" ", 70<<10) + "}":                               {http.StatusRequestEntityTooLarge},
		`{"nonsense":"` + strings.Repeat("x", 70<<10) + `"}`:                                   {http.StatusRequestEntityTooLarge},
		strings.Repeat(" ", 64<<10+1):                                                          {http.StatusRequestEntityTooLarge},
		`{"nonsense":` + strings.Repeat("9", 60_000) + "}":                                     {http.StatusUnprocessableEntity},
		`{` + strings.Repeat(`"x":1,`, 9_000) + `"x":1}`:                                       {http.StatusUnprocessableEntity},
		`{"` + strings.Repeat("n", 60_000) + `":1}`:                                            {http.StatusUnprocessableEntity},
		"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xae\x05\x00\x43\xbf\xa6\xa3\x02\x00\x00": malformed,
	}
}

func checkInvalidBodies(t *testing.T, op apitest.Operation, send sender) {
	t.Helper()
	whole := string(apitest.Encode(t, apitest.ExampleBody(op)))
	for body, statuses := range wholes(whole) {
		a := send(body)
		require.Contains(t, statuses, a.HTTPStatus, "%s: %.200q: %s", op, body, a.Body)
	}
	if op.RequestBody.Value.Required {
		send("").Problem(http.StatusBadRequest, "malformed_request")
		send(nil).Problem(http.StatusBadRequest, "malformed_request")
	}
	for _, kind := range []string{
		"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "application/jsonx",
		"application/json; charset=latin1", "application/json; charset=utf-16", "text/json", "application/problem+json", "*/*", "json",
		"application/json, text/plain", "application/json;;", "\x00", "application/merge-patch+json",
	} {
		send(whole, apitest.Header("Content-Type", kind)).Problem(http.StatusUnsupportedMediaType, "unsupported_media_type")
	}
	notJSON := func(with ...apitest.Option) {
		t.Helper()
		send(whole, with...).Problem(http.StatusUnsupportedMediaType, "unsupported_media_type")
	}
	notJSON(func(r *http.Request) { r.Header.Del("Content-Type") })
	notJSON(apitest.AddHeader("Content-Type", "application/json"))
	for _, coding := range []string{"gzip", "deflate", "br", "identity, gzip"} {
		notJSON(apitest.Header("Content-Encoding", coding))
	}
	chunked := func(r *http.Request) { r.ContentLength = -1 }
	send(strings.Repeat(" ", 70<<10), chunked).Problem(http.StatusRequestEntityTooLarge, "request_too_large")
	send("{", chunked).Problem(http.StatusBadRequest, "malformed_request")
}

// member is one that a request may have.
type member struct {
	pointer  string
	schema   *openapi3.Schema
	required bool
}

func (m member) names() []string { return strings.Split(m.pointer, "/")[1:] }

// membersOf lists the members of an object, and of the objects in it.
func membersOf(schema *openapi3.Schema, prefix string) []member {
	var members []member
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		m := member{prefix + "/" + name, schema.Properties[name].Value, slices.Contains(schema.Required, name)}
		members = append(members, m)
		members = append(members, membersOf(m.schema, m.pointer)...)
	}
	return members
}

// put gives an operation's example with another value, and another name, of a member.
func (m member) put(t *testing.T, op apitest.Operation, name, value string) string {
	t.Helper()
	const hole = `"\u2603"`
	var body apitest.Object
	require.NoError(t, json.Unmarshal(apitest.Encode(t, apitest.ExampleBody(op)), &body))
	within, names := body, m.names()
	for _, outer := range names[:len(names)-1] {
		if _, there := within[outer].(apitest.Object); !there {
			within[outer] = apitest.Object{}
		}
		within = within[outer].(apitest.Object)
	}
	delete(within, names[len(names)-1])
	within["\u2603"] = "\u2603"
	text := bytes.ReplaceAll(apitest.Encode(t, body), []byte("\u2603"), []byte(`\u2603`))
	require.Contains(t, string(text), hole+":"+hole)
	return strings.Replace(string(text), hole+":"+hole, name+":"+value, 1)
}

func checkInvalidMember(t *testing.T, op apitest.Operation, m member, texts []invalidText, send sender) {
	t.Helper()
	names := m.names()
	last := names[len(names)-1]
	own := string(apitest.Encode(t, []any{last}))
	own = own[1 : len(own)-1]
	good := string(apitest.Encode(t, []any{m.valueIn(op)}))
	good = good[1 : len(good)-1]
	want := func(status int, code, pointer, body string) {
		t.Helper()
		a := send(body)
		if a.HTTPStatus != status || !a.NamesField(pointer, code) {
			t.Errorf("%s %s: want %d %s %s for %.200q: %s", op, m.pointer, status, pointer, code, body, a.Body)
		}
	}
	beside := strings.TrimSuffix(m.pointer, last)
	for _, tt := range texts {
		want(tt.status, tt.code, m.pointer, m.put(t, op, own, tt.text))
	}
	for _, wrong := range m.wrongValues() {
		want(http.StatusUnprocessableEntity, wrong.code, m.pointer+wrong.pointer, m.put(t, op, own, wrong.text))
	}
	for _, name := range []string{strings.ToUpper(last), strings.ToUpper(last[:1]) + last[1:], last + " ", " " + last, last + "é"} {
		want(http.StatusUnprocessableEntity, "unknown_member", beside+name, m.put(t, op, `"`+name+`"`, good))
		want(http.StatusUnprocessableEntity, "unknown_member", beside+name, m.put(t, op, own+":"+good+`,"`+name+`"`, good))
	}
	want(http.StatusUnprocessableEntity, "duplicate_member", m.pointer, m.put(t, op, own+":"+good+","+own, good))
	escaped := fmt.Sprintf(`"\u%04x%s"`, last[0], last[1:])
	want(http.StatusUnprocessableEntity, "duplicate_member", m.pointer, m.put(t, op, own+":"+good+","+escaped, good))
	if m.required {
		want(http.StatusUnprocessableEntity, "unknown_member", beside+"nonsense", m.put(t, op, `"nonsense"`, "1"))
		without := strings.Replace(m.put(t, op, `"\u2603"`, "1"), `"\u2603":1,`, "", 1)
		without = strings.Replace(strings.Replace(without, `,"\u2603":1`, "", 1), `"\u2603":1`, "", 1)
		want(http.StatusUnprocessableEntity, "required", m.pointer, without)
	}
}

// valueIn is what the example of an operation has for the member, else anything of its type.
func (m member) valueIn(op apitest.Operation) any {
	value := apitest.ExampleBody(op)
	for _, name := range m.names() {
		within, _ := value.(apitest.Object)
		value = within[name]
	}
	switch {
	case value != nil:
		return value
	case len(m.schema.Enum) > 0:
		return m.schema.Enum[0]
	case m.schema.Type.Is("integer"):
		return *m.schema.Min
	case m.schema.Type.Is("boolean"):
		return true
	case m.schema.Type.Is("array"):
		return []any{}
	case m.schema.Type.Is("object"):
		return apitest.Object{}
	}
	return "text"
}
