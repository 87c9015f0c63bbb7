package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/invitation"
	"github.com/latchkey-auth/latchkey/pkg/locale"
	"github.com/latchkey-auth/latchkey/pkg/spreadsheet"
)

// Bounds of an import.
const (
	maxImportRows = 10_000
	maxCell       = maxBody // octets; 64 names or any metadata take less
	maxColumnName = 100     // code points of a column's name in a problem
)

const (
	csvType  = "text/csv"
	xlsxType = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
)

// importedBody is the outcome of every row of a file.
type importedBody struct {
	Accepted int           `json:"accepted"`
	Rejected int           `json:"rejected"`
	Results  []rowResponse `json:"results"`
}

// rowResponse is the outcome of one row, with the number that a spreadsheet program shows for it.
type rowResponse struct {
	Row    int         `json:"row"`
	Email  *string     `json:"email"`
	Status string      `json:"status"`
	Code   *fault.Code `json:"code"`
	Detail *string     `json:"detail"`
}

// importInvitations answers POST /v1/admin/portals/{portal}/invitations/import.
func (s *Server) importInvitations(c echo.Context) error {
	body, release, err := s.receiveFile(c, csvType, xlsxType)
	if err != nil {
		return err
	}
	defer release()
	file, err := openSheet(body)
	if err != nil {
		return err
	}
	run := invitationImport{
		server: s, c: c, language: s.languageOf(c, portalOf(c)), guessed: file.Guessed,
		body: importedBody{Results: []rowResponse{}},
	}
	for row := range file.Rows() {
		if err := run.add(row); err != nil {
			return err
		}
	}
	if err := run.flush(); err != nil {
		return err
	}
	return respond(c, http.StatusOK, run.body)
}

// invitationImport invites the rows of a file, batch by batch.
type invitationImport struct {
	server   *Server
	c        echo.Context
	language locale.Language
	guessed  bool // the encoding of the file is a guess
	body     importedBody
	batch    []invitation.New
	places   []int // of the batch's rows in body.Results
}

// add reads a row. A wrong row does not stop the others.
func (m *invitationImport) add(row spreadsheet.Row) error {
	var k check
	var wanted invitation.New
	typed := cut(emailIn(row), email.MaxLength)
	m.body.Results = append(m.body.Results, rowResponse{Row: row.Number, Email: orNull(typed)})
	err := row.Err
	if err != nil {
		err = fault.Wrap(fault.MalformedRequest, err)
	} else {
		wanted = invitationIn(row, &k).invitation(&k, portalOf(m.c))
		if m.guessed && strings.ContainsFunc(typed, isBeyondASCII) {
			// This replaces other faults, because wrong letters may have caused them.
			k.Fields = fault.Fields{{Pointer: "/email", Code: fault.FieldEncoding, Text: "import.doubtful_address"}}
		}
		err = k.Err()
	}
	if err != nil {
		m.answer(len(m.body.Results)-1, err)
		return nil
	}
	m.batch, m.places = append(m.batch, wanted), append(m.places, len(m.body.Results)-1)
	if len(m.batch) == invitation.MaxBatch {
		return m.flush()
	}
	return nil
}

// flush invites the batch.
func (m *invitationImport) flush() error {
	if len(m.batch) == 0 {
		return nil
	}
	ctx, cancel := step(m.c)
	defer cancel()
	made, err := m.server.invitations.InviteAll(ctx, portalOf(m.c), principalOf(m.c).inviter(), m.batch)
	if err != nil {
		return err
	}
	for at, place := range m.places {
		m.answer(place, made[at].Err)
	}
	m.batch, m.places = m.batch[:0], m.places[:0]
	return nil
}

func (m *invitationImport) answer(place int, err error) {
	result := &m.body.Results[place]
	if err == nil {
		m.body.Accepted++
		result.Status = "accepted"
		return
	}
	m.body.Rejected++
	result.Status = "rejected"
	var f *fault.Error
	if !errors.As(err, &f) {
		f = fault.Wrap(fault.Internal, err)
	}
	text := detail(m.language, f)
	switch {
	case f.Code == fault.MalformedRequest:
		text = locale.Text(m.language, "import.unreadable_row", nil) // malformed_request has a text about the whole request
	case len(f.Fields) > 0:
		said := make([]string, 0, len(f.Fields))
		for _, field := range fieldProblems(m.language, f.Fields) {
			said = append(said, strings.TrimPrefix(field.Pointer, "/")+": "+field.Detail)
		}
		text = strings.Join(said, " ")
	}
	result.Code, result.Detail = &f.Code, &text
}

// importColumns are the columns that a file may have. Only the address is required.
var importColumns = []string{"email", "roles", "entitlements", "metadata", "locale", "expires_in", "send"}

// emailColumns are the names of the column for the address.
var emailColumns = []string{"email", "e_mail", "email_address", "e_mail_address"}

