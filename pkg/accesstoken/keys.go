package accesstoken

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

	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/clock"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

const signingPurpose keyring.Purpose = "signing-key"

// keysFresh is how long an instance uses the keys that it read. An unknown kid makes it read at once, but at most once
// every keysRetry, so that invented kids cost the database little.
const (
	keysFresh = 5 * time.Second
	keysRetry = time.Second
)

// A key begins to sign activation after it was made: by then every instance has read it, and so have verifiers that cache
// the published keys for as long as Cache-Control says. It stays published for publication after the next key took over,
// which is longer than any access token lives. At maxAge it is replaced automatically.
const (
	activation  = 20 * time.Second
	publication = 25 * time.Hour
	maxAge      = 90 * 24 * time.Hour
)

var errUnknownKid = errors.New("accesstoken: no such signing key")

// Key is a signing key: random, its private half sealed under the secret key at rest.
type Key struct {
	ID        string // the kid: the key's thumbprint (RFC 7638)
	Public    ed25519.PublicKey
	CreatedAt time.Time
	ActiveAt  time.Time

	private ed25519.PrivateKey
	sealed  []byte
}

// Keys are the signing keys that every portal shares. They are read again regularly, because other instances change them.
type Keys struct {
	db    *database.DB
	ring  *keyring.Ring
	audit *audit.Recorder
	clock clock.Clock

	current    atomic.Pointer[keySet]
	refreshing atomic.Bool
	reading    sync.Mutex
}

// keySet is the result of one read, in the order in which the keys become active.
type keySet struct {
	keys   []Key
	readAt time.Time // by the real clock, not by the injected one
}

// NewKeys reads signing keys from db.
func NewKeys(db *database.DB, ring *keyring.Ring, recorder *audit.Recorder, now clock.Clock) *Keys {
	return &Keys{db: db, ring: ring, audit: recorder, clock: now}
}

// Prepare makes the first signing key if there is none, and seals every key under the primary secret key.
func (k *Keys) Prepare(ctx context.Context) error {
	if _, _, err := k.add(ctx, k.clock.Now(), func(existing []Key) bool { return len(existing) == 0 }); err != nil {
		return err
	}
	set, err := k.read(ctx, 0)
	if err != nil {
		return err
	}
	return k.reseal(ctx, set.keys)
}

// Public lists the keys that sign valid tokens, now or soon.
func (k *Keys) Public(ctx context.Context) ([]Key, error) {
	set, err := k.set(ctx)
	if err != nil {
		return nil, err
	}
	if time.Since(set.readAt) >= activation/2 { // after a pause of this instance, others may sign with a key that it has not read
		if fresh, err := k.read(ctx, keysFresh); err == nil {
			set = fresh
		}
	}
	return set.published(k.clock.Now()), nil
}

// The states of a key: it waits for its time, it signs, or it only verifies the tokens that it signed.
const (
	KeyPending = "pending"
	KeyActive  = "active"
	KeyRetired = "retired"
)

// KeyState is a key with its state.
type KeyState struct {
	Key
	State string
}

// States lists the keys of Public with their states.
func (k *Keys) States(ctx context.Context) ([]KeyState, error) {
	keys, err := k.Public(ctx)
	if err != nil {
		return nil, err
	}
	states, now := make([]KeyState, len(keys)), k.clock.Now()
	state := KeyPending
	for i := len(keys) - 1; i >= 0; i-- {
		if state == KeyPending && !keys[i].ActiveAt.After(now) {
			state = KeyActive
		} else if state == KeyActive {
			state = KeyRetired
		}
		states[i] = KeyState{keys[i], state}
	}
	return states, nil
}

// Rotate makes a key that takes over on every instance at once, activation from now.
func (k *Keys) Rotate(ctx context.Context) (Key, error) {
	return k.rotate(ctx, func([]Key) bool { return true })
}

func (k *Keys) rotate(ctx context.Context, wanted func([]Key) bool) (Key, error) {
	key, added, err := k.add(ctx, k.clock.Now().Add(activation), wanted)
	if err != nil || !added {
		return key, err
	}
	if _, err := k.read(ctx, 0); err != nil {
		return key, err
	}
	return key, k.audit.Record(ctx, audit.OfTarget(audit.Installation, audit.KeyRotated, audit.SigningKeyTarget(key.ID)))
}

