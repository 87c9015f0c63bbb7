package spreadsheet

import (
	"strings"
	"unicode"
	"unicode/utf16"
)

// maxCell is how many UTF-16 code units Excel keeps of a cell. What is beyond, it puts into a further row, or calls
// the file damaged.
const maxCell = 32767

// text is a cell as it is written in both formats.
func text(cell string) string { return cut(safe(plain(cell))) }

// plain makes every line break \n, and U+FFFD of what no XML document can hold: control characters, half surrogates,
// bytes that are not UTF-8 (XML 1.0 §2.2).
func plain(cell string) string {
	cell = strings.ReplaceAll(cell, "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\r':
			return '\n'
		case r < ' ' && r != '\t' && r != '\n', r == 0xFFFE, r == 0xFFFF:
			return unicode.ReplacementChar
		}
		return r
	}, cell)
}

// safe puts an apostrophe before what a spreadsheet program would run: = + - @ and their full-width forms, where a cell
// begins with one. White space, quotes and invisible characters before it do not count, for programs drop them.
//
// A program of another country takes another character for the separator, and pays no heed to quotes that do not open
// a cell for it. So a cell may also begin behind a separator inside: , ; | tab and line break.
//
// A tab or a line break at the very beginning is preceded by an apostrophe as well, whatever follows.
func safe(cell string) string {
	var out strings.Builder
	done := 0                // what stands in out already
	start, begins := 0, true // where a cell may have begun, and that nothing has come since that counts
	guard := func() {
		out.WriteString(cell[done:start])
		out.WriteByte('\'')
		done = start
	}
	for i, r := range cell {
		switch {
		case strings.ContainsRune(",;|\t\n\r", r):
			if i == 0 && r != ',' && r != ';' && r != '|' {
				guard()
			}
			start, begins = i+1, true
		case !begins || r == '"' || unicode.IsSpace(r) || unicode.In(r, unicode.Cc, unicode.Cf):
		default:
			if strings.ContainsRune("=+-@＝＋－＠", r) {
				guard()
			}
			begins = false
		}
	}
	if done == 0 && out.Len() == 0 {
		return cell
	}
	out.WriteString(cell[done:])
	return out.String()
}

// cut drops what is beyond maxCell.
func cut(cell string) string {
	if len(cell) <= maxCell {
		return cell
	}
	units := 0
	for i, r := range cell {
		if units += utf16.RuneLen(r); units > maxCell {
			return cell[:i]
		}
	}
	return cell
}
