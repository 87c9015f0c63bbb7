package accesstoken

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

// all reads the signing keys, in the order in which they become active.
func (k *Keys) all(ctx context.Context) ([]Key, error) {
	return database.Collect(k.db.From(ctx).Raw(`SELECT id, public_key, private_key, created_at, active_at FROM signing_keys
		ORDER BY active_at, id`), func(row database.Row) (key Key, err error) {
		var public []byte
		var created, active int64
		if err := row.Scan(&key.ID, &public, &key.sealed, &created, &active); err != nil {
			return key, err
		}
		seed, err := k.ring.Open(signingPurpose, key.sealed, key.ID)
		if err != nil {
			return key, fmt.Errorf("signing key %s: %w", key.ID, err)
		}
		key.Public, key.private = public, ed25519.NewKeyFromSeed(seed)
		key.CreatedAt, key.ActiveAt = *database.Time(&created), *database.Time(&active)
		return key, nil
	})
}

// add makes a signing key if wanted, which is given the existing keys, says so. It reports whether a key was made. The
// row of installation is the lock, so that instances that do this at the same time make one key.
func (k *Keys) add(ctx context.Context, activeAt time.Time, wanted func([]Key) bool) (made Key, added bool, err error) {
	err = k.db.InTx(ctx, func(ctx context.Context) error {
		if err := k.db.From(ctx).Exec("UPDATE installation SET id = 1 WHERE id = 1").Error; err != nil {
			return database.Err(err)
		}
		existing, err := k.all(ctx)
		if err != nil || !wanted(existing) {
			return err
		}
		if made, err = k.generate(activeAt); err != nil {
			return err
		}
		added = true
		return database.Err(k.db.From(ctx).Exec(`INSERT INTO signing_keys (id, public_key, private_key, created_at, active_at)
			VALUES (?, ?, ?, ?, ?)`, made.ID, []byte(made.Public), made.sealed, made.CreatedAt.UnixMilli(),
			made.ActiveAt.UnixMilli()).Error)
	})
	return made, added && err == nil, err
}

// reseal seals the keys that are sealed under an older secret key under the primary one. The older secret key can leave
// the list once every instance has started with the new one.
func (k *Keys) reseal(ctx context.Context, keys []Key) error {
	for _, key := range keys {
		if keyring.SealedUnder(key.sealed) == k.ring.Primary() {
			continue
		}
		sealed, err := k.ring.Seal(signingPurpose, key.private.Seed(), key.ID)
		if err != nil {
			return err
		}
		err = k.db.From(ctx).Exec("UPDATE signing_keys SET private_key = ? WHERE id = ? AND private_key = ?",
			sealed, key.ID, key.sealed).Error
		if err != nil {
			return database.Err(err)
		}
	}
	return nil
}
