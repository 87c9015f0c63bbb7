package spreadsheet

import (
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/xuri/excelize/v2"
)

// Widths of columns, in characters. An address or an invitation's code fits into minWidth; longer headers widen their
// column up to maxWidth.
const (
	minWidth = 28
	maxWidth = 60
)

// textFormat is the number format @ (ECMA-376 part 1, §18.8.30): a number that is typed into a cell later becomes text.
const textFormat = 49

// XLSX writes a table as the only sheet of a workbook, each cell as text; the header is bold and stays visible. Beyond
// 16 MiB, rows go to a temporary file. It is not safe for concurrent use.
type XLSX struct {
	table        table
	w            io.Writer
	book         *excelize.File
	sheet        *excelize.StreamWriter
	header, cell int // styles
	rows         int
	err          error // the first error, after which the sheet is not whole
}

// NewXLSX begins a workbook that Close writes to w. A caller that may give up before that defers Discard.
//
// It fails for an invalid name of a sheet: empty, over 31 UTF-16 code units, with one of : \ / ? * [ ] in it or an
// apostrophe at either end.
func NewXLSX(w io.Writer, sheet string) (*XLSX, error) {
	x := &XLSX{w: w, book: excelize.NewFile()}
	if err := x.prepare(sheet); err != nil {
		x.Discard()
		return nil, fmt.Errorf("spreadsheet: begin a workbook: %w", err)
	}
	return x, nil
}

func (x *XLSX) prepare(sheet string) (err error) {
	if err = x.book.SetSheetName(x.book.GetSheetName(0), sheet); err != nil {
		return err
	}
	if x.header, err = x.book.NewStyle(&excelize.Style{Font: &excelize.Font{Bold: true}, NumFmt: textFormat}); err != nil {
		return err
	}
	if x.cell, err = x.book.NewStyle(&excelize.Style{NumFmt: textFormat}); err != nil {
		return err
	}
	if x.sheet, err = x.book.NewStreamWriter(sheet); err != nil {
		return err
	}
	return x.sheet.SetPanes(&excelize.Panes{
		Freeze: true, YSplit: 1, TopLeftCell: "A2", ActivePane: "bottomLeft",
		Selection: []excelize.Selection{{SQRef: "A2", ActiveCell: "A2", Pane: "bottomLeft"}},
	})
}

// Write appends a row. The first is the header; every other row must have as many cells. Cells that a spreadsheet
// program would run get an apostrophe, because the sheet may be saved as CSV later. Cells are cut at 32,767 UTF-16 code
// units. A sheet has 1,048,576 rows and 16,384 columns at most. After an error there is no workbook.
func (x *XLSX) Write(cells []string) error {
	if x.err == nil {
		x.err = x.write(cells)
	}
	return x.err
}

func (x *XLSX) write(cells []string) error {
	if err := x.table.check(cells); err != nil {
		return err
	}
	style := x.cell
	if x.rows == 0 {
		style = x.header
		if err := x.setWidths(cells); err != nil {
			return err
		}
	}
	row := make([]any, len(cells))
	for i, cell := range cells {
		if cell != "" {
			row[i] = excelize.Cell{StyleID: style, Value: text(cell)}
		}
	}
	x.rows++
	at, err := excelize.CoordinatesToCellName(1, x.rows)
	if err == nil {
		err = x.sheet.SetRow(at, row)
	}
	if err != nil {
		return fmt.Errorf("spreadsheet: write row %d: %w", x.rows, err)
	}
	return nil
}

func (x *XLSX) setWidths(header []string) error {
	for i, name := range header {
		width := min(max(utf8.RuneCountInString(name), minWidth), maxWidth)
		if err := x.sheet.SetColWidth(i+1, i+1, float64(width)); err != nil {
			return fmt.Errorf("spreadsheet: set the width of column %d: %w", i+1, err)
		}
	}
	return nil
}

// Close writes the workbook to w, which stays open, and removes the temporary file, also when it fails. After an error
// of Write it writes nothing and answers that error.
func (x *XLSX) Close() error {
	defer x.Discard()
	if x.err != nil {
		return x.err
	}
	if err := x.sheet.Flush(); err != nil {
		return fmt.Errorf("spreadsheet: end the sheet: %w", err)
	}
	if err := x.book.Write(x.w); err != nil {
		return fmt.Errorf("spreadsheet: write the workbook: %w", err)
	}
	return nil
}

// Discard gives up a workbook that was not closed and removes its temporary file; after Close it does nothing.
func (x *XLSX) Discard() {
	if errors.Is(x.err, errClosed) {
		return
	}
	x.err = errClosed
	_ = x.book.Close() // fails only if the file is gone already
}
