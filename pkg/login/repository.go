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

// Repository reads what a login is decided by.
type Repository struct{ db *database.DB }

// NewRepository reads from db.
func NewRepository(db *database.DB) *Repository { return &Repository{db} }

// read gives the account of an address, nil where there is none, and where the count of its failures stands: one
// statement, of one row, whether they exist or not.
func (r *Repository) read(ctx context.Context, portalID ids.Portal, address email.Address, subject digest.Digest) (*account.Account, lockout.State, error) {
	var state lockout.State
	a, err := account.Scan(r.db.From(ctx).Raw(`SELECT `+account.Columns+`, `+lockout.Columns+` FROM (SELECT 1 AS one) o
		LEFT JOIN accounts a ON a.portal_id = ? AND a.email_canonical = ?
		LEFT JOIN lockouts l ON l.portal_id = ? AND l.kind = ? AND l.subject = ?`,
		portalID, portalID, address.Canonical(), portalID, lockout.Login, subject).Row(), state.Scanned()...)
	if errors.Is(err, database.ErrNotFound) {
		return nil, state, nil
	}
	return a, state, err
}
