package login

import (
	"context"
	"errors"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/lockout"
)

// Repository reads the facts that decide a login.
type Repository struct{ db *database.DB }

// NewRepository reads from db.
func NewRepository(db *database.DB) *Repository { return &Repository{db} }

// facts are what is known of an address when its password is tried.
type facts struct {
	digest  digest.Digest    // of the address
	account *account.Account // nil for none
	lock    lockout.State
}

// read gives the account of an address and the state of its lock. It is raw SQL because it is on the hot path of
// every login: one statement answers exactly one row, whether or not the account and the lock exist. It joins
// lockouts, of pkg/lockout.
func (r *Repository) read(
	ctx context.Context, portalID ids.Portal, address email.Address, addressDigest digest.Digest,
) (facts, error) {
	read := facts{digest: addressDigest}
	a, err := account.Scan(r.db.From(ctx).Raw(`SELECT `+account.Columns+`, `+lockout.Columns+` FROM (SELECT 1 AS one) o
		LEFT JOIN accounts a ON a.portal_id = ? AND a.email_canonical = ?
		LEFT JOIN lockouts l ON l.portal_id = ? AND l.kind = ? AND l.subject = ?`,
		portalID, portalID, address.Canonical(), portalID, lockout.Login, addressDigest).Row(), read.lock.Scanned()...)
	if errors.Is(err, database.ErrNotFound) {
		return read, nil
	}
	read.account = a
	return read, err
}
