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
	"github.com/latchkey-auth/latchkey/pkg/password"
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

// hashKinds gives one stored hash of each kind that the accounts of a portal have. Raw, because only a recursive
// query skips through the index accounts_hash_kind from one kind to the next, however many accounts there are. The
// table is pkg/account's.
func (r *Repository) hashKinds(ctx context.Context, portalID ids.Portal) ([]string, error) {
	return database.Collect(r.db.From(ctx).Raw(hashKinds, map[string]any{"portal": portalID}), database.One[string])
}

var hashKinds = `WITH RECURSIVE kinds (kind) AS (
		SELECT MIN(` + password.SQLKind("a.password_hash") + `) FROM accounts a
		WHERE a.portal_id = @portal AND a.password_hash IS NOT NULL
		UNION ALL
		SELECT (SELECT MIN(` + password.SQLKind("b.password_hash") + `) FROM accounts b
			WHERE b.portal_id = @portal AND b.password_hash IS NOT NULL
				AND ` + password.SQLKind("b.password_hash") + ` > kinds.kind)
		FROM kinds WHERE kinds.kind IS NOT NULL)
	SELECT (SELECT c.password_hash FROM accounts c
		WHERE c.portal_id = @portal AND c.password_hash IS NOT NULL
			AND ` + password.SQLKind("c.password_hash") + ` = kinds.kind LIMIT 1)
	FROM kinds WHERE kinds.kind IS NOT NULL`
