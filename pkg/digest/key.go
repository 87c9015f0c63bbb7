package digest

import (
	"context"
	"errors"
	"fmt"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

// ErrKeyDoesNotFit means that the database belongs to another secret key.
var ErrKeyDoesNotFit = errors.New("LATCHKEY_SECRET_KEY does not fit this database: it was made under another key; " +
	"start with that key, alone or beside the new one in the list")

const (
	sealPurpose keyring.Purpose = "digest-key"
	sealContext string          = "installation"
)

// Open reads the digests' key from the row of the installation, and makes the row in a new database. A row sealed under
// an older key of the ring is sealed again under the first key.
//
// Errors: ErrKeyDoesNotFit.
func Open(ctx context.Context, db *database.DB, ring *keyring.Ring) (*Digester, error) {
	sealed, err := read(ctx, db)
	if errors.Is(err, database.ErrNotFound) {
		if err := write(ctx, db, ring); err != nil {
			return nil, err
		}
		sealed, err = read(ctx, db) // another instance may have been first
	}
	if err != nil {
		return nil, fmt.Errorf("digest key: %w", err)
	}
	key, err := ring.Open(sealPurpose, sealed, sealContext)
	if err != nil {
		return nil, ErrKeyDoesNotFit
	}
	if keyring.SealedUnder(sealed) != ring.Primary() {
		if err := reseal(ctx, db, ring, sealed, key); err != nil {
			return nil, err
		}
	}
	return &Digester{key}, nil
}

// Reset unties a database from its secret key: it deletes signing keys, sessions and all rows that need the digests.
// The next Open ties the database to another key.
func Reset(ctx context.Context, db *database.DB) error {
	ctx = database.AcrossPortals(ctx, "a copied database starts anew under another secret key")
	return db.InTx(ctx, func(ctx context.Context) error { return reset(ctx, db) })
}
