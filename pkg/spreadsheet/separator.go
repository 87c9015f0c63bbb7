package spreadsheet

import (
	"bytes"
	"strings"
	"unicode"
)

// separators are what may stand between cells, the likeliest first.
const separators = ",;\t"

// cutSeparator takes Excel's line sep= from a text, which names the separator. Without such a line that is 0.
func cutSeparator(text []byte) (separator byte, rest []byte) {
	line, rest, _ := bytes.Cut(text, []byte("\n"))
	line = bytes.ReplaceAll(bytes.TrimSuffix(line, []byte("\r")), []byte(`"`), nil)
	if len(line) == len("sep=;") && strings.EqualFold(string(line[:4]), "sep=") && strings.IndexByte(separators, line[4]) >= 0 {
		return line[4], rest
	}
	return 0, text
}

// cutEmpty takes the lines from the beginning of a text that hold nothing, or nothing but separators, and counts them.
func cutEmpty(text []byte) (lines int, rest []byte) {
	for len(text) > 0 {
		line, below, _ := bytes.Cut(text, []byte("\n"))
		line = bytes.TrimLeftFunc(line, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(separators, r) })
		if len(line) > 0 {
			break
		}
		lines++
		text = below
	}
	return lines, text
}

// prevailing is the separator that stands most often in the first row of the text, outside quotes.
func prevailing(text []byte) byte {
	var counts [len(separators)]int
	quoted, opens := false, true // opens: a quote would, where a cell begins, or where another quote has just closed
	for _, b := range text {
		if b == '\n' && !quoted {
			break
		}
		if b == '"' && (quoted || opens) {
			quoted, opens = !quoted, true
			continue
		}
		place := strings.IndexByte(separators, b)
		opens = place >= 0
		if opens && !quoted {
			counts[place]++
		}
	}
	most := 0
	for place := range counts {
		if counts[place] > counts[most] {
			most = place
		}
	}
	return separators[most]
}
