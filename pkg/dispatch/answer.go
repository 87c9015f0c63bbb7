package dispatch

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxAnswer bounds the part of a relay's answer that is kept, in code points.
const maxAnswer = 500

// hidden replaces the parts of an answer that must not be kept.
const hidden = "…"

// addressPattern finds anything that may be an address.
var addressPattern = regexp.MustCompile(`[^\s<>()"',;:]+@[^\s<>()"',;]+`)

// clean removes addresses and the mail's secrets from the relay's answer, in case the relay repeats them.
func clean(answer string, o *outgoing) string {
	for _, secret := range []string{o.link, o.token, o.code} {
		if secret != "" {
			answer = strings.ReplaceAll(answer, secret, hidden)
		}
	}
	return cut(addressPattern.ReplaceAllString(oneLine(strings.ToValidUTF8(answer, "")), hidden))
}

func cut(text string) string {
	if utf8.RuneCountInString(text) <= maxAnswer {
		return text
	}
	return string([]rune(text)[:maxAnswer-1]) + hidden
}
