package invitation

import (
	"crypto/hmac"
	"encoding/base32"
	"encoding/binary"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

// A code is 20 characters of Crockford's base32: 25 bits of the invitation's number, 10 bits of its counter, and 65
// bits of a MAC over both and the portal. It is derived whenever it is needed, and never stored.
const (
	alphabet    = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	codeLength  = 20
	groupLength = 5
	bits        = 5 // per character

	counterBits  = 10
	serialLength = (25 + counterBits) / bits
	maxNumber    = 1<<25 - 1
	maxCounter   = 1<<counterBits - 1
)

// crockford is https://www.crockford.com/base32.html without its check symbol.
var crockford = base32.NewEncoding(alphabet).WithPadding(base32.NoPadding)

const codePurpose keyring.Purpose = "invitation-code"

// codes derives codes, and checks them.
type codes struct{ ring *keyring.Ring }

// derive gives the code of an invitation, in groups of five characters. Errors: keyring.ErrUnknownKey.
func (c codes) derive(portalID ids.Portal, of serial) (string, error) {
	plain, err := c.plain(portalID, of)
	if err != nil {
		return "", err
	}
	groups := make([]string, 0, codeLength/groupLength)
	for at := 0; at < codeLength; at += groupLength {
		groups = append(groups, plain[at:at+groupLength])
	}
	return strings.Join(groups, "-"), nil
}

func (c codes) plain(portalID ids.Portal, of serial) (string, error) {
	head := uint64(of.number)<<counterBits | uint64(of.counter)
	mac, err := c.ring.MAC(of.key, codePurpose, portalID.UUID[:], binary.BigEndian.AppendUint64(nil, head))
	if err != nil {
		return "", err
	}
	// The 35 bits of the head fill seven characters when they begin at the first bit of a byte.
	aligned := binary.BigEndian.AppendUint64(nil, head<<(64-serialLength*bits))
	code := crockford.EncodeToString(aligned)[:serialLength] + crockford.EncodeToString(mac)
	return code[:codeLength], nil
}

// read gives the serial that a code was derived from. It forgives spelling, and needs no database.
//
// Errors: token_invalid.
func (c codes) read(portalID ids.Portal, typed string) (serial, error) {
	plain, ok := plainCode(typed)
	if !ok {
		return serial{}, fault.New(fault.TokenInvalid)
	}
	// Eight characters are five bytes. The last character belongs to the MAC.
	aligned, err := crockford.DecodeString(plain[:serialLength+1])
	if err != nil {
		return serial{}, fault.New(fault.TokenInvalid)
	}
	head := binary.BigEndian.Uint64(append(aligned, 0, 0, 0)) >> (64 - serialLength*bits)
	of := serial{number: int64(head >> counterBits), counter: int64(head & maxCounter)}
	for _, of.key = range c.ring.IDs() {
		own, err := c.plain(portalID, of)
		if err != nil {
			return serial{}, err
		}
		if hmac.Equal([]byte(own), []byte(plain)) {
			return of, nil
		}
	}
	return serial{}, fault.New(fault.TokenInvalid)
}

// plainCode removes spaces, dashes and invisible characters from a code, and reads letters as the digits that they
// look like. ok is false for text that cannot be a code.
func plainCode(typed string) (plain string, ok bool) {
	code := make([]byte, 0, codeLength)
	for _, r := range strings.ToUpper(norm.NFKC.String(typed)) {
		switch {
		case unicode.IsSpace(r), unicode.In(r, unicode.Dash, unicode.Cf): // mails are copied with invisible Cf characters
			continue
		case r == 'O':
			r = '0'
		case r == 'I', r == 'L':
			r = '1'
		}
		if len(code) == codeLength || !strings.ContainsRune(alphabet, r) {
			return "", false
		}
		code = append(code, byte(r))
	}
	return string(code), len(code) == codeLength
}
