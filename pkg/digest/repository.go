package digest

import (
	"context"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

func read(ctx context.Context, db *database.DB) (sealed []byte, err error) {
	err = db.From(ctx).Raw("SELECT digest_key FROM installation WHERE id = 1").Row().Scan(&sealed)
	return sealed, database.Err(err)
}

func write(ctx context.Context, db *database.DB, ring *keyring.Ring) error {
	sealed, err := ring.Seal(sealPurpose, keyring.Random(keyring.KeySize), sealContext)
	if err != nil {
		return err
	}
	return database.Err(db.From(ctx).Exec(`INSERT INTO installation (id, digest_key, created_at) VALUES (1, ?, ?)
		ON CONFLICT (id) DO NOTHING`, sealed, time.Now().UnixMilli()).Error)
}

func reseal(ctx context.Context, db *database.DB, ring *keyring.Ring, was, key []byte) error {
	sealed, err := ring.Seal(sealPurpose, key, sealContext)
	if err != nil {
		return err
	}
	return database.Err(db.From(ctx).Exec("UPDATE installation SET digest_key = ? WHERE id = 1 AND digest_key = ?",
		sealed, was).Error)
}

// keyedTables hold rows that are of no use without the secret key, or without the digests' key.
var keyedTables = []string{
	"installation", "signing_keys", "other_signing_keys", "lockouts", "sessions", "onetime_secrets", "invitations",
	"recipients",
}

func reset(ctx context.Context, db *database.DB) error {
	for _, table := range keyedTables {
		if err := db.From(ctx).Exec("DELETE FROM " + table).Error; err != nil {
			return database.Err(err)
		}
	}
	return nil
}
