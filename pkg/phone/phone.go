// Package phone reads phone numbers in the international form of ITU-T E.164.
package phone

import (
	"errors"
	"strings"
	"unicode"
)

const (
	// minDigits is shorter than any number that can be dialled from abroad; maxDigits is E.164's (§6.2.1).
	minDigits = 7
	maxDigits = 15
	// maxTyped bounds the input, in octets: the digits, with room for a separator around each.
	maxTyped = 96
)

// ErrInvalid means that the input is not one number in international form. It does not repeat the input.
var ErrInvalid = errors.New("phone: not an international number")

// Parse returns a number as E.164: "+", the country code and 7 to 15 digits in all. Spaces, dashes, dots and
// parentheses are skipped. The "+" is required: without it, or with "00", the country would be
// a guess. A trunk zero in parentheses, as in "+49 (0)30", is refused too, because whether it is dialled depends on
// the country. Whether the number is in use is not known.
//
// Errors: ErrInvalid.
func Parse(typed string) (e164 string, err error) {
	if len(typed) > maxTyped {
		return "", ErrInvalid
	}
	number := strings.Map(dropSeparator, typed)
	if !isE164(number) || strings.Contains(typed, "(0)") {
		return "", ErrInvalid
	}
	return number, nil
}

// dropSeparator maps separators, which people put between digits to read them more easily, to -1: strings.Map drops it.
func dropSeparator(r rune) rune {
	const minusSign = '\u2212'
	if unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) || r == minusSign || strings.ContainsRune(".()", r) {
		return -1
	}
	return r
}

func isE164(s string) bool {
	digits, plus := strings.CutPrefix(s, "+")
	if !plus || len(digits) < minDigits || len(digits) > maxDigits || digits[0] == '0' {
		return false
	}
	return strings.Trim(digits, "0123456789") == ""
}
