package email

import (
	"strings"
	"unicode/utf8"
)

// veil replaces the hidden part. Its length is fixed, so that it does not reveal the length of the local part.
const veil = "•••"

// atSigns are the characters that NFKC turns into "@", so a typed address may contain them.
const atSigns = "@＠﹫"

// Mask hides all of an address but the first character of its local part and its domain: "a•••@example.com".
// It takes the typed or the canonical form of a parsed address. A text without "@" is hidden altogether.
func Mask(address string) string {
	at := strings.LastIndexAny(address, atSigns)
	if at < 0 {
		return veil
	}
	_, signSize := utf8.DecodeRuneInString(address[at:])
	_, firstSize := utf8.DecodeRuneInString(address[:at])
	return address[:firstSize] + veil + "@" + address[at+signSize:]
}
