package spreadsheet

import (
	"strings"
	"unicode"
	"unicode/utf16"
)

// maxCell is how many UTF-16 code units Excel keeps of a cell. Excel moves the rest into another row, or calls the file
// damaged.
const maxCell = 32767

// text is a cell as both formats write it.
func text(cell string) string { return cut(safe(plain(cell))) }

// plain replaces every line break by \n, and everything that XML cannot hold by U+FFFD: control characters, half
// surrogates and octets that are not UTF-8 (XML 1.0 §2.2).
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

// safe puts an apostrophe before text that a spreadsheet program would run: = + - @ and their full-width forms at the
// beginning of a cell. Programs drop white space, quotes and invisible characters before them, so these do not count.
//
// Programs in other countries use another separator, and then ignore the quotes around a cell. So a cell can also begin
// after a separator inside the text: , ; | tab and line break.
//
// A tab or a line break at the beginning of the text always gets an apostrophe.
func safe(cell string) string {
	var out strings.Builder
	done := 0                // octets of cell that are in out
	start, begins := 0, true // where a cell may begin, and whether only dropped characters came since
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

// unguarded removes the apostrophes that safe adds. A cell that had one of its own there loses it too, because the two
// look the same.
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

// wasGuarded reports whether safe adds an apostrophe before the rest of a cell.
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

// separates reports whether a program may begin a new cell after r.
func separates(r rune) bool { return strings.ContainsRune(",;|\t\n\r", r) }

func isLayout(r rune) bool { return r == '\t' || r == '\n' || r == '\r' }

// drops reports whether programs ignore r at the beginning of a cell.
func drops(r rune) bool {
	return r == '"' || unicode.IsSpace(r) || unicode.In(r, unicode.Cc, unicode.Cf)
}

// runs reports whether a cell that begins with r is a formula.
func runs(r rune) bool { return strings.ContainsRune("=+-@＝＋－＠", r) }

// cut shortens a cell to maxCell.
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
