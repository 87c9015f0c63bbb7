package spreadsheet

import (
	"errors"
	"io"
	"strconv"
	"strings"
)

// sharedStrings are the texts that cells refer to by number, stored one after the other.
type sharedStrings struct {
	text strings.Builder
	ends []uint32
}

// get is the text with a number that a cell gives.
func (s *sharedStrings) get(number string) (string, error) {
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n >= len(s.ends) {
		return "", errDamaged
	}
	start := uint32(0)
	if n > 0 {
		start = s.ends[n-1]
	}
	return s.text.String()[start:s.ends[n]], nil
}

// readStrings reads the shared strings. A rich text is the sum of its runs, without the readings above Japanese words
// (rPh).
func (b *workbook) readStrings(part string) error {
	w, content, err := b.open(part)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	var item strings.Builder
	inText, reading := false, false
	for {
		switch err := w.next(); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		switch {
		case w.at == within:
			if inText && !reading {
				item.Write(w.text)
			}
		case w.name == "t":
			inText = w.at == begins
		case w.name == "rPh":
			reading = w.at == begins
		case w.name == "si" && w.at == begins:
			item.Reset()
		case w.name == "si":
			if len(b.strings.ends) == maxStrings {
				return errTooLarge
			}
			b.strings.text.WriteString(unescaped(item.String()))
			b.strings.ends = append(b.strings.ends, uint32(b.strings.text.Len()))
		}
	}
}

// sheetReader turns a sheet into CSV.
type sheetReader struct {
	book        *workbook
	out         []byte
	line        int // where out ends; from 1
	row, column int // of the cell; from 1, and 0 before the first
	written     int // columns of the row that are in out

	kind, style               string // of the cell
	value                     strings.Builder
	inCell, inValue, inPhonic bool
}

func (b *workbook) readSheet(part string) ([]byte, error) {
	w, content, err := b.open(part)
	if err != nil {
		return nil, err
	}
	defer func() { _ = content.Close() }()
	s := &sheetReader{book: b, line: 1}
	for {
		switch err := w.next(); {
		case errors.Is(err, io.EOF):
			return s.out, nil
		case err != nil:
			return nil, err
		}
		switch w.at {
		case begins:
			err = s.begin(w.element)
		case ends:
			if w.name == "sheetData" {
				return s.out, nil // later elements have other rows
			}
			err = s.end(w.name)
		case within:
			if s.inValue && !s.inPhonic {
				s.value.Write(w.text)
			}
		}
		if err == nil && len(s.out) > maxText {
			err = errTooLarge
		}
		if err != nil {
			return nil, err
		}
	}
}

func (s *sheetReader) begin(e element) error {
	switch e.name {
	case "row":
		number := s.row + 1
		if given := e.attr("r"); given != "" {
			number, _ = strconv.Atoi(given) // 0 is refused below
		}
		if number <= s.row || number > maxRows {
			return errDamaged
		}
		s.row = number
		for ; s.line < number; s.line++ {
			s.out = append(s.out, '\n')
		}
		s.column, s.written = 0, 1
	case "c":
		column := s.column + 1
		if given := e.attr("r"); given != "" {
			column = columnOf(given)
		}
		if column <= s.column || column > maxColumns || s.row == 0 {
			return errDamaged
		}
		s.column, s.kind, s.style, s.inCell = column, e.attr("t"), e.attr("s"), true
		s.value.Reset()
	case "v", "t":
		s.inValue = s.inCell
	case "rPh":
		s.inPhonic = true
	}
	return nil
}

func (s *sheetReader) end(name string) error {
	switch name {
	case "v", "t":
		s.inValue = false
	case "rPh":
		s.inPhonic = false
	case "c":
		s.inCell = false
		text, err := s.cell()
		if err != nil {
			return err
		}
		s.write(text)
	}
	return nil
}

// write adds a cell at its row and column.
func (s *sheetReader) write(text string) {
	if text == "" {
		return
	}
	for ; s.written < s.column; s.written++ {
		s.out = append(s.out, ',')
	}
	s.out = append(s.out, '"')
	s.out = append(s.out, strings.ReplaceAll(text, `"`, `""`)...)
	s.out = append(s.out, '"')
}

// cell is the text of the cell that has just ended. Types: ECMA-376 part 1, §18.18.11.
func (s *sheetReader) cell() (string, error) {
	value := s.value.String()
	switch s.kind {
	case "s":
		if value = strings.TrimSpace(value); value == "" {
			return "", nil
		}
		return s.book.strings.get(value)
	case "b":
		switch strings.TrimSpace(value) {
		case "1", "true":
			return "TRUE", nil
		case "":
			return "", nil
		}
		return "FALSE", nil
	case "str", "inlineStr":
		return unescaped(value), nil
	case "e", "d":
		return value, nil
	}
	style, _ := strconv.Atoi(s.style) // 0 where it is missing
	var format numberFormat
	if style >= 0 && style < len(s.book.formats) {
		format = s.book.formats[style]
	}
	return format.apply(strings.TrimSpace(value), s.book.from), nil
}

// columnOf is the number of the column in the name of a cell, such as 28 of AB12; 0 for none.
func columnOf(cell string) int {
	column := 0
	for _, r := range []byte(cell) {
		if r |= 0x20; r < 'a' || r > 'z' || column > maxColumns {
			break
		}
		column = column*26 + int(r-'a') + 1
	}
	return column
}
