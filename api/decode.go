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

// maxBody is the largest JSON body, in octets.
const maxBody = 64 << 10

// decode reads a JSON object strictly into request, a pointer to a struct. Names are case-sensitive. Unknown and
// duplicate members, control characters in strings, and null for a type that is no pointer are refused. A missing
// member keeps its value.
//
// Errors: unsupported_media_type, request_too_large, malformed_request, validation_failed.
func decode(c echo.Context, request any) error {
	body, err := readObject(c)
	if err != nil {
		return err
	}
	return decodeJSON(body, request)
}

// decodeOptional is decode for calls that may have neither body nor content type.
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

// noBody refuses a body with members, for calls without one.
func noBody(c echo.Context) error { return decodeOptional(c, &struct{}{}) }

// readBody reads a body whose content type is JSON. An empty one needs no content type.
func readBody(c echo.Context) ([]byte, error) {
	if c.Request().ContentLength != 0 {
		if err := wantType(c.Request(), echo.MIMEApplicationJSON); err != nil {
			return nil, err
		}
	}
	return readUpTo(c, maxBody)
}

// wantType wants the content type to be one of the media types, in UTF-8 and without a content encoding. The charset
// may be spelled utf8, as many programs do. Errors: unsupported_media_type.
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

// readAhead reads the body into memory, one octet more than any JSON body may have.
func readAhead(c echo.Context) {
	r := c.Request()
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	rest := io.Reader(r.Body)
	if err != nil {
		rest = failingReader{err}
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), rest), r.Body}
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

func decodeJSON(body []byte, request any) error {
	if err := checkStrings(body); err != nil {
		return err
	}
	err := json.Unmarshal(body, request, json.RejectUnknownMembers(true), json.WithUnmarshalers(refuseNulls))
	return decodingFault(err)
}

// optional is a member that can be missing. Null is refused unless T is a pointer.
type optional[T any] struct {
	Set   bool
	Value T
}

// UnmarshalJSONFrom reads the value and sets Set.
func (o *optional[T]) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	o.Set = true
	return json.UnmarshalDecode(dec, &o.Value)
}

func (o *optional[T]) takesNull() bool { return reflect.TypeFor[T]().Kind() == reflect.Pointer }

// pointer points to the value of the member, nil for a missing one.
func (o *optional[T]) pointer() *T {
	if !o.Set {
		return nil
	}
	return &o.Value
}

var errNull = errors.New("null is not allowed here")

// refuseNulls runs before each value is decoded, and refuses null where the type does not take it.
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

// checkStrings refuses control characters in strings and names. They can only come from an escape, or from an octet
// that their encoding begins with, so most bodies are not read twice.
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
			return nil // the end, or a fault that decoding reports
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

// decodingFault makes a fault of the decoder's error. The error's own text repeats values, so it goes nowhere.
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

// readObject reads a body that has to be there. Errors: decode's.
func readObject(c echo.Context) ([]byte, error) {
	body, err := readBody(c)
	if err == nil && len(body) == 0 {
		err = malformed("", fault.FieldSyntax)
	}
	return body, err
}
