package dispatch

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// oneLine makes one line of a text that a person chose, without control and invisible characters.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return unicode.In(r, unicode.C, unicode.Z)
	}), " ")
}

// plainName reports whether a name may stand in text as it is: letters, marks, spaces, apostrophes and hyphens. Of
// anything else a mail program might make a link that the reader takes for ours.
func plainName(name string) bool {
	return name != "" && !strings.ContainsFunc(norm.NFKC.String(name), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsMark(r) && !strings.ContainsRune(" '’-‐", r)
	})
}

// addressSigns are what a mail program knows addresses by, ideographic full stops among them (RFC 3490 §3.1).
const addressSigns = "./:@．。｡／：＠"

// unlinked keeps a mail program from making a link of a name: a zero width space follows each sign of an address.
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
