package dispatch

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// oneLine makes a text that a person chose into one line, without control and invisible characters.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return unicode.In(r, unicode.C, unicode.Z)
	}), " ")
}

// plainName reports whether a name is safe in plain text: letters, marks, spaces, apostrophes and hyphens. With other
// characters a mail program might make the name a link that looks like ours.
func plainName(name string) bool {
	return name != "" && !strings.ContainsFunc(norm.NFKC.String(name), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsMark(r) && !strings.ContainsRune(" '’-‐", r)
	})
}

// addressSigns are the characters by which mail programs find addresses, with the ideographic full stops of
// RFC 3490 §3.1.
const addressSigns = "./:@．。｡／：＠"

// unlinked puts a zero width space after each of addressSigns, so that mail programs do not make a name a link.
func unlinked(name string) string {
	var out strings.Builder
	for _, r := range name {
		out.WriteRune(r)
		if strings.ContainsRune(addressSigns, r) {
			out.WriteRune('\u200b')
		}
	}
	return out.String()
}
