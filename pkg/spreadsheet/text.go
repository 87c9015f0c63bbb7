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
		case separates(r):
			if i == 0 && isLayout(r) {
				guard()
			}
			start, begins = i+1, true
		case !begins || drops(r):
		default:
			if runs(r) {
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

// unguarded takes off every apostrophe that safe puts on, and no other. A cell that had one before it was written loses
// it too, because the two look the same.
func unguarded(cell string) string {
	if !strings.Contains(cell, "'") {
		return cell
	}
	var out strings.Builder
	begins := true
	for i, r := range cell {
		if !begins || r != '\'' || !wasGuarded(cell[i+1:], i == 0) {
			out.WriteRune(r)
		}
		begins = separates(r)
	}
	return out.String()
}

// wasGuarded reports whether safe puts an apostrophe before the rest of a cell.
func wasGuarded(rest string, first bool) bool {
	for i, r := range rest {
		switch {
		case separates(r):
			return first && i == 0 && isLayout(r)
		case !drops(r):
			return runs(r)
		}
	}
	return false
}

// separates reports whether a program may begin a new cell behind r.
func separates(r rune) bool { return strings.ContainsRune(",;|\t\n\r", r) }

func isLayout(r rune) bool { return r == '\t' || r == '\n' || r == '\r' }

// drops reports whether programs ignore r at the beginning of a cell.
func drops(r rune) bool {
	return r == '"' || unicode.IsSpace(r) || unicode.In(r, unicode.Cc, unicode.Cf)
}

// runs reports whether a cell that begins with r is a formula.
func runs(r rune) bool { return strings.ContainsRune("=+-@＝＋－＠", r) }

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
