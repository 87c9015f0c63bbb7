package delivery

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxAnswer bounds what is kept of a provider's answer, in code points.
const maxAnswer = 500

// hidden stands in an answer for what must not be kept.
const hidden = "…"

// addressPattern finds what may be an address.
var addressPattern = regexp.MustCompile(`[^\s<>()"',;:]+@[^\s<>()"',;]+`)

// clean keeps of a provider's answer what tells why: neither the address nor a secret, should the provider repeat them.
func clean(answer string, m *Mail) string {
	for _, secret := range []string{m.Link, m.Token, m.Code} {
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
