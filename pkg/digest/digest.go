// Package digest makes the keyed digests that rows hold in place of addresses. The digests' key is random, and sealed
// under the secret key in a row of its own. The server starts only with a secret key that opens that row.
package digest

import (
	"database/sql/driver"
	"fmt"

	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

// Size is the number of bytes of a Digest.
const Size = 32

// Digest takes the place of an address, or an account, in rows that must not identify it. The zero Digest is none; in a
// row it is NULL.
type Digest [Size]byte

// Value writes a Digest, and the zero one as NULL.
func (d Digest) Value() (driver.Value, error) {
	if d == (Digest{}) {
		return nil, nil
	}
	return d[:], nil
}

// Bytes are the bytes of a Digest, for a column that is NOT NULL. The zero Digest has none.
func (d Digest) Bytes() []byte {
	if d == (Digest{}) {
		return []byte{}
	}
	return d[:]
}

// Scan reads a Digest. NULL and no bytes are the zero Digest.
func (d *Digest) Scan(column any) error {
	text, isBytes := column.([]byte)
	switch {
	case column == nil, isBytes && len(text) == 0:
		*d = Digest{}
	case isBytes && len(text) == Size:
		*d = Digest(text)
	default:
		return fmt.Errorf("digest: a column of %T is no digest", column)
	}
	return nil
}

// Digester makes digests. Its key outlives a rotation of the secret key, and so do the counts of each digest.
type Digester struct{ key []byte }

// OfEmail is the digest of an address at a portal, whether or not an account has it. Every spelling of the address has
// the same digest.
func (d *Digester) OfEmail(portalID ids.Portal, address email.Address) Digest {
	return Digest(keyring.Digest(d.key, []byte("subject"), portalID.UUID[:], []byte(address.Canonical())))
}

// OfAccount is the digest of an account, for counts that stay the same when its address changes.
func (d *Digester) OfAccount(portalID ids.Portal, accountID ids.Account) Digest {
	return Digest(keyring.Digest(d.key, []byte("account"), portalID.UUID[:], accountID.UUID[:]))
}
