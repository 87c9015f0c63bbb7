package email

import (
	"strings"

	"golang.org/x/net/idna"
)

// maxLabel bounds a label of a domain name, in octets (RFC 1035 §2.3.4). MaxLength bounds the whole name.
const maxLabel = 63

// acePrefix begins a label that encodes one in another script (RFC 5890 §2.3.2.1).
const acePrefix = "xn--"

// lookup maps domains as UTS #46 does for lookup, non-transitionally: "ß" is a letter of its own, not "ss". Lengths
// and empty labels are isHostname's to check: the library would let a final dot pass.
var lookup = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.BidiRule())

// canonicalDomain returns the ASCII form of a valid domain. Its case is not folded first,
// because folding makes "ss" of "ß", and straße.de is not strasse.de.
func canonicalDomain(raw string) (string, bool) {
	// IDNA silently drops most of these. Characters that a person cannot see must not be part of an address.
	for _, r := range raw {
		if isInvisible(r) && !isJoiner(r) {
			return "", false
		}
	}
	// Older tables of UTS #46 (before 15.1) make "ss" of the capital letter and leave the small one alone.
	domain, err := lookup.ToASCII(strings.ReplaceAll(raw, "ẞ", "ß"))
	if err != nil || !isHostname(domain) {
		return "", false
	}
	if strings.Contains(domain, acePrefix) {
		// The mapping of a few right-to-left symbols passes the Bidi rule that its result then breaks.
		if again, err := lookup.ToASCII(domain); err != nil || again != domain {
			return "", false
		}
	}
	return domain, true
}

// isJoiner reports the two invisible characters that some scripts need inside a word; IDNA checks that they stand
// where they are needed (RFC 5892, appendices A.1 and A.2).
func isJoiner(r rune) bool { return r == '\u200c' || r == '\u200d' }

// isHostname reports whether s is a lower-case ASCII domain name with a dot in it and none at its end (RFC 1123
// §2.1). The last label begins with a letter, as every top-level domain does, so a network address is none.
func isHostname(s string) bool {
	dot := strings.LastIndexByte(s, '.')
	if dot < 0 || dot == len(s)-1 || !isLowerLetter(s[dot+1]) {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if !isLabel(label) {
			return false
		}
	}
	return true
}

func isLabel(s string) bool {
	if s == "" || len(s) > maxLabel || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isLowerLetter(c) && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

func isLowerLetter(c byte) bool { return 'a' <= c && c <= 'z' }
