package api_test

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

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// Whatever is wrong with a body, in whichever member of whichever operation, is a 4xx problem that names the member,
// and nothing happens. The table is made of openapi.yaml, so that a new operation is in it.
func TestHostileBodies(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		ada := h.account(t, h.portal(t))
		in := h.logIn(t, ada)
		before := h.counts(t)
		for _, op := range contract().operations {
			if !takesJSON(op) {
				continue
			}
			target := fill(strings.Replace(op.path, "accounts/{id}", "accounts/"+ada.id, 1), "acme")
			send := func(body any, with ...option) *answer {
				t.Helper()
				return h.call(t, op.method, target, body, append(with, entitled(op, in))...)
			}
			hostileWholes(t, op, send)
			for _, m := range membersOf(op.RequestBody.Value.Content["application/json"].Schema.Value, "") {
				hostileMember(t, op, m, shareOf(db), send)
			}
		}
		require.Equal(t, before, h.counts(t))
		h.get(t, ada.portal.front+"/me", bearer(in.access)).status(http.StatusOK)
	})
}

// shareOf are the hostile texts that a database's run tries, of each member: no text gets as far as a database, so
// those that there are share them.
func shareOf(db *database.DB) []hostileText {
	var share []hostileText
	dialects := databasetest.Dialects()
	for i, text := range hostileTexts {
		if dialects[i%len(dialects)] == db.Dialect() {
			share = append(share, text)
		}
	}
	return share
}

type sender func(body any, with ...option) *answer

// wholes are bodies that are wrong as a whole, and what they are answered.
func wholes(whole string) map[string][]int {
	malformed, invalid := []int{http.StatusBadRequest}, []int{http.StatusUnprocessableEntity}
	either := append(malformed, invalid...) // two things are wrong, and either may be found first
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

func hostileWholes(t *testing.T, op operation, send sender) {
	t.Helper()
	whole := string(encoded(t, example(op)))
	for body, statuses := range wholes(whole) {
		a := send(body)
		require.Contains(t, statuses, a.httpStatus, "%s: %.200q: %s", op, body, a.body)
	}
	if op.RequestBody.Value.Required {
		send("").problem(http.StatusBadRequest, "malformed_request")
		send(nil).problem(http.StatusBadRequest, "malformed_request")
	}
	for _, kind := range []string{
		"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "application/jsonx",
		"application/json; charset=latin1", "application/json; charset=utf-16", "text/json", "application/problem+json", "*/*", "json",
		"application/json, text/plain", "application/json;;", "\x00", "application/merge-patch+json",
	} {
		send(whole, header("Content-Type", kind)).problem(http.StatusUnsupportedMediaType, "unsupported_media_type")
	}
	notJSON := func(with ...option) {
		t.Helper()
		send(whole, with...).problem(http.StatusUnsupportedMediaType, "unsupported_media_type")
	}
	notJSON(func(r *http.Request) { r.Header.Del("Content-Type") })
	notJSON(oneMore("Content-Type", "application/json"))
	for _, coding := range []string{"gzip", "deflate", "br", "identity, gzip"} {
		notJSON(header("Content-Encoding", coding))
	}
	chunked := func(r *http.Request) { r.ContentLength = -1 }
	send(strings.Repeat(" ", 70<<10), chunked).problem(http.StatusRequestEntityTooLarge, "request_too_large")
	send("{", chunked).problem(http.StatusBadRequest, "malformed_request")
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

// put gives an operation's example with other text in place of a member's value; name takes the place of its name.
func (m member) put(t *testing.T, op operation, name, value string) string {
	t.Helper()
	const hole = `"\u2603"`
	var body object
	require.NoError(t, json.Unmarshal(encoded(t, example(op)), &body))
	within, names := body, m.names()
	for _, outer := range names[:len(names)-1] {
		if _, there := within[outer].(object); !there {
			within[outer] = object{}
		}
		within = within[outer].(object)
	}
	delete(within, names[len(names)-1])
	within["\u2603"] = "\u2603"
	text := bytes.ReplaceAll(encoded(t, body), []byte("\u2603"), []byte(`\u2603`))
	require.Contains(t, string(text), hole+":"+hole)
	return strings.Replace(string(text), hole+":"+hole, name+":"+value, 1)
}

func hostileMember(t *testing.T, op operation, m member, texts []hostileText, send sender) {
	t.Helper()
	names := m.names()
	last := names[len(names)-1]
	own := string(encoded(t, []any{last}))
	own = own[1 : len(own)-1]
	good := string(encoded(t, []any{m.valueIn(op)}))
	good = good[1 : len(good)-1]
	want := func(status int, code, pointer, body string) {
		t.Helper()
		a := send(body)
		if a.httpStatus != status || !a.names(pointer, code) {
			t.Errorf("%s %s: want %d %s %s for %.200q: %s", op, m.pointer, status, pointer, code, body, a.body)
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
func (m member) valueIn(op operation) any {
	value := example(op)
	for _, name := range m.names() {
		within, _ := value.(object)
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
		return object{}
	}
	return "text"
}