// signing is the newest active key.
func (k *Keys) signing(ctx context.Context) (Key, error) {
	set, err := k.set(ctx)
	if err != nil {
		return Key{}, err
	}
	now := k.clock.Now()
	for i := len(set.keys) - 1; i >= 0; i-- {
		if !set.keys[i].ActiveAt.After(now) {
			return set.keys[i], nil
		}
	}
	return Key{}, errors.New("accesstoken: no active signing key")
}

// verifying finds a public key by its kid. For an unknown kid it reads the keys once more.
func (k *Keys) verifying(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	set, err := k.set(ctx)
	if err != nil {
		return nil, err
	}
	public := set.find(kid, k.clock.Now())
	if public == nil {
		if set, err = k.read(ctx, keysRetry); err != nil {
			return nil, err
		}
		public = set.find(kid, k.clock.Now())
	}
	if public == nil {
		return nil, errUnknownKid
	}
	return public, nil
}

// published leaves out the keys whose last tokens have expired: those before a key that has been active for publication.
func (s *keySet) published(now time.Time) []Key {
	for i := len(s.keys) - 1; i > 0; i-- {
		if s.keys[i].ActiveAt.Before(now.Add(-publication)) {
			return s.keys[i:]
		}
	}
	return s.keys
}

func (s *keySet) find(kid string, now time.Time) ed25519.PublicKey {
	for _, key := range s.published(now) {
		if key.ID == kid {
			return key.Public
		}
	}
	return nil
}

// set is the last result. When it is no longer fresh, it is read again in the background.
func (k *Keys) set(ctx context.Context) (*keySet, error) {
	set := k.current.Load()
	if set == nil {
		return k.read(ctx, 0)
	}
	if time.Since(set.readAt) > keysFresh && k.refreshing.CompareAndSwap(false, true) {
		go func() { //nolint:gosec // a context of its own: the caller's may carry a transaction
			defer k.refreshing.Store(false)
			ctx, cancel := context.WithTimeout(context.Background(), keysFresh)
			defer cancel()
			k.renew(ctx)
		}()
	}
	return set, nil
}

// renew reads the keys, and replaces the newest one once it is old. If either fails, the keys in memory stay in use.
func (k *Keys) renew(ctx context.Context) {
	old := func(existing []Key) bool {
		return len(existing) > 0 && existing[len(existing)-1].CreatedAt.Before(k.clock.Now().Add(-maxAge))
	}
	set, err := k.read(ctx, 0)
	if err == nil && old(set.keys) {
		_, _ = k.rotate(ctx, old)
	}
}

// read reads the keys unless another goroutine did so less than age ago.
func (k *Keys) read(ctx context.Context, age time.Duration) (*keySet, error) {
	k.reading.Lock()
	defer k.reading.Unlock()
	if set := k.current.Load(); set != nil && time.Since(set.readAt) < age {
		return set, nil
	}
	readAt := time.Now()
	keys, err := k.all(ctx)
	if err != nil {
		return nil, err
	}
	set := &keySet{keys: keys, readAt: readAt}
	k.current.Store(set)
	return set, nil
}

// generate makes a key and seals its private half.
func (k *Keys) generate(activeAt time.Time) (Key, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return Key{}, fmt.Errorf("signing key: %w", err)
	}
	id := thumbprint(public)
	sealed, err := k.ring.Seal(signingPurpose, private.Seed(), id)
	if err != nil {
		return Key{}, err
	}
	return Key{ID: id, Public: public, CreatedAt: k.clock.Now(), ActiveAt: activeAt, private: private, sealed: sealed}, nil
}

// thumbprint is the JWK thumbprint of an Ed25519 key (RFC 7638, RFC 8037 §2).
func thumbprint(public ed25519.PublicKey) string {
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + Base64URL(public) + `"}`))
	return Base64URL(sum[:])
}

// Base64URL is the unpadded base64url of RFC 7515 §2.
func Base64URL(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
