// Package email reads email addresses: the canonical form that decides whether two spellings are one address, the
// mask that may be shown, and the address a person probably meant.
package email

import (
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// MaxLength bounds an address, in code points of the typed form and in octets of the canonical form: the longest
// path that SMTP carries without its angle brackets (RFC 5321 §4.5.3.1.3).
const MaxLength = 254

// Neither error repeats the input, so both may be logged.
var (
	// ErrInvalid means that the input is not exactly one address.
	ErrInvalid = errors.New("email: not one address")
	// ErrTooLong means that the input is longer than MaxLength.
	ErrTooLong = errors.New("email: address is too long")
)

// Address is one email address. Two addresses are the same when their canonical forms are equal.
type Address struct {
	typed, canonical string
}

// Typed is the address as the person wrote it, without surrounding white space. It is the form to show.
func (a Address) Typed() string { return a.typed }

// Canonical is the form to compare, and to use as a key. Parsing it returns the same form.
func (a Address) Canonical() string { return a.canonical }

// String is the masked address, so that a log line does not give a person away by accident.
func (a Address) String() string { return Mask(a.typed) }

// Parse reads one address: a dot-atom, "@" and a domain name of two labels or more (RFC 5321 §4.1.2, with the
// letters, marks and digits of every script in the local part, RFC 6531 §3.3). White space around it is ignored.
// Display names, comments, quoted local parts, address literals and characters that cannot be seen are refused.
//
// The canonical form is NFKC-normalised and case-folded, the domain in its ASCII form by UTS #46. Characters that
// only look alike, such as Latin and Cyrillic a, stay different.
//
// Errors: ErrInvalid, ErrTooLong.
func Parse(typed string) (Address, error) {
	typed = strings.TrimSpace(typed)
	// The count of octets comes first, so that a huge input costs nothing more.
	if len(typed) > MaxLength*utf8.UTFMax || len(typed) > MaxLength && utf8.RuneCountInString(typed) > MaxLength {
		return Address{}, ErrTooLong
	}
	if isASCII(typed) {
		if lower := strings.ToLower(typed); isPlain(lower) {
			return Address{typed: typed, canonical: lower}, nil
		}
	}
	canonical, err := canonicalize(typed)
	if err != nil {
		return Address{}, err
	}
	return Address{typed: typed, canonical: canonical}, nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// isPlain reports whether s, in lower-case ASCII, is its own canonical form, which canonicalize would find out more
// slowly. Labels with "--" are left to IDNA, which reserves some of them.
func isPlain(s string) bool {
	local, domain, found := strings.Cut(s, "@")
	return found && isLocal(local) && isHostname(domain) && !strings.Contains(domain, "--")
}

// canonicalize returns the canonical form of any trimmed spelling.
func canonicalize(typed string) (string, error) {
	if !utf8.ValidString(typed) {
		return "", ErrInvalid
	}
	// A second "@" is left in the domain, where no rule allows it.
	rawLocal, rawDomain, found := strings.Cut(norm.NFKC.String(typed), "@")
	if !found {
		return "", ErrInvalid
	}
	local, ok := canonicalLocal(rawLocal)
	if !ok {
		return "", ErrInvalid
	}
	domain, ok := canonicalDomain(rawDomain)
	if !ok {
		return "", ErrInvalid
	}
	canonical := local + "@" + domain
	if len(canonical) > MaxLength {
		return "", ErrTooLong
	}
	return canonical, nil
}