// openSheet reads the header of an imported file. Its kind is read from its octets, because browsers and programs often
// declare another one.
//
// Errors: request_too_large for a workbook that unpacks to too much; malformed_request; validation_failed for unknown,
// repeated or missing columns, and for too many rows.
func openSheet(body []byte) (*spreadsheet.File, error) {
	file, err := spreadsheet.Read(body)
	var kind *spreadsheet.KindError
	var column *spreadsheet.ColumnError
	switch {
	case errors.As(err, &kind) && kind.Kind == spreadsheet.KindTooLarge:
		f := fault.New(fault.RequestTooLarge)
		f.Text = "file." + string(kind.Kind)
		return nil, f
	case errors.As(err, &kind):
		return nil, unreadable(fault.FieldEncoding, "file."+string(kind.Kind))
	case errors.As(err, &column):
		return nil, fault.Invalid(fault.Field{Pointer: fmt.Sprintf("/columns/%d", column.Number), Code: columnFault(column)})
	case errors.Is(err, spreadsheet.ErrEncoding):
		return nil, unreadable(fault.FieldEncoding, "file.encoding")
	case errors.Is(err, spreadsheet.ErrEmpty):
		return nil, fault.Invalid(fault.Field{Pointer: "/columns/email", Code: fault.FieldRequired})
	case err != nil:
		return nil, unreadable(fault.FieldSyntax, "file.header")
	}
	var k check
	k.columns(file.Columns)
	rows := 0
	for range file.Rows() {
		if rows++; rows > maxImportRows {
			k.Beyond("/rows", fault.FieldTooMany, maxImportRows)
			break
		}
	}
	return file, k.Err()
}

// unreadable is the fault of a file that cannot be read. Its text says how to save a file that can.
func unreadable(code fault.FieldCode, text string) error {
	f := fault.New(fault.MalformedRequest)
	f.Text, f.Fields = text, []fault.Field{{Code: code, Text: text}}
	return f
}

// columns wants a header with the address once and no unknown columns. It reports only the first unknown one, because a
// file of another kind has many.
func (k *check) columns(names []string) {
	addresses, unknown := 0, -1
	for at, name := range names {
		if slices.Contains(emailColumns, name) {
			addresses++
		} else if unknown < 0 && !slices.Contains(importColumns, name) {
			unknown = at
		}
	}
	if unknown >= 0 {
		k.OneOf("/columns/"+cut(names[unknown], maxColumnName), names[unknown], importColumns...)
	}
	switch {
	case addresses == 0:
		k.Wrong("/columns/email", fault.FieldRequired)
	case addresses > 1:
		k.Wrong("/columns/email", fault.FieldDuplicate)
	}
}

func columnFault(of *spreadsheet.ColumnError) fault.FieldCode {
	if errors.Is(of.Err, spreadsheet.ErrColumnTwice) {
		return fault.FieldDuplicate
	}
	return fault.FieldRequired
}

// invitationIn is the invitation of a row. A column is the member of its name; an empty cell is a missing member.
func invitationIn(row spreadsheet.Row, k *check) *inviteRequest {
	cells := make(map[string]string, len(importColumns))
	for _, column := range importColumns {
		cell := row.Cell(column)
		if column == "email" {
			cell = emailIn(row)
		}
		switch {
		case len(cell) > maxCell:
			k.Beyond("/"+column, fault.FieldTooLong, maxCell)
		case strings.ContainsFunc(cell, isHidden):
			k.Wrong("/"+column, fault.FieldControlCharacter)
		default:
			cells[column] = cell
		}
	}
	r := &inviteRequest{
		Email: cells["email"], Roles: listed(cells["roles"]), Entitlements: listed(cells["entitlements"]),
		Locale: optional[string]{Set: cells["locale"] != "", Value: strings.ToLower(cells["locale"])},
	}
	if text := cells["metadata"]; text != "" {
		r.Metadata.Set = true
		if err := decodeJSON([]byte(text), &r.Metadata.Value); err != nil {
			r.Metadata.Value = jsontext.Value("{}")
			k.Wrong("/metadata", fault.FieldSyntax)
		}
	}
	if text := cells["expires_in"]; text != "" {
		r.ExpiresIn.Set = true
		var err error
		if r.ExpiresIn.Value, err = strconv.ParseInt(text, 10, 64); err != nil {
			k.Wrong("/expires_in", fault.FieldType)
			r.ExpiresIn.Set = false
		}
	}
	if text := cells["send"]; text != "" {
		var known bool
		r.Send.Set = true
		if r.Send.Value, known = truths[strings.ToLower(text)]; !known {
			k.Wrong("/send", fault.FieldType)
		}
	}
	return r
}

// emailIn is the address of a row.
func emailIn(row spreadsheet.Row) string {
	for _, column := range emailColumns {
		if cell := row.Cell(column); cell != "" {
			return cell
		}
	}
	return ""
}

// truths are the spellings of true and false, as Excel writes them in English, German, French, Dutch and Danish.
var truths = map[string]bool{
	"true": true, "yes": true, "1": true, "wahr": true, "vrai": true, "waar": true, "sand": true,
	"false": false, "no": false, "0": false, "falsch": false, "faux": false, "onwaar": false, "falsk": false,
}

// listed are the names in a cell, between commas, semicolons, bars, tabs or line breaks.
func listed(cell string) optional[[]string] {
	names := strings.FieldsFunc(cell, func(r rune) bool { return strings.ContainsRune(",;|\t\n", r) })
	list := make([]string, 0, len(names))
	for _, name := range names {
		if name = strings.TrimSpace(name); name != "" {
			list = append(list, name)
		}
	}
	return optional[[]string]{Set: cell != "", Value: list}
}

// isHidden reports whether a cell must not contain r. Spreadsheet programs write line breaks and tabs themselves.
func isHidden(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }

func isBeyondASCII(r rune) bool { return r > unicode.MaxASCII }

// cut shortens a text to a number of code points.
func cut(text string, longest int) string {
	if utf8.RuneCountInString(text) <= longest {
		return text
	}
	return string([]rune(text)[:longest])
}
