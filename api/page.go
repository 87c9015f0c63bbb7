package api

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/fault"
)

// How many items a page has.
const (
	defaultLimit = 50
	maxLimit     = 200
)

// page is the requested part of a list: the newest items before an id.
type page struct {
	before uuid.UUID
	limit  int
}

var cursorEncoding = base64.RawURLEncoding.Strict()

// pageOf reads limit and cursor. Errors: validation_failed.
func pageOf(c echo.Context) (page, error) {
	asked := page{limit: defaultLimit}
	limit, given, err := queryText(c, "limit", 10)
	if err != nil {
		return asked, err
	}
	if given {
		if asked.limit, err = strconv.Atoi(limit); err != nil || strconv.Itoa(asked.limit) != limit {
			return asked, fault.Invalid(fault.Field{Pointer: "/limit", Code: fault.FieldType})
		}
		if asked.limit < 1 || asked.limit > maxLimit {
			return asked, fault.Invalid(fault.Field{Pointer: "/limit", Code: fault.FieldOutOfRange, Limit: maxLimit})
		}
	}
	cursor, given, err := queryText(c, "cursor", 100)
	if err != nil || !given {
		return asked, err
	}
	raw, err := cursorEncoding.DecodeString(cursor)
	if err == nil {
		asked.before, err = uuid.FromBytes(raw)
	}
	if err != nil {
		return asked, fault.Invalid(fault.Field{Pointer: "/cursor", Code: fault.FieldInvalid})
	}
	return asked, nil
}

// queryText reads a query parameter that may appear once. Errors: validation_failed.
func queryText(c echo.Context, name string, longest int) (text string, given bool, err error) {
	wrong := func(code fault.FieldCode, limit int) (string, bool, error) {
		return "", true, fault.Invalid(fault.Field{Pointer: "/" + name, Code: code, Limit: limit})
	}
	query, err := url.ParseQuery(c.Request().URL.RawQuery)
	if err != nil {
		return wrong(fault.FieldEncoding, 0)
	}
	values := query[name]
	if len(values) == 0 {
		return "", false, nil
	}
	text = values[0]
	switch {
	case len(values) > 1:
		return wrong(fault.FieldDuplicate, 0)
	case !utf8.ValidString(text):
		return wrong(fault.FieldEncoding, 0)
	case strings.ContainsFunc(text, unicode.IsControl):
		return wrong(fault.FieldControlCharacter, 0)
	case utf8.RuneCountInString(text) > longest:
		return wrong(fault.FieldTooLong, longest)
	}
	return text, true, nil
}

type pageBody[T any] struct {
	Items      []T     `json:"items"`
	NextCursor *string `json:"next_cursor"`
}

// respondPage answers a page. Callers read one row more than the page has, which shows whether a further page follows.
func respondPage[Row, Body any](
	c echo.Context, asked page, rows []Row, out func(Row) Body, id func(Row) uuid.UUID,
) error {
	body := pageBody[Body]{Items: make([]Body, 0, len(rows))}
	if len(rows) > asked.limit {
		rows = rows[:asked.limit]
		last := id(rows[len(rows)-1])
		cursor := cursorEncoding.EncodeToString(last[:])
		body.NextCursor = &cursor
	}
	for _, row := range rows {
		body.Items = append(body.Items, out(row))
	}
	return respond(c, http.StatusOK, body)
}

// timestamp is a time that JSON shows in RFC 3339, UTC, with milliseconds.
type timestamp time.Time

// MarshalText writes the time.
func (t timestamp) MarshalText() ([]byte, error) {
	return []byte(time.Time(t).UTC().Format("2006-01-02T15:04:05.000Z")), nil
}
