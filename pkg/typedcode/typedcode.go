// Package typedcode writes codes for people to type, and reads them back as forgivingly as people type.
package typedcode

import (
	"encoding/base32"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Alphabet is that of https://www.crockford.com/base32.html: no letter in it looks like a digit.
const Alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

var crockford = base32.NewEncoding(Alphabet).WithPadding(base32.NoPadding)

// Encode writes bits as characters, five bits each.
func Encode(bits []byte) string { return crockford.EncodeToString(bits) }

// Decode is the opposite of Encode.
func Decode(code string) ([]byte, error) { return crockford.DecodeString(code) }

// Group puts a dash after every size characters.
func Group(code string, size int) string {
	groups := make([]string, 0, (len(code)+size-1)/size)
	for ; len(code) > size; code = code[size:] {
		groups = append(groups, code[:size])
	}
	return strings.Join(append(groups, code), "-")
}

// ignored are the characters that a code may be grouped with, and those that are invisible and come along when a code
// is copied from a mail.
var ignored = []*unicode.RangeTable{
	unicode.White_Space, unicode.Dash, unicode.Hyphen, unicode.Cf,
	unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector,
}

// longVowel is on Japanese keyboards where others have the dash.
const longVowel = 'ー'

// Read returns the characters of a typed code, as Encode would write them. It ignores case, spaces, dashes of every
// kind and invisible characters, reads O as 0, I and L as 1, and full-width characters as their plain forms. ok is
// false for no characters, for more than longest, and for any other character.
func Read(typed string, longest int) (code string, ok bool) {
	read := make([]byte, 0, longest)
	for _, r := range strings.ToUpper(norm.NFKC.String(typed)) {
		switch {
		case unicode.In(r, ignored...), r == longVowel:
			continue
		case r == 'O':
			r = '0'
		case r == 'I', r == 'L':
			r = '1'
		}
		if len(read) == longest || !strings.ContainsRune(Alphabet, r) {
			return "", false
		}
		read = append(read, byte(r))
	}
	return string(read), len(read) > 0
}
