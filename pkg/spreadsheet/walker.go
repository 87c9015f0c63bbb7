package spreadsheet

import (
	"bufio"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"unicode/utf16"
)

// Bounds of an XML document that is read. The decoder holds one token and the names of all open elements in memory.
const (
	maxToken = 1 << 20
	maxDepth = 64
)

// place is the position of a walker in an element.
type place int

const (
	begins place = iota
	ends
	within // its text
)

// element is the begin or the end of an element. Namespaces are dropped: programs write the same names in two of them.
type element struct {
	name  string
	attrs []xml.Attr
}

func (e element) attr(name string) string {
	for _, a := range e.attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func (e element) truth(name string) bool {
	value := e.attr(name)
	return value == "1" || value == "true"
}

// walker goes through an XML document, token by token.
type walker struct {
	element
	at   place
	text []byte // valid until the next token

	decoder *xml.Decoder
	meter   *meter
	depth   int
}

func newWalker(r io.Reader, left *int64) *walker {
	m := &meter{r: bufio.NewReader(r), left: left}
	return &walker{decoder: xml.NewDecoder(m), meter: m}
}

// next goes to the next begin, end or text. Errors: io.EOF; errTooLarge; those of the decoder.
func (w *walker) next() error {
	for {
		w.meter.token = maxToken
		token, err := w.decoder.Token()
		if w.meter.spent {
			return errTooLarge
		}
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.StartElement:
			if w.depth++; w.depth > maxDepth {
				return errTooLarge
			}
			w.at, w.element = begins, element{token.Name.Local, token.Attr}
			return nil
		case xml.EndElement:
			w.depth--
			w.at, w.element = ends, element{name: token.Name.Local}
			return nil
		case xml.CharData:
			w.at, w.text = within, token
			return nil
		}
	}
}

// errSpent ends a document that is larger than allowed.
var errSpent = errors.New("too large")

// meter gives octets to the decoder until a token or the whole workbook has too many.
type meter struct {
	r     *bufio.Reader
	left  *int64 // of the workbook
	token int64  // left of the token
	spent bool
}

// ReadByte is the method that the decoder uses.
func (m *meter) ReadByte() (byte, error) {
	if *m.left <= 0 || m.token <= 0 {
		m.spent = true
		return 0, errSpent
	}
	*m.left--
	m.token--
	return m.r.ReadByte()
}

// Read makes a meter an io.Reader, as the decoder's constructor needs.
func (m *meter) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := m.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = b
	return 1, nil
}

// unescaped reads _x000D_ and its like, which stand for UTF-16 code units that XML cannot hold (ECMA-376 part 1,
// §22.9.2.19), and makes every line break LF.
func unescaped(text string) string {
	if strings.Contains(text, "_x") {
		var out []byte
		for rest := text; rest != ""; {
			unit, ok := escape(rest)
			if !ok {
				out, rest = append(out, rest[0]), rest[1:]
				continue
			}
			rest = rest[escapeLength:]
			if low, ok := escape(rest); ok && utf16.IsSurrogate(unit) {
				if r := utf16.DecodeRune(unit, low); r != '\ufffd' {
					unit, rest = r, rest[escapeLength:]
				}
			}
			out = append(out, string(unit)...) // half a surrogate pair becomes U+FFFD
		}
		text = string(out)
	}
	if strings.Contains(text, "\r") {
		text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	}
	return text
}

const escapeLength = len("_x000D_")

// escape reads the escape that a text begins with.
func escape(text string) (unit rune, ok bool) {
	if len(text) < escapeLength || text[:2] != "_x" || text[6] != '_' {
		return 0, false
	}
	for _, digit := range []byte(text[2:6]) {
		at := strings.IndexByte("0123456789ABCDEFabcdef", digit)
		if at < 0 {
			return 0, false
		}
		if at > 15 {
			at -= 6
		}
		unit = unit<<4 | rune(at)
	}
	return unit, true
}
