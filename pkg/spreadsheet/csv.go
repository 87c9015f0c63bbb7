package spreadsheet

import (
	"bufio"
	"encoding/csv"
	"io"
)

// CSV writes a table as in RFC 4180: commas, CRLF, quotes where they are needed; UTF-8 without a byte order mark. Line
// breaks inside a cell are CRLF too. It is not safe for concurrent use.
type CSV struct {
	table  table
	buffer *bufio.Writer
	rows   *csv.Writer
	closed bool
}

// NewCSV writes to w, some 4 KiB at a time.
func NewCSV(w io.Writer) *CSV {
	buffer := bufio.NewWriter(w)
	rows := csv.NewWriter(buffer) // uses the buffer as its own, because it is a bufio.Writer
	rows.UseCRLF = true
	return &CSV{buffer: buffer, rows: rows}
}

// Write appends a row. The first is the header; every other row must have as many cells. Cells that a spreadsheet
// program would run get an apostrophe. Cells are cut at 32,767 UTF-16 code units.
func (c *CSV) Write(cells []string) error {
	if c.closed {
		return errClosed
	}
	if err := c.table.check(cells); err != nil {
		return err
	}
	if len(cells) == 1 && cells[0] == "" { // csv.Writer writes a blank line, and readers skip blank lines
		_, err := c.buffer.WriteString("\"\"\r\n")
		return err
	}
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = text(cell)
	}
	return c.rows.Write(row)
}

// Flush writes buffered rows to the underlying writer.
func (c *CSV) Flush() error { return c.buffer.Flush() }

// Close flushes. The underlying writer stays open, and later rows are refused.
func (c *CSV) Close() error {
	c.closed = true
	return c.Flush()
}
