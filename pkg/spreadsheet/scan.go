package spreadsheet

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"unicode"
)

// maxSeparators is how many separators a row may hold. Programs end at 16,384 columns; without a bound, one row of
// 10 MiB of commas takes 800 MiB to read.
const maxSeparators = 1 << 16

// scanner goes from row to row and counts them as spreadsheet programs do.
type scanner struct {
	text   []byte
	offset int // of what follows the row
	number int // of the row
	feed   *feed
	csv    *csv.Reader
}

// newScanner reads the rows of a text that begins after row number above.
func newScanner(separator byte, text []byte, above int) *scanner {
	s := &scanner{text: text, number: above, feed: &feed{text: text, separator: separator}}
	s.csv = csv.NewReader(s.feed)
	s.csv.Comma = rune(separator)
	s.csv.FieldsPerRecord = -1 // rows end early where their last cells are empty
	return s
}

// next gives the next row that is not empty. Errors: ErrRow, after which later rows can be read; io.EOF.
func (s *scanner) next() ([]string, error) {
	for {
		s.skipBlank()
		if s.offset >= len(s.text) {
			return nil, io.EOF
		}
		s.number++
		s.feed.separators = 0
		cells, err := s.csv.Read()
		s.offset = int(s.csv.InputOffset())
		if s.feed.overfull {
			s.offset = len(s.text)
			return nil, ErrRow
		}
		if err != nil {
			return nil, ErrRow
		}
		for i, cell := range cells {
			cells[i] = strings.TrimSpace(unguarded(strings.TrimLeftFunc(cell, unicode.IsSpace)))
		}
		if !blank(cells) {
			return cells, nil
		}
	}
}

// skipBlank counts the blank lines before a row. csv.Reader skips them without counting.
func (s *scanner) skipBlank() {
	for s.offset < len(s.text) {
		rest := bytes.TrimPrefix(s.text[s.offset:], []byte("\r"))
		if len(rest) == 0 || rest[0] != '\n' {
			return
		}
		s.offset = len(s.text) - len(rest) + 1
		s.number++
	}
}

// blank reports whether all cells are empty.
func blank(cells []string) bool {
	for _, cell := range cells {
		if cell != "" {
			return false
		}
	}
	return true
}

// errOverfull ends a row that holds more separators than any program writes.
var errOverfull = errors.New("too many cells")

// feed gives the text to csv.Reader until the current row has more than maxSeparators. It also counts separators inside
// quotes and in text that the reader buffers; the bound is wide enough for both.
type feed struct {
	text       []byte
	separator  byte
	separators int // since the row began
	overfull   bool
}

func (f *feed) Read(p []byte) (int, error) {
	if len(f.text) == 0 {
		return 0, io.EOF
	}
	if f.separators > maxSeparators {
		f.overfull = true
		return 0, errOverfull
	}
	n := copy(p, f.text)
	f.separators += bytes.Count(f.text[:n], []byte{f.separator})
	f.text = f.text[n:]
	return n, nil
}
