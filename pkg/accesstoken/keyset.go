package accesstoken

import (
	"context"
	"crypto"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/database"
)

// keySet is the result of one read, in the order in which the keys become active.
type keySet struct {
	keys   []Key
	readAt time.Time // by the real clock, not by the injected one
}

// signer is the index of the key that signs: the newest active one. Where none is active yet, as after the database's
// clock was set back, the earliest signs. The set must have a key.
func (s *keySet) signer(now time.Time) int {
	for i := len(s.keys) - 1; i > 0; i-- {
		if !s.keys[i].ActiveAt.After(now) {
			return i
		}
	}
	return 0
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

// find gives the public key of an algorithm by its kid; nil where there is none.
func (s *keySet) find(id keyID, now time.Time) crypto.PublicKey {
	for _, key := range s.published(now) {
		if key.ID == id.kid && key.Algorithm == id.algorithm {
			return key.Public
		}
	}
	return nil
}

// keyID is the key that a token's header names.
type keyID struct {
	kid       string
	algorithm Algorithm
}

// set is the last result while it is fresh. A little later it is still used, and read again in the background; after that
// it is read first, so that a key that another instance withdrew is not used for long. If the database does not answer,
// the last result stays in use.
func (k *Keys) set(ctx context.Context) (*keySet, error) {
	set := k.current.Load()
	if set == nil {
		return k.read(ctx, 0)
	}
	switch age := time.Since(set.readAt); {
	case age > keysStale:
		if fresh, err := k.read(ctx, keysFresh); err == nil {
			set = fresh
		}
	case age > keysFresh && k.refreshing.CompareAndSwap(false, true):
		go func() { //nolint:gosec // a context of its own: the caller's may carry a transaction
			defer k.refreshing.Store(false)
			ctx, cancel := context.WithTimeout(context.Background(), keysFresh)
			defer cancel()
			_, _ = k.read(ctx, 0)
		}()
	}
	return set, nil
}

// replaceOld replaces the newest key in the background once it is old. If that fails, the next read tries again.
func (k *Keys) replaceOld(set *keySet) {
	old := func(existing []Key) bool {
		return len(existing) > 0 && existing[len(existing)-1].CreatedAt.Before(k.clock.Now().Add(-maxAge))
	}
	if !old(set.keys) || !k.replacing.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer k.replacing.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), keysFresh)
		defer cancel()
		_, _ = k.rotate(ctx, activation, old)
	}()
}

// readAgain reads the keys after the set that was found wanting, once that is keysRetry old.
func (k *Keys) readAgain(ctx context.Context, after *keySet) (*keySet, error) {
	select {
	case <-time.After(keysRetry - time.Since(after.readAt)):
	case <-ctx.Done():
		return nil, database.Err(ctx.Err())
	}
	return k.read(ctx, keysRetry)
}

// read reads the keys unless another goroutine did so less than age ago.
func (k *Keys) read(ctx context.Context, age time.Duration) (*keySet, error) {
	k.reading.Lock()
	defer k.reading.Unlock()
	last := k.current.Load()
	if last != nil && time.Since(last.readAt) < age {
		return last, nil
	}
	var known []Key
	if last != nil {
		known = last.keys
	}
	readAt := time.Now()
	keys, err := k.all(ctx, known)
	if err != nil {
		return nil, err
	}
	set := &keySet{keys: keys, readAt: readAt}
	k.current.Store(set)
	k.replaceOld(set)
	return set, nil
}
