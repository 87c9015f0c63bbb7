// Package installation ties a database to its secret key: the one row that a key must fit before the server starts.
package installation

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

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

// Digests makes the keyed digests that stand in the database where an address would. Their key is random and of the
// installation, sealed under the secret key: it outlives a rotation, so counts and histories do too.
type Digests struct{ key []byte }

// Subject is what an address, existing or not, is called in rows that must not hold it: 32 bytes.
func (d *Digests) Subject(portalID uuid.UUID, canonical string) []byte {
	return keyring.Digest(d.key, []byte("subject"), portalID[:], []byte(canonical))
}

// Account is what an account is called where counts of its own are kept: 32 bytes.
func (d *Digests) Account(portalID, id uuid.UUID) []byte {
	return keyring.Digest(d.key, []byte("account"), portalID[:], id[:])
}

// Open reads the installation's row, and makes it in a new database. A row sealed under an older key of the ring is
// sealed anew under the first.
//
// Errors: ErrKeyDoesNotFit.
func Open(ctx context.Context, db *database.DB, ring *keyring.Ring) (*Digests, error) {
	sealed, err := read(ctx, db)
	if errors.Is(err, database.ErrNotFound) {
		if err := write(ctx, db, ring); err != nil {
			return nil, err
		}
		sealed, err = read(ctx, db) // another instance may have come first
	}
	if err != nil {
		return nil, fmt.Errorf("installation: %w", err)
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
	return &Digests{key}, nil
}

// Reset unties a database from its secret key: signing keys and whatever rests on the digests go, and every session
// ends. The next Open ties it to another.
func Reset(ctx context.Context, db *database.DB) error {
	ctx = database.AcrossPortals(ctx, "a copied database starts anew under another secret key")
	return db.InTx(ctx, func(ctx context.Context) error { return reset(ctx, db) })
}
