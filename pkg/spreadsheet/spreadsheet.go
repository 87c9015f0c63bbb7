// Package spreadsheet reads the tables that spreadsheet programs write, and writes tables that they open and run nothing
// of.
//
// Reading takes what Excel, LibreOffice, Numbers and Google Sheets save as CSV, text or XLSX under any regional setting,
// and recognises the other kinds of file that people send instead. Writing is
// CSV (RFC 4180) or XLSX, row by row; in both, every cell is text, and none is left as a formula:
// see https://owasp.org/www-community/attacks/CSV_Injection.
package spreadsheet

import (
	"errors"
	"fmt"
)

// What is wrong with a file that is read. None of the errors repeats a cell.
var (
	// ErrEncoding is a text in an encoding that cannot be told, or no text at all.
	ErrEncoding = errors.New("spreadsheet: the encoding of the file cannot be told")
	// ErrEmpty is a file in which no cell holds anything.
	ErrEmpty = errors.New("spreadsheet: the file has no header")
	// ErrHeader is a header that cannot be read as CSV.
	ErrHeader = errors.New("spreadsheet: the header cannot be read")
	// ErrRow is a row that cannot be read as CSV, or that has a cell beyond the columns of the header.
	ErrRow = errors.New("spreadsheet: the row cannot be read")

	// ErrColumnTwice is the cause of a ColumnError whose column has the name of one further left.
	ErrColumnTwice = errors.New("the column stands twice")
	// ErrColumnUnnamed is the cause of a ColumnError whose column has cells, but no name.
	ErrColumnUnnamed = errors.New("the column has no name")
)

// ColumnError is a column for which no cell could be asked.
type ColumnError struct {
	// Number counts from 1, which is the program's column A.
	Number int
	// Err is ErrColumnTwice or ErrColumnUnnamed.
	Err error
}

func (e *ColumnError) Error() string {
	return fmt.Sprintf("spreadsheet: column %d: %v", e.Number, e.Err)
}

// Unwrap gives the cause.
func (e *ColumnError) Unwrap() error { return e.Err }

// errClosed is a row that is written behind the end.
var errClosed = errors.New("spreadsheet: written to after it was closed")

// table holds the rows that are written to one width. A row of another one would put cells under names that are not
// theirs.
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
