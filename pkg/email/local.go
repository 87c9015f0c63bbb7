package email

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// maxLocal bounds the local part, in octets (RFC 5321 §4.5.3.1.1).
const maxLocal = 64

// specials are the printable ASCII characters that a dot-atom may contain, other than letters, digits and the dot
// (RFC 5322 §3.2.3).
const specials = "!#$%&'*+-/=?^_`{|}~"

// canonicalLocal folds the case of a local part, unless it is not a valid one.
func canonicalLocal(raw string) (string, bool) {
	local, stable := foldCase(raw)
	return local, stable && isLocal(local)
}

// foldCase folds case until folding changes nothing more, since normalising a folded string may compose a letter
// that folds again. It gives up on a string that does not settle, because such a string has no canonical form.
func foldCase(s string) (folded string, stable bool) {
	const rounds = 4
	fold := cases.Fold()
	for range rounds {
		next := norm.NFKC.String(fold.String(s))
		if next == s {
			return s, true
		}
		s = next
	}
	return "", false
}

// isLocal reports whether s is a dot-atom of visible characters that fits in maxLocal.
func isLocal(s string) bool {
	if len(s) > maxLocal {
		return false
	}
	atStart := true
	for _, r := range s {
		switch {
		case r == '.':
			if atStart {
				return false
			}
			atStart = true
			continue
		case r < utf8.RuneSelf:
			if !isAtomASCII(r) {
				return false
			}
		case isInvisible(r):
			return false
		case unicode.IsMark(r):
			// A combining mark without a base character would change the look of its neighbour.
			if atStart {
				return false
			}
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			return false
		}
		atStart = false
	}
	return !atStart
}

func isAtomASCII(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(specials, r)
}

// isInvisible reports whether r leaves no trace on the page: white space, control and format characters, private
// use, and the letters and marks that Unicode calls ignorable (Hangul fillers, variation selectors and the like).
// The Braille pattern without dots is a symbol to Unicode and a blank to the eye.
func isInvisible(r rune) bool {
	const brailleBlank = '\u2800'
	return r == brailleBlank || unicode.In(r, unicode.C, unicode.Z,
		unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}
