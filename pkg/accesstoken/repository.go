package accesstoken

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

// ed25519Row is a row of signing_keys; times are Unix milliseconds.
type ed25519Row struct {
	ID         string
	PublicKey  []byte
	PrivateKey []byte
	CreatedAt  int64
	ActiveAt   int64
}

func (ed25519Row) TableName() string { return "signing_keys" }

// otherRow is a row of other_signing_keys.
type otherRow struct {
	ID         string
	Algorithm  Algorithm
	PublicKey  []byte
	PrivateKey []byte
	CreatedAt  int64
	ActiveAt   int64
}

func (otherRow) TableName() string { return "other_signing_keys" }

// table is the model of the table that holds the keys of an algorithm.
func (a Algorithm) table() any {
	if a == EdDSA {
		return &ed25519Row{}
	}
	return &otherRow{}
}

// all reads the signing keys, in the order in which they become active. Keys of known that are the same in the database
// are not opened again. Raw because GORM's builder has no UNION.
func (k *Keys) all(ctx context.Context, known []Key) ([]Key, error) {
	return database.Collect(k.db.From(ctx).Raw(`SELECT id, 'EdDSA' AS algorithm, private_key, created_at, active_at
			FROM signing_keys
		UNION ALL SELECT id, algorithm, private_key, created_at, active_at FROM other_signing_keys
		ORDER BY active_at, id`), func(row database.Row) (key Key, err error) {
		var created, active int64
		if err := row.Scan(&key.ID, &key.Algorithm, &key.sealed, &created, &active); err != nil {
			return key, err
		}
		key.CreatedAt, key.ActiveAt = *database.Time(&created), *database.Time(&active)
		for _, same := range known {
			if same.ID == key.ID && bytes.Equal(same.sealed, key.sealed) {
				key.private, key.Public = same.private, same.Public
				return key, nil
			}
		}
		return key, k.open(&key)
	})
}

// open opens the sealed private key. The public one is derived from it, because a column can be changed by whoever writes
// to the database.
func (k *Keys) open(key *Key) error {
	private, err := k.ring.Open(signingPurpose, key.sealed, key.ID)
	if err != nil {
		return fmt.Errorf("signing key %s: %w", key.ID, err)
	}
	if key.private, err = key.Algorithm.decode(private); err != nil {
		return fmt.Errorf("signing key %s: %w", key.ID, err)
	}
	key.Public = key.private.Public()
	return nil
}

// change runs a change of the signing keys, one at a time over all instances, in a transaction. The row of installation
// is the lock.
func (k *Keys) change(ctx context.Context, change func(ctx context.Context, existing []Key) error) error {
	return k.db.InTx(ctx, func(ctx context.Context) error {
		if err := k.db.From(ctx).Exec("UPDATE installation SET id = 1 WHERE id = 1").Error; err != nil {
			return database.Err(err)
		}
		existing, err := k.all(ctx, nil)
		if err != nil {
			return err
		}
		return change(ctx, existing)
	})
}

// insert adds a key.
func (k *Keys) insert(ctx context.Context, key Key) error {
	_, public, err := key.Algorithm.encode(key.private)
	if err != nil {
		return err
	}
	created, active := key.CreatedAt.UnixMilli(), key.ActiveAt.UnixMilli()
	if key.Algorithm == EdDSA {
		return database.Err(k.db.From(ctx).Create(&ed25519Row{
			ID: key.ID, PublicKey: public, PrivateKey: key.sealed, CreatedAt: created, ActiveAt: active,
		}).Error)
	}
	return database.Err(k.db.From(ctx).Create(&otherRow{
		ID: key.ID, Algorithm: key.Algorithm, PublicKey: public, PrivateKey: key.sealed, CreatedAt: created,
		ActiveAt: active,
	}).Error)
}

func (k *Keys) byID(ctx context.Context, key Key) *gorm.DB {
	return k.db.From(ctx).Model(key.Algorithm.table()).Where("id = ?", key.ID)
}

// delete removes a key. Errors: database.ErrNotFound.
func (k *Keys) delete(ctx context.Context, key Key) error {
	return database.Changed(k.byID(ctx, key).Delete(key.Algorithm.table()))
}

// activate sets when a key begins to sign. Errors: database.ErrNotFound.
func (k *Keys) activate(ctx context.Context, key Key, at time.Time) error {
	return database.Changed(k.byID(ctx, key).Update("active_at", at.UnixMilli()))
}

// reseal seals the keys that are sealed under an older secret key under the primary one. The older secret key can leave
// the list once every instance has started with the new one.
func (k *Keys) reseal(ctx context.Context, keys []Key) error {
	for _, key := range keys {
		if keyring.SealedUnder(key.sealed) == k.ring.Primary() {
			continue
		}
		private, _, err := key.Algorithm.encode(key.private)
		if err != nil {
			return err
		}
		sealed, err := k.ring.Seal(signingPurpose, private, key.ID)
		if err != nil {
			return err
		}
		err = k.byID(ctx, key).Where("private_key = ?", key.sealed).Update("private_key", sealed).Error
		if err != nil {
			return database.Err(err)
		}
	}
	return nil
}
