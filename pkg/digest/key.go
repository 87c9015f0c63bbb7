package digest

import (
	"context"
	"errors"
	"fmt"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

// ErrKeyDoesNotFit means that the database was made under another secret key.
var ErrKeyDoesNotFit = errors.New("LATCHKEY_SECRET_KEY does not fit this database: it was made under another key; " +
	"start with that key, alone or beside the new one in the list")

const (
	sealPurpose keyring.Purpose = "digest-key"
	sealContext string          = "installation"
)

// Open reads the installation's row, and makes it in a new database. A row sealed under an older key of the ring is
// sealed anew under the first.
//
// Errors: ErrKeyDoesNotFit.
func Open(ctx context.Context, db *database.DB, ring *keyring.Ring) (*Digester, error) {
	sealed, err := read(ctx, db)
	if errors.Is(err, database.ErrNotFound) {
		if err := write(ctx, db, ring); err != nil {
			return nil, err
		}
		sealed, err = read(ctx, db) // another instance may have come first
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

// Reset unties a database from its secret key: signing keys and whatever rests on the digests go, and every session
// ends. The next Open ties it to another.
func Reset(ctx context.Context, db *database.DB) error {
	ctx = database.AcrossPortals(ctx, "a copied database starts anew under another secret key")
	return db.InTx(ctx, func(ctx context.Context) error { return reset(ctx, db) })
}
