package session

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

const signingPurpose keyring.Purpose = "signing-key"

// keysFresh is how long an instance works with the keys that it read; an unknown kid makes it read at once, though
// not more often than every keysRetry, whatever kids a stranger invents.
const (
	keysFresh = 5 * time.Second
	keysRetry = time.Second
)

var errUnknownKid = errors.New("session: no such signing key")

// Key is a signing key: random, its private half sealed under the secret key at rest.
type Key struct {
	ID        string // the kid: the key's thumbprint (RFC 7638)
	Public    ed25519.PublicKey
	CreatedAt time.Time
	ActiveAt  time.Time
	RetiredAt *time.Time

	private ed25519.PrivateKey
}

// Keys are the installation's signing keys, read again as other instances change them.
type Keys struct {
	db   *database.DB
	ring *keyring.Ring
	now  func() time.Time

	current    atomic.Pointer[keySet]
	refreshing atomic.Bool
	reading    sync.Mutex
}

type keySet struct {
	keys   []Key // oldest first
	readAt time.Time
}

// NewKeys reads signing keys from db when they are first wanted.
func NewKeys(db *database.DB, ring *keyring.Ring, now func() time.Time) *Keys {
	return &Keys{db: db, ring: ring, now: now}
}

// Public lists the keys that tokens in circulation may be signed with, oldest first.
func (k *Keys) Public(ctx context.Context) ([]Key, error) {
	set, err := k.set(ctx)
	if err != nil {
		return nil, err
	}
	return set.keys, nil
}

// signing is the newest active key.
func (k *Keys) signing(ctx context.Context) (Key, error) {
	set, err := k.set(ctx)
	if err != nil {
		return Key{}, err
	}
	now := k.now()
	for i := len(set.keys) - 1; i >= 0; i-- {
		if !set.keys[i].ActiveAt.After(now) {
			return set.keys[i], nil
		}
	}
	return Key{}, errors.New("session: no active signing key")
}

// verifying finds a public key by its kid, reading again once for one that is new.
func (k *Keys) verifying(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	set, err := k.set(ctx)
	if err != nil {
		return nil, err
	}
	if public := set.find(kid); public != nil {
		return public, nil
	}
	if set, err = k.read(ctx, keysRetry); err != nil {
		return nil, err
	}
	if public := set.find(kid); public != nil {
		return public, nil
	}
	return nil, errUnknownKid
}

func (s *keySet) find(kid string) ed25519.PublicKey {
	for _, key := range s.keys {
		if key.ID == kid {
			return key.Public
		}
	}
	return nil
}

// set is what was read last; once that is no longer fresh it is read again in the background.
func (k *Keys) set(ctx context.Context) (*keySet, error) {
	set := k.current.Load()
	if set == nil {
		return k.read(ctx, 0)
	}
	if time.Since(set.readAt) > keysFresh && k.refreshing.CompareAndSwap(false, true) {
		go func() {
			defer k.refreshing.Store(false)
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysFresh)
			defer cancel()
			// The keys at hand stay good when this fails.
			_, _ = k.read(ctx, 0)
		}()
	}
	return set, nil
}

// read reads the keys unless somebody else just did, less than age ago; where there are none it makes one.
func (k *Keys) read(ctx context.Context, age time.Duration) (*keySet, error) {
	k.reading.Lock()
	defer k.reading.Unlock()
	if set := k.current.Load(); set != nil && time.Since(set.readAt) < age {
		return set, nil
	}
	readAt := time.Now()
	keys, err := k.all(ctx)
	if err == nil && len(keys) == 0 {
		if err = k.makeFirst(ctx); err == nil {
			keys, err = k.all(ctx)
		}
	}
	if err != nil {
		return nil, err
	}
	set := &keySet{keys: keys, readAt: readAt}
	k.current.Store(set)
	return set, nil
}

// generate makes a key and seals its private half.
func (k *Keys) generate(activeAt time.Time) (Key, []byte, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return Key{}, nil, fmt.Errorf("signing key: %w", err)
	}
	id := thumbprint(public)
	sealed, err := k.ring.Seal(signingPurpose, private.Seed(), id)
	if err != nil {
		return Key{}, nil, err
	}
	return Key{ID: id, Public: public, CreatedAt: k.now(), ActiveAt: activeAt, private: private}, sealed, nil
}

// thumbprint is the JWK thumbprint of an Ed25519 key (RFC 7638, RFC 8037 §2).
func thumbprint(public ed25519.PublicKey) string {
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + Base64URL(public) + `"}`))
	return Base64URL(sum[:])
}

// Base64URL is the unpadded base64url of RFC 7515 §2.
func Base64URL(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
