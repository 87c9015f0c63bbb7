package spreadsheet

import (
	"bufio"
	"encoding/csv"
	"io"
)

// CSV writes a table as RFC 4180 has it: commas, CRLF, quotes where they are needed; UTF-8 without a byte order mark.
// Line breaks inside a cell are CRLF too. It is not for concurrent use.
type CSV struct {
	table  table
	buffer *bufio.Writer
	rows   *csv.Writer
	closed bool
}

// NewCSV writes to w, some 4 KiB at a time.
func NewCSV(w io.Writer) *CSV {
	buffer := bufio.NewWriter(w)
	rows := csv.NewWriter(buffer) // which takes the buffer for its own
	rows.UseCRLF = true
	return &CSV{buffer: buffer, rows: rows}
}

// Write appends a row. The first is the header; every other one must have as many cells. Cells that a spreadsheet
// program would run get an apostrophe, and those over 32,767 UTF-16 code units end there.
func (c *CSV) Write(cells []string) error {
	if c.closed {
		return errClosed
	}
	if err := c.table.check(cells); err != nil {
		return err
	}
	if len(cells) == 1 && cells[0] == "" { // csv.Writer leaves the line blank, which is no row to any reader
		_, err := c.buffer.WriteString("\"\"\r\n")
		return err
	}
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = text(cell)
	}
	return c.rows.Write(row)
}

// Flush sends what was written so far on its way.
func (c *CSV) Flush() error { return c.buffer.Flush() }

// Close flushes; w stays open. What is written afterwards is refused.
func (c *CSV) Close() error {
	c.closed = true
	return c.Flush()
}
