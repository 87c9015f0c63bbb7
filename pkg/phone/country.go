package phone

import "strings"

// twoDigitCodes are the country codes of two digits (ITU-T E.164, list of assigned country codes). Those of one
// digit are 1 and 7, all others have three; no code begins another.
const twoDigitCodes = "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 " +
	"60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98"

// countryDigits is the length of the country code that the digits of an E.164 number begin with.
func countryDigits(digits string) int {
	switch {
	case digits[0] == '1' || digits[0] == '7':
		return 1
	case strings.Contains(twoDigitCodes, digits[:2]):
		return 2
	default:
		return 3
	}
}
