package accesstoken

import (
	"context"
	"slices"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/fault"
)

// Rotate makes a key that takes over on every instance at once, activation from now.
func (k *Keys) Rotate(ctx context.Context) (KeyState, error) { return k.make(ctx, activation) }

// RotateNow makes a key that signs at once, after a leak: verifiers that cache the published keys refuse its tokens until
// they read them again. Other instances sign with it as soon as they read it, within keysStale.
func (k *Keys) RotateNow(ctx context.Context) (KeyState, error) { return k.make(ctx, 0) }

func (k *Keys) make(ctx context.Context, ahead time.Duration) (KeyState, error) {
	made, err := k.rotate(ctx, ahead, func([]Key) bool { return true })
	if ahead == 0 {
		return KeyState{made, KeyActive}, err
	}
	return KeyState{made, KeyPending}, err
}

// rotate makes a key if wanted, which is given the existing keys, says so.
func (k *Keys) rotate(ctx context.Context, ahead time.Duration, wanted func([]Key) bool) (Key, error) {
	key, added, err := k.add(ctx, ahead, wanted)
	if err != nil || !added {
		return key, err
	}
	return key, k.changed(ctx, audit.KeyRotated, key)
}

// add makes a key if wanted, and reports whether it did. A key that is published ahead takes over after every other one,
// also when the database's clock was set back since those were made.
func (k *Keys) add(ctx context.Context, ahead time.Duration, wanted func([]Key) bool) (made Key, added bool, err error) {
	err = k.change(ctx, func(ctx context.Context, existing []Key) error {
		if !wanted(existing) {
			return nil
		}
		var err error
		activeAt := k.clock.Now().Add(ahead)
		if last := len(existing) - 1; ahead > 0 && last >= 0 && !activeAt.After(existing[last].ActiveAt) {
			activeAt = existing[last].ActiveAt.Add(time.Millisecond)
		}
		if made, err = k.generate(activeAt); err != nil {
			return err
		}
		added = true
		return k.insert(ctx, made)
	})
	return made, added && err == nil, err
}

// changed reads the keys anew and records what happened to one.
func (k *Keys) changed(ctx context.Context, what audit.Type, key Key) error {
	if _, err := k.read(ctx, 0); err != nil {
		return err
	}
	return k.audit.Record(ctx, audit.OfTarget(audit.Installation, what, audit.SigningKeyTarget(key.ID)))
}

// Withdraw deletes a key at once: it is published no more, and its tokens are refused, by other instances within keysStale.
// When the active key goes, the next pending one signs from now on. A retired key never signs again, so the active key
// stays while no other is pending.
//
// Errors: not_found, last_signing_key.
func (k *Keys) Withdraw(ctx context.Context, id string) error {
	var gone Key
	err := k.change(ctx, func(ctx context.Context, existing []Key) error {
		at := slices.IndexFunc(existing, func(key Key) bool { return key.ID == id })
		if at < 0 {
			return fault.New(fault.NotFound)
		}
		gone = existing[at]
		now := k.clock.Now()
		if at == (&keySet{keys: existing}).signer(now) {
			if at == len(existing)-1 {
				return fault.New(fault.LastSigningKey)
			}
			if err := k.activate(ctx, existing[at+1], now); err != nil {
				return err
			}
		}
		return k.delete(ctx, gone)
	})
	if err != nil {
		return err
	}
	return k.changed(ctx, audit.KeyWithdrawn, gone)
}
