package api

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/fault"
)

// maxBody is the most that a request's body may hold, in octets.
const maxBody = 64 << 10

// decode reads a JSON object strictly into request, a pointer to a struct: names are case-sensitive, each member
// stands once and is known, null stands only where a type says so (a pointer), and no string holds a control
// character. A member that is missing keeps the value it has.
//
// Errors: unsupported_media_type, request_too_large, malformed_request, validation_failed.
func decode(c echo.Context, request any) error {
	body, err := readObject(c)
	if err != nil {
		return err
	}
	return decodeJSON(body, request)
}

// decodeOptional is decode for calls that may come without a body and without a content type.
func decodeOptional(c echo.Context, request any) error {
	if c.Request().ContentLength == 0 {
		return nil
	}
	body, err := readBody(c)
	if err != nil || len(body) == 0 {
		return err
	}
	return decodeJSON(body, request)
}

// noBody refuses a body with members, for calls that take none.
func noBody(c echo.Context) error { return decodeOptional(c, &struct{}{}) }

// readBody reads a body that says it is JSON. An empty one needs no content type.
func readBody(c echo.Context) ([]byte, error) {
	if c.Request().ContentLength != 0 {
		if err := wantType(c.Request(), echo.MIMEApplicationJSON); err != nil {
			return nil, err
		}
	}
	return readUpTo(c, maxBody)
}

// wantType wants a body to say that it is of one of the media types, in UTF-8 and as it is. The charset may be spelled
// utf8, as many programs do. Errors: unsupported_media_type.
func wantType(r *http.Request, want ...string) error {
	kind, params, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType))
	f := fault.New(fault.UnsupportedMediaType)
	switch charset, named := params["charset"]; {
	case len(r.Header.Values(echo.HeaderContentType)) > 1 || r.Header.Get(echo.HeaderContentEncoding) != "":
		return f
	case err != nil || !slices.Contains(want, kind):
		f.Fields = []fault.Field{{Pointer: "/Content-Type", Code: fault.FieldNotAllowed, Allowed: want}}
		return f
	case named && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "utf8"):
		f.Text = "media_type.charset"
		f.Fields = []fault.Field{{Pointer: "/Content-Type/charset", Code: fault.FieldNotAllowed, Allowed: []string{"utf-8"}}}
		return f
	}
	return nil
}

// readUpTo reads a body of a limited size, in octets. Errors: request_too_large, malformed_request.
func readUpTo(c echo.Context, limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), c.Request().Body, limit))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, fault.New(fault.RequestTooLarge)
	}
	if err != nil {
		return nil, fault.Wrap(fault.MalformedRequest, err) // cut off, or too slow
	}
	return body, nil
}

func decodeJSON(body []byte, request any) error {
	if err := checkStrings(body); err != nil {
		return err
	}
	err := json.Unmarshal(body, request, json.RejectUnknownMembers(true), json.WithUnmarshalers(refuseNulls))
	return decodingFault(err)
}

// optional is a member that may be missing. Null is refused unless T is a pointer.
type optional[T any] struct {
	Set   bool
	Value T
}

// UnmarshalJSONFrom notes that the member is there.
func (o *optional[T]) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	o.Set = true
	return json.UnmarshalDecode(dec, &o.Value)
}

func (o *optional[T]) takesNull() bool { return reflect.TypeFor[T]().Kind() == reflect.Pointer }

// pointer is where the value of a member that is there stands, nil for one that is missing.
func (o *optional[T]) pointer() *T {
	if !o.Set {
		return nil
	}
	return &o.Value
}

var errNull = errors.New("null where none is meant")

// refuseNulls is asked about every value before it is decoded; what it does not refuse is decoded as usual.
var refuseNulls = json.UnmarshalFromFunc(func(dec *jsontext.Decoder, value any) error {
	if dec.PeekKind() != 'n' {
		return errors.ErrUnsupported
	}
	if may, ok := value.(interface{ takesNull() bool }); ok && may.takesNull() {
		return errors.ErrUnsupported
	}
	if kind := reflect.TypeOf(value).Elem().Kind(); kind == reflect.Pointer || kind == reflect.Interface {
		return errors.ErrUnsupported
	}
	return errNull
})

// checkStrings refuses control characters in any string, names included, wherever it stands. Only an escape, or an
// octet that such a character begins with, can bring one in, so most bodies are not read twice.
func checkStrings(body []byte) error {
	if !utf8.Valid(body) {
		return malformed(pointerOfBadText(body), fault.FieldEncoding)
	}
	if bytes.IndexByte(body, 0x5c) < 0 && bytes.IndexByte(body, 0x7f) < 0 && bytes.IndexByte(body, 0xc2) < 0 {
		return nil
	}
	dec := jsontext.NewDecoder(bytes.NewReader(body))
	for {
		token, err := dec.ReadToken()
		if err != nil {
			return nil // the end, or what decoding will refuse with its own words
		}
		if token.Kind() == '"' && strings.ContainsFunc(token.String(), unicode.IsControl) {
			return fault.Invalid(fault.Field{Pointer: string(dec.StackPointer()), Code: fault.FieldControlCharacter})
		}
	}
}

// pointerOfBadText finds the member that holds invalid UTF-8.
func pointerOfBadText(body []byte) string {
	dec := jsontext.NewDecoder(bytes.NewReader(body))
	for {
		if _, err := dec.ReadToken(); err != nil {
			return pointerOf(err)
		}
	}
}

func malformed(pointer string, code fault.FieldCode) error {
	f := fault.New(fault.MalformedRequest)
	f.Fields = []fault.Field{{Pointer: pointer, Code: code}}
	return f
}

func pointerOf(err error) string {
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		return string(syntactic.JSONPointer)
	}
	var semantic *json.SemanticError
	if errors.As(err, &semantic) {
		return string(semantic.JSONPointer)
	}
	return ""
}

// decodingFault says in our words what the decoder found. Its own text is never passed on: it repeats values.
func decodingFault(err error) error {
	if err == nil {
		return nil
	}
	pointer := pointerOf(err)
	invalid := func(code fault.FieldCode) error { return fault.Invalid(fault.Field{Pointer: pointer, Code: code}) }
	var semantic *json.SemanticError
	switch {
	case errors.Is(err, errNull):
		return invalid(fault.FieldNull)
	case errors.Is(err, jsontext.ErrDuplicateName):
		return invalid(fault.FieldDuplicate)
	case errors.Is(err, json.ErrUnknownName):
		return invalid(fault.FieldUnknown)
	case errors.As(err, &semantic):
		return invalid(fault.FieldType)
	default:
		return malformed(pointer, fault.FieldSyntax)
	}
}

// readObject reads a body for decoding more than once. Errors: as decode's.
func readObject(c echo.Context) ([]byte, error) {
	body, err := readBody(c)
	if err == nil && len(body) == 0 {
		err = malformed("", fault.FieldSyntax)
	}
	return body, err
}
