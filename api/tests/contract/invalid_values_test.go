package contract_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// invalidText are texts that no member can be, and the codes that they are refused with.
type invalidText struct {
	text   string
	status int
	code   string
}

var invalidTexts = []invalidText{
	{`"a\u0000b"`, http.StatusUnprocessableEntity, "control_character"},
	{`"a\r\nb"`, http.StatusUnprocessableEntity, "control_character"},
	{`"a\tb"`, http.StatusUnprocessableEntity, "control_character"},
	{`"\u001b[31m"`, http.StatusUnprocessableEntity, "control_character"},
	{`"a\u007fb"`, http.StatusUnprocessableEntity, "control_character"},
	{`"a\u0085b"`, http.StatusUnprocessableEntity, "control_character"},
	{"\"a\x7fb\"", http.StatusUnprocessableEntity, "control_character"},
	{"\"a\u0085b\"", http.StatusUnprocessableEntity, "control_character"},
	{"\"a\u009fb\"", http.StatusUnprocessableEntity, "control_character"},
	{"\"a\x00b\"", http.StatusBadRequest, "invalid_json"},
	{"\"a\nb\"", http.StatusBadRequest, "invalid_json"},
	{"\"a\r\nb\"", http.StatusBadRequest, "invalid_json"},
	{"\"a\x1fb\"", http.StatusBadRequest, "invalid_json"},
	{"\"a\xffb\"", http.StatusBadRequest, "invalid_encoding"},
	{"\"a\xc0\x80b\"", http.StatusBadRequest, "invalid_encoding"},
	{"\"a\xed\xa0\x80b\"", http.StatusBadRequest, "invalid_encoding"},
	{"\"a\xf4\x90\x80\x80b\"", http.StatusBadRequest, "invalid_encoding"},
	{"\"a\xc3\"", http.StatusBadRequest, "invalid_encoding"},
	{`"a\ud800b"`, http.StatusBadRequest, "invalid_json"},
	{`"a\udc00b"`, http.StatusBadRequest, "invalid_json"},
	{`"a\ud800\u0041"`, http.StatusBadRequest, "invalid_json"},
	{`"a\x41b"`, http.StatusBadRequest, "invalid_json"},
	{`"a\u12"`, http.StatusBadRequest, "invalid_json"},
	{`"a\u{41}"`, http.StatusBadRequest, "invalid_json"},
	{`'a'`, http.StatusBadRequest, "invalid_json"},
	{`undefined`, http.StatusBadRequest, "invalid_json"},
	{`NaN`, http.StatusBadRequest, "invalid_json"},
	{`-Infinity`, http.StatusBadRequest, "invalid_json"},
	{`+1`, http.StatusBadRequest, "invalid_json"},
	{`.5`, http.StatusBadRequest, "invalid_json"},
	{`True`, http.StatusBadRequest, "invalid_json"},
	{`/* nothing */ 1`, http.StatusBadRequest, "invalid_json"},
}

// wrongValue is JSON of a wrong type or out of bounds; pointer follows the member's own.
type wrongValue struct{ text, pointer, code string }

// wrongValues are of another type than the member's, or out of its bounds.
func (m member) wrongValues() []wrongValue {
	var list []wrongValue
	add := func(code, pointer string, texts ...string) {
		for _, text := range texts {
			list = append(list, wrongValue{text, pointer, code})
		}
	}
	if !m.schema.Nullable {
		add("null_not_allowed", "", "null")
	}
	types := map[string][]string{
		"string": {`"x"`}, "boolean": {"true", "false"}, "integer": {"1", "-1"}, "array": {"[]"}, "object": {"{}"},
	}
	for kind, texts := range types {
		if !m.schema.Type.Is(kind) {
			add("wrong_type", "", texts...)
		}
	}
	switch {
	case m.schema.Type.Is("integer"):
		add("wrong_type", "", "1.5", `"1"`, "1e400", "99999999999999999999", "-99999999999999999999")
		if m.schema.Min != nil {
			add("out_of_range", "", fmt.Sprint(int64(*m.schema.Min)-1))
		}
		if m.schema.Max != nil {
			add("out_of_range", "", fmt.Sprint(int64(*m.schema.Max)+1))
		}
	case m.schema.Type.Is("array"):
		add("null_not_allowed", "/0", "[null]")
		add("wrong_type", "/0", "[1]", "[[]]", "[{}]", "[true]")
		add("control_character", "/1", `["a","\u0000"]`)
	case m.schema.Type.Is("string"):
		if len(m.schema.Enum) > 0 {
			add("not_allowed", "", `"nonsense"`, `""`, `"`+strings.ToUpper(m.schema.Enum[0].(string))+`"`)
		}
		// An address that is too long is none, and a link that is too long is none either.
		if m.schema.MaxLength != nil && !m.isAddress() {
			add("too_long", "", `"`+strings.Repeat("é", int(*m.schema.MaxLength)+1)+`"`)
		}
	}
	return list
}

func (m member) isAddress() bool {
	return strings.HasPrefix(m.pointer, "/links/") || slices.Contains([]string{
		"/email", "/sender/address", "/support/email", "/support/url",
	}, m.pointer)
}
