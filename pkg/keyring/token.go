package keyring

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"strings"
)

// A token is: version, key id, payload, MAC, in unpadded base64url. It has one spelling: unused bits must be zero.
const (
	tokenVersion = 1
	tokenHead    = 1 + 4
	tokenMAC     = 16 // 128 bits
)

var tokenEncoding = base64.RawURLEncoding.Strict()

// Token derives the token of a payload under the key named id. The context (a portal's id, say) is not in the token
// but must be the same when it is read.
//
// Errors: ErrUnknownKey.
func (r *Ring) Token(id ID, purpose Purpose, context, payload []byte) (string, error) {
	body := make([]byte, 0, tokenHead+len(payload)+tokenMAC)
	body = append(body, tokenVersion)
	body = binary.BigEndian.AppendUint32(body, uint32(id))
	body = append(body, payload...)
	mac, err := r.MAC(id, purpose, context, body)
	if err != nil {
		return "", err
	}
	return tokenEncoding.EncodeToString(append(body, mac[:tokenMAC]...)), nil
}

// ReadToken returns the payload of a token whose MAC is good, and the key it was derived under. It needs no database, so
// a forged token costs no query.
//
// Errors: ErrForged, for every kind of bad token.
func (r *Ring) ReadToken(purpose Purpose, context []byte, text string, payloadSize int) ([]byte, ID, error) {
	size := tokenHead + payloadSize + tokenMAC
	// The decoder skips line breaks, which would give a token more than one spelling.
	if len(text) != tokenEncoding.EncodedLen(size) || strings.ContainsAny(text, "\r\n") {
		return nil, 0, ErrForged
	}
	raw, err := tokenEncoding.DecodeString(text)
	if err != nil || len(raw) != size || raw[0] != tokenVersion {
		return nil, 0, ErrForged
	}
	id := ID(binary.BigEndian.Uint32(raw[1:]))
	body, given := raw[:size-tokenMAC], raw[size-tokenMAC:]
	mac, err := r.MAC(id, purpose, context, body)
	if err != nil || !hmac.Equal(mac[:tokenMAC], given) {
		return nil, 0, ErrForged
	}
	return body[tokenHead:], id, nil
}
