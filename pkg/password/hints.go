package password

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Hints about what may have gone wrong while typing a password.
const (
	HintSurroundingWhitespace = "surrounding_whitespace"
	HintAllCaps               = "all_caps"
	HintUnusualScript         = "unusual_script"
	HintBelowMinimumLength    = "below_minimum_length"
)

// minCapitals is how many capitals without one small letter suggest caps lock; fewer come about by chance.
const minCapitals = 4

// Hints depends on the typed password alone and on nothing stored, so it tells a stranger nothing. A portal's minLength
// is read as in Facts. The answer is in the order of the constants, and is empty rather than nil.
func Hints(password string, minLength int) []string {
	hints := []string{}
	if strings.TrimSpace(password) != password {
		hints = append(hints, HintSurroundingWhitespace)
	}
	if allCaps(password) {
		hints = append(hints, HintAllCaps)
	}
	if strings.ContainsFunc(password, isUnusualLetter) {
		hints = append(hints, HintUnusualScript)
	}
	if utf8.RuneCountInString(norm.NFC.String(password)) < effectiveMinimum(minLength) {
		hints = append(hints, HintBelowMinimumLength)
	}
	return hints
}

// allCaps leaves scripts out that know no capitals, and digits and signs.
func allCaps(password string) bool {
	capitals := 0
	for _, r := range password {
		switch {
		case unicode.IsLower(r):
			return false
		case unicode.IsUpper(r):
			capitals++
		}
	}
	return capitals >= minCapitals
}

// isUnusualLetter finds letters of another keyboard layout: of any script but Latin, and the full-width Latin ones of
// an East Asian input method. One is enough, for a layout may be switched midway. Letters that belong to no script,
// such as the micro sign on many European keyboards, say nothing.
func isUnusualLetter(r rune) bool {
	const fullWidthForms = '\uFF00'
	if !unicode.IsLetter(r) || unicode.Is(unicode.Common, r) {
		return false
	}
	return !unicode.Is(unicode.Latin, r) || r >= fullWidthForms
}
