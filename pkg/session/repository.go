package session

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/database"
)

// Repository keeps session rows.
type Repository struct{ db *database.DB }

// NewRepository keeps sessions in db.
func NewRepository(db *database.DB) *Repository { return &Repository{db} }

// insert adds a session if the account still is what the password was found right for: the same stamp, not disabled.
// It reports whether it was.
func (r *Repository) insert(ctx context.Context, portalID uuid.UUID, subject Subject, s *Session, deviceName *string) (bool, error) {
	caller := audit.CallerOf(ctx)
	inserted := r.db.From(ctx).Exec(`INSERT INTO sessions (portal_id, id, account_id, generation, key_id, security_stamp,
			transport, device_name, network, user_agent, created_at, rotated_at, expires_at, ends_at)
		SELECT a.portal_id, ?, a.id, ?, ?, a.security_stamp, ?, ?, ?, ?, ?, ?, ?, ?
		FROM accounts a WHERE a.portal_id = ? AND a.id = ? AND a.security_stamp = ? AND a.disabled_at IS NULL`,
		s.ID, s.Generation, s.KeyID, s.Transport, deviceName, caller.Network, caller.UserAgent,
		s.CreatedAt.UnixMilli(), s.CreatedAt.UnixMilli(), s.ExpiresAt.UnixMilli(), s.EndsAt.UnixMilli(),
		portalID, subject.AccountID, subject.SecurityStamp)
	return inserted.RowsAffected == 1, database.Err(inserted.Error)
}

// end ends a living session and tells whose it was. Errors: database.ErrNotFound.
func (r *Repository) end(ctx context.Context, portalID, id uuid.UUID, now time.Time) (account uuid.UUID, err error) {
	err = r.db.From(ctx).Raw(`UPDATE sessions SET ended_at = ? WHERE portal_id = ? AND id = ? AND ended_at IS NULL
		RETURNING account_id`, now.UnixMilli(), portalID, id).Row().Scan(&account)
	return account, database.Err(err)
}

// all reads the signing keys, oldest first.
func (k *Keys) all(ctx context.Context) ([]Key, error) {
	rows, err := k.db.From(ctx).Raw(`SELECT id, public_key, private_key, created_at, active_at, retired_at FROM signing_keys
		ORDER BY active_at, id`).Rows()
	if err != nil {
		return nil, database.Err(err)
	}
	defer func() { _ = rows.Close() }()
	var keys []Key
	for rows.Next() {
		var (
			key             Key
			public, sealed  []byte
			created, active int64
			retired         *int64
		)
		if err := rows.Scan(&key.ID, &public, &sealed, &created, &active, &retired); err != nil {
			return nil, database.Err(err)
		}
		seed, err := k.ring.Open(signingPurpose, sealed, key.ID)
		if err != nil {
			return nil, fmt.Errorf("signing key %s: %w", key.ID, err)
		}
		key.Public, key.private = public, ed25519.NewKeyFromSeed(seed)
		key.CreatedAt, key.ActiveAt = time.UnixMilli(created).UTC(), time.UnixMilli(active).UTC()
		key.RetiredAt = database.Time(retired)
		keys = append(keys, key)
	}
	return keys, database.Err(rows.Err())
}

// makeFirst makes a signing key if there still is none. The installation's row is the lock, so that instances that
// start together make one.
func (k *Keys) makeFirst(ctx context.Context) error {
	return k.db.InTx(ctx, func(ctx context.Context) error {
		if err := k.db.From(ctx).Exec("UPDATE installation SET id = 1 WHERE id = 1").Error; err != nil {
			return database.Err(err)
		}
		var there int
		if err := k.db.From(ctx).Raw("SELECT COUNT(*) FROM signing_keys").Row().Scan(&there); err != nil || there > 0 {
			return database.Err(err)
		}
		key, sealed, err := k.generate(k.now())
		if err != nil {
			return err
		}
		return database.Err(k.db.From(ctx).Exec(`INSERT INTO signing_keys (id, public_key, private_key, created_at, active_at)
			VALUES (?, ?, ?, ?, ?)`, key.ID, []byte(key.Public), sealed, key.CreatedAt.UnixMilli(), key.ActiveAt.UnixMilli()).Error)
	})
}
