package spreadsheet

import (
	"bytes"
	"encoding/binary"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// decode gives the text of a file as UTF-8, every line of which ends in LF or CRLF.
//
// A byte order mark names UTF-8 or UTF-16. Without one, octets that are valid UTF-8 are UTF-8. Everything else is an
// eight-bit code page that the file does not name. Excel writes Windows-1252 in western Europe, and Mac OS Roman with
// lines that end in CR on a Mac; guessed reports that the text was read as one of these. Files that look like neither
// are refused. Windows-1250 and 1252 share most of their letters, so a guess can be wrong about single letters.
func decode(file []byte) (text []byte, guessed bool, err error) {
	if text, marked, err := decodeUTF16(file); marked || err != nil {
		return text, false, err
	}
	text = bytes.TrimPrefix(file, []byte("\ufeff"))
	if bytes.IndexByte(text, 0) >= 0 {
		return nil, false, ErrEncoding
	}
	if !utf8.Valid(text) {
		text, err := decodeCodePage(text)
		return text, true, err
	}
	if loneCR(text) < 0 {
		return text, false, nil
	}
	return endLines(bytes.Clone(text)), false, nil // the caller's octets must not change
}

// decodeUTF16 reads a file that begins with a byte order mark of UTF-16, as Excel's "Unicode text" does.
func decodeUTF16(file []byte) (text []byte, marked bool, err error) {
	var order binary.ByteOrder = binary.LittleEndian
	switch {
	case bytes.HasPrefix(file, []byte{0xFF, 0xFE}):
	case bytes.HasPrefix(file, []byte{0xFE, 0xFF}):
		order = binary.BigEndian
	default:
		return nil, false, nil
	}
	units := file[2:]
	if len(units)%2 != 0 {
		return nil, true, ErrEncoding
	}
	text = make([]byte, 0, len(units)/2+len(units)/8)
	for i := 0; i < len(units); i += 2 {
		r := rune(order.Uint16(units[i:]))
		if utf16.IsSurrogate(r) {
			if i += 2; i >= len(units) {
				return nil, true, ErrEncoding
			}
			if r = utf16.DecodeRune(r, rune(order.Uint16(units[i:]))); r == unicode.ReplacementChar {
				return nil, true, ErrEncoding
			}
		}
		if r == 0 {
			return nil, true, ErrEncoding
		}
		text = utf8.AppendRune(text, r)
	}
	return endLines(text), true, nil
}

// decodeCodePage reads a text as the first code page in which it looks like text.
func decodeCodePage(file []byte) ([]byte, error) {
	pages := []*charmap.Charmap{charmap.Windows1252}
	if bytes.IndexByte(file, '\n') < 0 && bytes.IndexByte(file, '\r') >= 0 {
		pages = []*charmap.Charmap{charmap.Macintosh, charmap.Windows1252}
	}
	for _, page := range pages {
		if !plausible(file, page) {
			continue
		}
		text := make([]byte, 0, len(file)+len(file)/8)
		for _, octet := range file {
			text = utf8.AppendRune(text, page.DecodeByte(octet))
		}
		return endLines(text), nil
	}
	return nil, ErrEncoding
}

// longestRun is how many letters beyond ASCII may follow each other in a word of a western language. Cyrillic, Greek
// and East Asian code pages have far longer runs.
const longestRun = 3

// plausible reports whether a file looks like text of a western language in a code page. Accented letters that were
// written in another code page turn into symbols or capitals inside a word: the Polish "Wałęsa" into "Wa³êsa", the
// Mac's "André" into "AndrŽ".
func plausible(file []byte, page *charmap.Charmap) bool {
	run := 0
	for i, octet := range file {
		if octet < utf8.RuneSelf {
			run = 0
			continue
		}
		var before, after rune
		if i > 0 {
			before = page.DecodeByte(file[i-1])
		}
		if i+1 < len(file) {
			after = page.DecodeByte(file[i+1])
		}
		r := page.DecodeByte(octet)
		switch {
		case unicode.IsControl(r) || r == unicode.ReplacementChar:
			return false
		case unicode.IsLetter(r):
			if run++; run > longestRun {
				return false
			}
			capital := unicode.IsUpper(r) && unicode.IsLetter(before)
			if capital && (unicode.IsLower(before) || unicode.IsLower(after)) {
				return false
			}
		default:
			run = 0
			if unicode.IsLetter(before) && (isOpening(r) || unicode.IsLetter(after) && !joins(r)) {
				return false
			}
		}
	}
	return true
}

// joins reports whether a symbol can appear between two letters: apostrophes, dashes, dots and spaces.
func joins(r rune) bool {
	return unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) ||
		r == '’' || r == '´' || r == '·' || r == '…' || r == '\u00ad'
}

// isOpening reports whether a symbol never follows a letter. In DOS code pages the octets of these symbols are letters.
func isOpening(r rune) bool {
	switch r {
	case '‚', '„', '†', '‡', 'ˆ', '‰', '‹', '˜':
		return true
	}
	return false
}

// endLines replaces every CR without an LF by an LF, in place.
func endLines(text []byte) []byte {
	for at := loneCR(text); at >= 0; {
		text[at] = '\n'
		next := loneCR(text[at:])
		if next < 0 {
			break
		}
		at += next
	}
	return text
}

// loneCR is the index of the first CR without an LF after it; -1 for none.
func loneCR(text []byte) int {
	for i := 0; i < len(text); i++ {
		next := bytes.IndexByte(text[i:], '\r')
		if next < 0 {
			return -1
		}
		if i += next; i+1 == len(text) || text[i+1] != '\n' {
			return i
		}
	}
	return -1
}
