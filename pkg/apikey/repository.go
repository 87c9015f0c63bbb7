package apikey

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// Repository keeps API keys.
type Repository struct{ db *database.DB }

// NewRepository keeps keys in db.
func NewRepository(db *database.DB) *Repository { return &Repository{db} }

const columns = `portal_id, id, name, CAST(scopes AS TEXT), key_hash, created_at, expires_at, last_used_at`

func scan(row database.Row) (*Key, error) {
	var (
		k             Key
		scopes        string
		created       int64
		expires, used *int64
	)
	if err := row.Scan(&k.PortalID, &k.ID, &k.Name, &scopes, &k.hash, &created, &expires, &used); err != nil {
		return nil, database.Err(err)
	}
	if err := json.Unmarshal([]byte(scopes), &k.Scopes); err != nil {
		return nil, err
	}
	k.CreatedAt, k.ExpiresAt, k.LastUsedAt = *database.Time(&created), database.Time(expires), database.Time(used)
	return &k, nil
}

// byID finds a key. Errors: database.ErrNotFound.
func (r *Repository) byID(ctx context.Context, portalID ids.Portal, id ids.APIKey) (*Key, error) {
	return scan(r.db.From(ctx).Raw(`SELECT `+columns+` FROM api_keys WHERE portal_id = ? AND id = ?`, portalID, id).Row())
}

// page lists keys, newest first, from before the id: those of one portal, or all.
func (r *Repository) page(ctx context.Context, of *ids.Portal, before ids.APIKey, limit int) ([]*Key, error) {
	query, args := `SELECT `+columns+` FROM api_keys WHERE `, []any{}
	if of != nil {
		query, args = query+`portal_id = ? AND `, append(args, *of)
	} else {
		ctx = database.AcrossPortals(ctx, "an operator lists every API key")
	}
	if before.UUID == uuid.Nil {
		before.UUID = uuid.Max
	}
	return database.Collect(r.db.From(ctx).Raw(query+`id < ? ORDER BY id DESC LIMIT ?`, append(args, before, limit)...), scan)
}

func (r *Repository) insert(ctx context.Context, k *Key) error {
	scopes, err := json.Marshal(k.Scopes)
	if err != nil {
		return err
	}
	return database.Err(r.db.From(ctx).Exec(`INSERT INTO api_keys (portal_id, id, name, scopes, key_hash, created_at, expires_at)
		VALUES (?, ?, ?, ?, ?, ?, ?)`, k.PortalID, k.ID, k.Name, string(scopes), k.hash, k.CreatedAt.UnixMilli(),
		database.Millis(k.ExpiresAt)).Error)
}

// delete removes a key, of one portal or of any, and gives it as it was. Errors: database.ErrNotFound.
func (r *Repository) delete(ctx context.Context, of *ids.Portal, id ids.APIKey) (*Key, error) {
	query, args := `DELETE FROM api_keys WHERE id = ?`, []any{id}
	if of != nil {
		query, args = query+` AND portal_id = ?`, append(args, *of)
	} else {
		ctx = database.AcrossPortals(ctx, "an operator revokes any API key")
	}
	return scan(r.db.From(ctx).Raw(query+` RETURNING `+columns, args...).Row())
}

func (r *Repository) touch(ctx context.Context, k *Key, now time.Time) error {
	return database.Err(r.db.From(ctx).Exec(`UPDATE api_keys SET last_used_at = ? WHERE portal_id = ? AND id = ?`,
		now.UnixMilli(), k.PortalID, k.ID).Error)
}
