// Package apikey makes and checks the keys with which programs administer. A key is shown once and kept as a hash.
package apikey

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

// Scope is a permission of a key.
type Scope string

// The scopes.
const (
	Operator          Scope = "operator" // every portal, all but hashes
	Admin             Scope = "admin"    // one portal
	InvitationsExport Scope = "invitations:export"
	Hashes            Scope = "hashes"
	Metrics           Scope = "metrics" // of the whole installation
)

// Scopes lists every scope.
func Scopes() []Scope { return []Scope{Operator, Admin, InvitationsExport, Hashes, Metrics} }

// Prefix begins every key, so that people and scanners recognize a key that leaked.
const Prefix = "lk_"

// Key is an API key without its text. A key for every portal has the zero id as its portal.
type Key struct {
	ID         ids.APIKey
	PortalID   ids.Portal
	Name       string
	Scopes     []Scope
	CreatedBy  string      // the actor, as audit events name it; "" for a key of an older version
	MakerID    ids.Account // the person who made it, or made the key that made it; zero for none
	CreatedAt  time.Time
	ExpiresAt  *time.Time
	LastUsedAt *time.Time

	hash []byte // SHA-256 of the text
}

// Has reports whether the key has a scope.
func (k *Key) Has(scope Scope) bool { return slices.Contains(k.Scopes, scope) }

// A key's text is lk_ and, in base64url, the portal's id, the key's id and 256 random bits.
const (
	secretSize = 32
	keySize    = 16 + 16 + secretSize
)

var encoding = base64.RawURLEncoding.Strict()

func newText(portalID ids.Portal, id ids.APIKey) string {
	raw := append(portalID.UUID[:], id.UUID[:]...)
	return Prefix + encoding.EncodeToString(append(raw, keyring.Random(secretSize)...))
}

// readText returns the ids in a key's text. A key has one spelling only.
func readText(text string) (portalID ids.Portal, id ids.APIKey, ok bool) {
	body, ok := strings.CutPrefix(text, Prefix)
	if !ok || len(body) != encoding.EncodedLen(keySize) || strings.ContainsAny(body, "\r\n") {
		return ids.Portal{}, ids.APIKey{}, false
	}
	raw, err := encoding.DecodeString(body)
	if err != nil || len(raw) != keySize {
		return ids.Portal{}, ids.APIKey{}, false
	}
	return ids.Portal{UUID: uuid.UUID(raw[:16])}, ids.APIKey{UUID: uuid.UUID(raw[16:32])}, true
}

func hashOf(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}
