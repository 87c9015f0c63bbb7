// Package keyring derives MACs, tokens and the keys of sealed values from LATCHKEY_SECRET_KEY, so that a stolen database
// is not enough to sign in.
package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// KeySize is the length of a secret key, and of a subkey, in bytes.
const KeySize = 32

// ErrUnknownKey means that a value was made under a secret key that is not in this ring.
var ErrUnknownKey = errors.New("keyring: made under a secret key that is not in LATCHKEY_SECRET_KEY")

// ErrForged means that a value was made under no key of this ring, or was changed since.
var ErrForged = errors.New("keyring: not made here, or changed")

// ID names a secret key without revealing it. Every derived token carries one, and so does every row that a token depends
// on.
type ID uint32

// Purpose separates the subkeys: a value made for one purpose is invalid for every other.
type Purpose string

// Ring is one or more secret keys: the first derives, all verify. It is safe for concurrent use.
type Ring struct {
	primary ID
	keys    map[ID][]byte
	subkeys sync.Map // subkeyName -> []byte
}

type subkeyName struct {
	key     ID
	purpose Purpose
}

// Parse reads LATCHKEY_SECRET_KEY: base64 keys of 32 bytes (standard or URL alphabet), separated by commas.
//
// Errors: one that says which key is wrong and why, without the key.
func Parse(list string) (*Ring, error) {
	ring := &Ring{keys: make(map[ID][]byte)}
	for i, text := range strings.Split(list, ",") {
		key, err := decodeKey(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("secret key %d: %w", i+1, err)
		}
		id, err := identify(key)
		if err != nil {
			return nil, err
		}
		if _, twice := ring.keys[id]; twice {
			return nil, fmt.Errorf("secret key %d is in the list twice", i+1)
		}
		if i == 0 {
			ring.primary = id
		}
		ring.keys[id] = key
	}
	return ring, nil
}

func decodeKey(text string) ([]byte, error) {
	text = strings.TrimRight(text, "=")
	text = strings.NewReplacer("-", "+", "_", "/").Replace(text)
	key, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(key) != KeySize {
		return nil, fmt.Errorf("want %d bytes in base64, as `openssl rand -base64 %d` prints them", KeySize, KeySize)
	}
	return key, nil
}

// Generate makes a new secret key in the form that Parse reads.
func Generate() string {
	return base64.StdEncoding.EncodeToString(Random(KeySize))
}

// Random gives n bytes from the system's generator.
func Random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand since Go 1.24: it ends the program instead)
	return b
}

// identify derives a key's ID from the key, so that every instance gives it the same ID.
func identify(key []byte) (ID, error) {
	sum, err := hkdf.Key(sha256.New, key, nil, "latchkey/key-id", 4)
	if err != nil {
		return 0, fmt.Errorf("key id: %w", err)
	}
	return ID(binary.BigEndian.Uint32(sum)), nil
}

// Primary is the key that derives new values.
func (r *Ring) Primary() ID { return r.primary }

// IDs lists every key of the ring, the primary first.
func (r *Ring) IDs() []ID {
	ids := []ID{r.primary}
	for id := range r.keys {
		if id != r.primary {
			ids = append(ids, id)
		}
	}
	return ids
}

// Has reports whether the ring holds the key named id.
func (r *Ring) Has(id ID) bool {
	_, ok := r.keys[id]
	return ok
}

// subkey is HKDF-SHA-256 (RFC 5869) of the secret key for one purpose.
func (r *Ring) subkey(id ID, purpose Purpose) ([]byte, error) {
	name := subkeyName{id, purpose}
	if sub, ok := r.subkeys.Load(name); ok {
		return sub.([]byte), nil
	}
	key, ok := r.keys[id]
	if !ok {
		return nil, ErrUnknownKey
	}
	sub, err := hkdf.Key(sha256.New, key, nil, "latchkey/v1/"+string(purpose), KeySize)
	if err != nil {
		return nil, fmt.Errorf("subkey: %w", err)
	}
	r.subkeys.Store(name, sub)
	return sub, nil
}

// MAC is HMAC-SHA-256 over the parts under the purpose's subkey of the key named id. Each part is preceded by its
// length, so that two different lists of parts never give the same input.
//
// Errors: ErrUnknownKey.
func (r *Ring) MAC(id ID, purpose Purpose, parts ...[]byte) ([]byte, error) {
	sub, err := r.subkey(id, purpose)
	if err != nil {
		return nil, err
	}
	return Digest(sub, parts...), nil
}

// Digest is HMAC-SHA-256 over the parts under a key, each part preceded by its length.
func Digest(key []byte, parts ...[]byte) []byte {
	mac := hmac.New(sha256.New, key)
	var length [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		mac.Write(length[:])
		mac.Write(part)
	}
	return mac.Sum(nil)
}

// Seal encrypts under the primary key with AES-256-GCM and a random nonce. The context (a row's id, say) must be the
// same when it is opened, so that a sealed value cannot be moved to another row.
func (r *Ring) Seal(purpose Purpose, plaintext []byte, context string) ([]byte, error) {
	aead, err := r.aead(r.primary, purpose)
	if err != nil {
		return nil, err
	}
	keyID := binary.BigEndian.AppendUint32(nil, uint32(r.primary))
	return aead.Seal(keyID, nil, plaintext, []byte(context)), nil //nolint:gosec // the cipher makes its nonce itself
}

// Open decrypts a value that Seal made under any key of the ring.
//
// Errors: ErrUnknownKey, ErrForged.
func (r *Ring) Open(purpose Purpose, sealed []byte, context string) ([]byte, error) {
	if len(sealed) < 4 {
		return nil, ErrForged
	}
	aead, err := r.aead(ID(binary.BigEndian.Uint32(sealed)), purpose)
	if err != nil {
		return nil, err
	}
	plaintext, err := aead.Open(nil, nil, sealed[4:], []byte(context))
	if err != nil {
		return nil, ErrForged
	}
	return plaintext, nil
}

// SealedUnder is the key that a sealed value was made under; zero when the value is too short to be one.
func SealedUnder(sealed []byte) ID {
	if len(sealed) < 4 {
		return 0
	}
	return ID(binary.BigEndian.Uint32(sealed))
}

// aead is AES-256-GCM with the nonce in front of the ciphertext.
func (r *Ring) aead(id ID, purpose Purpose) (cipher.AEAD, error) {
	sub, err := r.subkey(id, purpose)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(sub)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}
