package spreadsheet

import (
	"errors"
	"io"
	"iter"
	"strings"
	"unicode"
)

// File is a table whose header has been read.
type File struct {
	// Columns are the names of the header from left to right, in lower case, spaces and dashes as underscores:
	// "Expires In" is expires_in, "E-Mail" is e_mail. Columns without a name are left out.
	Columns []string
	// Guessed reports that the code page of the file is a guess. Letters beyond ASCII can then differ from those that
	// the person saw: harmless in a name, but never to be trusted in an address.
	Guessed bool

	separator byte
	places    map[string]int // the index in a row of a column's cell
	width     int            // cells of the header, including unnamed ones
	header    int            // the number of the header's row
	rows      []byte         // the text below the header
}

// Row is one row below the header that is not empty.
type Row struct {
	// Number is the number that a spreadsheet program shows for the row. Blank lines and empty rows count. The line sep=
	// does not, because programs remove it.
	Number int
	// Err is nil or ErrRow; the row then has no cells.
	Err error

	cells  []string
	places map[string]int
}

// Cell is the cell in a column of Columns, without white space around it. It is empty if the row ends before the
// column, or if there is no such column. Line breaks inside are \n. Apostrophes that CSV and XLSX of this package put
// before a formula are removed.
func (r Row) Cell(column string) string {
	if place, ok := r.places[column]; ok && place < len(r.cells) {
		return r.cells[place]
	}
	return ""
}

// Read reads the header of a file. It recognises the kind of file by its octets:
//
//   - CSV or text: UTF-8 with or without a byte order mark, UTF-16 with one, Windows-1252, or Mac OS Roman where lines
//     end in CR. Lines end in CRLF, LF or CR; a comma, a semicolon or a tab separates the cells. Excel's line sep=
//     names the separator; without that line it is the most frequent one of the header.
//   - XLSX: the sheet that programs show first. See workbookText for the text of its cells.
//
// The file must not change while its rows are read.
//
// Errors: *KindError, ErrEncoding, ErrEmpty, ErrHeader, *ColumnError.
func Read(file []byte) (*File, error) {
	if kind := kindOfOctets(file); kind != "" {
		return nil, &KindError{kind}
	}
	parts, err := archive(file)
	if err != nil {
		return nil, err
	}
	if parts != nil {
		text, err := workbookText(parts)
		if err != nil {
			return nil, err
		}
		return readText(text, ',')
	}
	text, guessed, err := decode(file)
	if err != nil {
		return nil, err
	}
	if kind := kindOfText(text); kind != "" {
		return nil, &KindError{kind}
	}
	separator, text := cutSeparator(text)
	f, err := readText(text, separator)
	if err != nil {
		return nil, err
	}
	f.Guessed = guessed
	return f, nil
}

// readText reads the header of a text. The separator 0 means that it is found in the header.
func readText(text []byte, separator byte) (*File, error) {
	above, text := cutEmpty(text)
	if separator == 0 {
		separator = prevailing(text)
	}
	s := newScanner(separator, text, above)
	header, err := s.next()
	if errors.Is(err, io.EOF) {
		return nil, ErrEmpty
	}
	if err != nil {
		return nil, ErrHeader
	}
	f := &File{separator: separator, width: len(header), header: s.number, rows: text[s.offset:]}
	if err := f.name(header); err != nil {
		return nil, err
	}
	return f, nil
}

// Rows are the rows below the header that are not empty. Each range over them reads the text again. Reading goes on
// after a row with an error. An unclosed quote takes the rest of the file into its row, as in a spreadsheet program.
func (f *File) Rows() iter.Seq[Row] {
	return func(yield func(Row) bool) {
		for s := newScanner(f.separator, f.rows, f.header); ; {
			cells, err := s.next()
			if errors.Is(err, io.EOF) {
				return
			}
			row := Row{Number: s.number, Err: err}
			switch {
			case err != nil:
			case len(cells) > f.width && !blank(cells[f.width:]):
				row.Err = ErrRow
			default:
				row.cells, row.places = cells[:min(len(cells), f.width)], f.places
			}
			if !yield(row) {
				return
			}
		}
	}
}

// name reads the names of the columns from the header.
func (f *File) name(header []string) error {
	f.places = make(map[string]int, len(header))
	named := make([]bool, len(header))
	for place, cell := range header {
		name := columnName(cell)
		if name == "" {
			continue
		}
		if _, taken := f.places[name]; taken {
			return &ColumnError{Number: place + 1, Err: ErrColumnTwice}
		}
		f.places[name] = place
		f.Columns = append(f.Columns, name)
		named[place] = true
	}
	if len(f.Columns) == len(header) {
		return nil
	}
	return f.checkUnnamed(named)
}

// checkUnnamed refuses columns that have cells but no name. Empty ones pass, because programs write them for deleted
// cells. It looks at the cells of each row, because a hostile header can have far more columns.
func (f *File) checkUnnamed(named []bool) error {
	for row := range f.Rows() {
		for place, cell := range row.cells {
			if cell != "" && !named[place] {
				return &ColumnError{Number: place + 1, Err: ErrColumnUnnamed}
			}
		}
	}
	return nil
}

// columnName is the name of a column, from its cell in the header.
func columnName(cell string) string {
	words := strings.FieldsFunc(cell, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) })
	return strings.ToLower(strings.Join(words, "_"))
}
