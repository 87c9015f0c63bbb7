package onetime

import (
	"crypto/hmac"
	"encoding/binary"
	"fmt"

	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/typedcode"
)

// seed holds the facts that a secret is derived from. Token and code are derived under subkeys of their own.
type seed struct {
	portalID    ids.Portal
	purpose     Purpose
	emailDigest digest.Digest
	generation  int64
	key         keyring.ID
}

const payloadSize = digest.Size + 8 // the digest and the generation

func (s seed) token(ring *keyring.Ring) (string, error) {
	payload := append(make([]byte, 0, payloadSize), s.emailDigest[:]...)
	payload = binary.BigEndian.AppendUint64(payload, uint64(s.generation))
	return ring.Token(s.key, tokensFor(s.purpose), s.portalID.UUID[:], payload)
}

// readToken returns the seed of a genuine token, without the database. Errors: token_invalid.
func readToken(ring *keyring.Ring, portalID ids.Portal, purpose Purpose, token string) (seed, error) {
	payload, key, err := ring.ReadToken(tokensFor(purpose), portalID.UUID[:], token, payloadSize)
	if err != nil {
		return seed{}, fault.Wrap(fault.TokenInvalid, err)
	}
	generation := int64(binary.BigEndian.Uint64(payload[digest.Size:]))
	return seed{portalID, purpose, digest.Digest(payload[:digest.Size]), generation, key}, nil
}

func tokensFor(p Purpose) keyring.Purpose { return keyring.Purpose("one-time-token/" + p) }

// shortCode is a MAC truncated to 6 digits (RFC 4226 §5.3). Errors: keyring.ErrUnknownKey.
func (s seed) shortCode(ring *keyring.Ring) (string, error) {
	mac, err := s.mac(ring, "one-time-code/")
	if err != nil {
		return "", err
	}
	offset := mac[len(mac)-1] & 0xf
	return fmt.Sprintf("%0*d", shortLength, binary.BigEndian.Uint32(mac[offset:])&0x7fffffff%1_000_000), nil
}

// longCode is the first 40 bits of a MAC. Errors: keyring.ErrUnknownKey.
func (s seed) longCode(ring *keyring.Ring) (string, error) {
	mac, err := s.mac(ring, "one-time-long-code/")
	if err != nil {
		return "", err
	}
	return typedcode.Encode(mac)[:longLength], nil
}

func (s seed) mac(ring *keyring.Ring, face keyring.Purpose) ([]byte, error) {
	return ring.MAC(s.key, face+keyring.Purpose(s.purpose), s.portalID.UUID[:], s.emailDigest[:],
		binary.BigEndian.AppendUint64(nil, uint64(s.generation)))
}

// code is the seed's code of one form, without groups. Errors: keyring.ErrUnknownKey.
func (s seed) code(ring *keyring.Ring, long bool) (string, error) {
	if long {
		return s.longCode(ring)
	}
	return s.shortCode(ring)
}

// hasCode reports whether code is the seed's. A removed key derives no code.
func (s seed) hasCode(ring *keyring.Ring, code typedCode) bool {
	own, err := s.code(ring, code.long)
	return err == nil && hmac.Equal([]byte(own), []byte(code.plain))
}
