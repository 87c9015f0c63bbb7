package spreadsheet

import (
	"bytes"
	"strings"
	"unicode"
)

// separators are the characters between cells, the likeliest first.
const separators = ",;\t"

// cutSeparator removes Excel's line sep= and gives its separator; 0 without such a line.
func cutSeparator(text []byte) (separator byte, rest []byte) {
	line, rest, _ := bytes.Cut(text, []byte("\n"))
	line = bytes.ReplaceAll(bytes.TrimSuffix(line, []byte("\r")), []byte(`"`), nil)
	if len(line) == len("sep=;") && strings.EqualFold(string(line[:4]), "sep=") &&
		strings.IndexByte(separators, line[4]) >= 0 {
		return line[4], rest
	}
	return 0, text
}

// cutEmpty removes leading lines that are blank or only have separators, and counts them.
func cutEmpty(text []byte) (lines int, rest []byte) {
	for len(text) > 0 {
		line, below, _ := bytes.Cut(text, []byte("\n"))
		line = bytes.TrimLeftFunc(line, func(r rune) bool {
			return unicode.IsSpace(r) || strings.ContainsRune(separators, r)
		})
		if len(line) > 0 {
			break
		}
		lines++
		text = below
	}
	return lines, text
}

// prevailing is the most frequent separator in the first row of the text, outside quotes.
func prevailing(text []byte) byte {
	var counts [len(separators)]int
	quoted, opens := false, true // opens: a quote here would open a quoted part
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
