package accesstoken

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/clock"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

const signingPurpose keyring.Purpose = "signing-key"

// keysFresh is how long an instance uses the keys that it read, and keysStale how long at most while it reads them again.
// An unknown kid makes it read at once, but at most once every keysRetry, so that invented kids cost the database little.
// A token that comes in between waits, because a key that signs at once can be newer than the last read.
const (
	keysFresh = 5 * time.Second
	keysStale = 10 * time.Second
	keysRetry = 100 * time.Millisecond
)

// A key begins to sign activation after it was made: by then every instance has read it, and so have verifiers that cache
// the published keys, which do so for minutes whatever Cache-Control says. It stays published for publication after the
// next key took over: as long as an access token can live, and a minute. At maxAge it is replaced automatically.
const (
	activation  = 15 * time.Minute
	publication = 24*time.Hour + time.Minute
	maxAge      = 90 * 24 * time.Hour
)

var (
	errUnknownKid = errors.New("accesstoken: no such signing key")
	errNoKey      = errors.New("accesstoken: there is no signing key")
)

// Key is a signing key: random, its private half sealed under the secret key at rest.
type Key struct {
	ID        string // the kid: the key's thumbprint (RFC 7638)
	Algorithm Algorithm
	Public    crypto.PublicKey
	CreatedAt time.Time
	ActiveAt  time.Time

	private crypto.Signer
	sealed  []byte
}

// Keys are the signing keys that every portal shares. They are read again regularly, because other instances change them.
type Keys struct {
	db        *database.DB
	ring      *keyring.Ring
	audit     *audit.Recorder
	clock     clock.Clock
	algorithm Algorithm

	current    atomic.Pointer[keySet]
	refreshing atomic.Bool
	replacing  atomic.Bool
	reading    sync.Mutex
}

// KeyDependencies are the parts that Keys use.
type KeyDependencies struct {
	DB        *database.DB
	Ring      *keyring.Ring
	Audit     *audit.Recorder
	Now       clock.Clock
	Algorithm Algorithm // of new keys; "" is ES256
}

// NewKeys returns the signing keys of a database.
func NewKeys(with KeyDependencies) *Keys {
	if with.Algorithm == "" {
		with.Algorithm = ES256
	}
	return &Keys{db: with.DB, ring: with.Ring, audit: with.Audit, clock: with.Now, algorithm: with.Algorithm}
}

// Prepare makes the first signing key if there is none, rotates if the newest key is of another algorithm than new keys,
// and seals every key under the primary secret key.
func (k *Keys) Prepare(ctx context.Context) error {
	if _, _, err := k.add(ctx, 0, func(existing []Key) bool { return len(existing) == 0 }); err != nil {
		return err
	}
	set, err := k.read(ctx, 0)
	if err != nil {
		return err
	}
	if err := k.reseal(ctx, set.keys); err != nil {
		return err
	}
	another := func(existing []Key) bool {
		return len(existing) > 0 && existing[len(existing)-1].Algorithm != k.algorithm
	}
	if another(set.keys) {
		_, err = k.rotate(ctx, activation, another)
	}
	return err
}

// Ready reports whether a key can sign. Errors: unavailable.
func (k *Keys) Ready(ctx context.Context) error {
	if _, err := k.signing(ctx); err != nil {
		return fault.Wrap(fault.Unavailable, err)
	}
	return nil
}

// Public lists the keys that sign valid tokens, now or soon.
func (k *Keys) Public(ctx context.Context) ([]Key, error) {
	set, err := k.read(ctx, keysRetry)
	if err != nil {
		if set, err = k.set(ctx); err != nil {
			return nil, err
		}
	}
	return set.published(k.clock.Now()), nil
}

// Algorithms lists the algorithms of the keys of Public.
func (k *Keys) Algorithms(ctx context.Context) ([]Algorithm, error) {
	set, err := k.set(ctx)
	if err != nil {
		return nil, err
	}
	var all []Algorithm
	for _, key := range set.published(k.clock.Now()) {
		all = append(all, key.Algorithm)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
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
	states, signer := make([]KeyState, len(keys)), (&keySet{keys: keys}).signer(k.clock.Now())
	for i, key := range keys {
		states[i] = KeyState{key, stateAt(i, signer)}
	}
	return states, nil
}

// stateAt is the state of the key at an index when another index signs.
func stateAt(i, signer int) string {
	switch {
	case i < signer:
		return KeyRetired
	case i == signer:
		return KeyActive
	}
	return KeyPending
}

// signing is the key that signs now.
func (k *Keys) signing(ctx context.Context) (Key, error) {
	set, err := k.set(ctx)
	if err != nil {
		return Key{}, err
	}
	if len(set.keys) == 0 {
		return Key{}, errNoKey
	}
	return set.keys[set.signer(k.clock.Now())], nil
}

// verifying finds a public key. For an unknown one it reads the keys once more.
func (k *Keys) verifying(ctx context.Context, id keyID) (crypto.PublicKey, error) {
	set, err := k.set(ctx)
	if err != nil {
		return nil, err
	}
	public := set.find(id, k.clock.Now())
	if public == nil {
		if set, err = k.readAgain(ctx, set); err != nil {
			return nil, err
		}
		public = set.find(id, k.clock.Now())
	}
	if public == nil {
		return nil, errUnknownKid
	}
	return public, nil
}

// generate makes a key and seals its private half.
func (k *Keys) generate(activeAt time.Time) (Key, error) {
	private, err := k.algorithm.generate()
	if err != nil {
		return Key{}, fmt.Errorf("signing key: %w", err)
	}
	id, err := thumbprint(private.Public())
	if err != nil {
		return Key{}, err
	}
	secret, _, err := k.algorithm.encode(private)
	if err != nil {
		return Key{}, err
	}
	sealed, err := k.ring.Seal(signingPurpose, secret, id)
	return Key{
		ID: id, Algorithm: k.algorithm, Public: private.Public(), CreatedAt: k.clock.Now(), ActiveAt: activeAt,
		private: private, sealed: sealed,
	}, err
}
