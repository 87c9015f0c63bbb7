// Package spreadsheet reads the tables of spreadsheet programs, and writes tables in which they find no formula to run.
//
// It reads the files that Excel, LibreOffice, Numbers and Google Sheets save as CSV, text or XLSX under any regional
// setting, and recognises the other kinds of file that people send instead. It writes CSV (RFC 4180) or XLSX, row by
// row. In both, every cell is text: see https://owasp.org/www-community/attacks/CSV_Injection.
package spreadsheet

import (
	"errors"
	"fmt"
)

// Errors of reading. They never contain the text of a cell.
var (
	// ErrEncoding is a file in an unknown encoding, or a file that is not a text.
	ErrEncoding = errors.New("spreadsheet: the encoding of the file cannot be told")
	// ErrEmpty is a file without a filled cell.
	ErrEmpty = errors.New("spreadsheet: the file has no header")
	// ErrHeader is a header that cannot be read as CSV.
	ErrHeader = errors.New("spreadsheet: the header cannot be read")
	// ErrRow is a row that cannot be read as CSV, or that has more filled cells than the header.
	ErrRow = errors.New("spreadsheet: the row cannot be read")

	// ErrColumnTwice is the cause of a ColumnError for a repeated name.
	ErrColumnTwice = errors.New("the name of the column is repeated")
	// ErrColumnUnnamed is the cause of a ColumnError for a column with cells but without a name.
	ErrColumnUnnamed = errors.New("the column has no name")
)

// ColumnError is a column whose cells cannot be addressed by name.
type ColumnError struct {
	// Number counts from 1, which programs show as A.
	Number int
	// Err is ErrColumnTwice or ErrColumnUnnamed.
	Err error
}

func (e *ColumnError) Error() string {
	return fmt.Sprintf("spreadsheet: column %d: %v", e.Number, e.Err)
}

// Unwrap gives the cause.
func (e *ColumnError) Unwrap() error { return e.Err }

// errClosed refuses a row after the end.
var errClosed = errors.New("spreadsheet: written to after it was closed")

// table keeps all written rows at the width of the header, so that each cell is under its own name.
type table struct{ width int }

func (t *table) check(cells []string) error {
	if t.width == 0 {
		t.width = len(cells)
	}
	if len(cells) == 0 || len(cells) != t.width {
		return fmt.Errorf("spreadsheet: a row of %d cells under a header of %d", len(cells), t.width)
	}
	return nil
}
