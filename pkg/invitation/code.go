package invitation

import (
	"crypto/hmac"
	"encoding/binary"

	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/typedcode"
)

// A code is 20 characters of Crockford's base32: 25 bits of the invitation's number, 10 bits of its counter, and 65
// bits of a MAC over both and the portal. It is derived whenever it is needed, and never stored.
const (
	codeLength  = 20
	groupLength = 5
	bits        = 5 // per character

	counterBits  = 10
	serialLength = (25 + counterBits) / bits
	maxNumber    = 1<<25 - 1
	maxCounter   = 1<<counterBits - 1
)

const codePurpose keyring.Purpose = "invitation-code"

// codes derives codes, and checks them.
type codes struct{ ring *keyring.Ring }

// derive gives the code of an invitation, in groups of five characters. Errors: keyring.ErrUnknownKey.
func (c codes) derive(portalID ids.Portal, of serial) (string, error) {
	plain, err := c.plain(portalID, of)
	if err != nil {
		return "", err
	}
	return typedcode.Group(plain, groupLength), nil
}

func (c codes) plain(portalID ids.Portal, of serial) (string, error) {
	head := uint64(of.number)<<counterBits | uint64(of.counter)
	mac, err := c.ring.MAC(of.key, codePurpose, portalID.UUID[:], binary.BigEndian.AppendUint64(nil, head))
	if err != nil {
		return "", err
	}
	// The 35 bits of the head fill seven characters when they begin at the first bit of a byte.
	aligned := binary.BigEndian.AppendUint64(nil, head<<(64-serialLength*bits))
	return typedcode.Encode(aligned)[:serialLength] + typedcode.Encode(mac)[:codeLength-serialLength], nil
}

// read gives the serial that a code was derived from. It forgives spelling, and needs no database.
//
// Errors: token_invalid.
func (c codes) read(portalID ids.Portal, typed string) (serial, error) {
	plain, ok := typedcode.Read(typed, codeLength)
	if !ok || len(plain) != codeLength {
		return serial{}, fault.New(fault.TokenInvalid)
	}
	aligned, err := typedcode.Decode(plain[:serialLength+1]) // eight characters are five bytes, the last belongs to the MAC
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
