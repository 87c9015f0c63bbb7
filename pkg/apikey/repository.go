package apikey

import (
	"context"
	"encoding/json"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// Repository keeps API keys.
type Repository struct{ db *database.DB }

// NewRepository keeps keys in db.
func NewRepository(db *database.DB) *Repository { return &Repository{db} }

// row is a key as the table has it. Times are Unix milliseconds.
type row struct {
	PortalID   ids.Portal
	ID         ids.APIKey
	Name       string
	Scopes     string // a JSON array
	KeyHash    []byte
	CreatedBy  string
	MakerID    ids.Account
	CreatedAt  int64 `gorm:"autoCreateTime:false"`
	ExpiresAt  *int64
	LastUsedAt *int64
}

// TableName names the table for GORM.
func (row) TableName() string { return "api_keys" }

func (r *row) key() (*Key, error) {
	k := &Key{
		ID: r.ID, PortalID: r.PortalID, Name: r.Name, CreatedBy: r.CreatedBy, MakerID: r.MakerID,
		CreatedAt: *database.Time(&r.CreatedAt),
		ExpiresAt: database.Time(r.ExpiresAt), LastUsedAt: database.Time(r.LastUsedAt), hash: r.KeyHash,
	}
	return k, json.Unmarshal([]byte(r.Scopes), &k.Scopes)
}

// maker is what a key's end depends on, if a person made it.
type maker struct {
	roles    []string
	disabled bool
}

// withMaker finds a key and the person who made it, nil for none or one who was deleted. Raw, because it joins the table
// of pkg/account: a key is good only as long as its maker has the role.
//
// Errors: database.ErrNotFound.
func (r *Repository) withMaker(ctx context.Context, portalID ids.Portal, id ids.APIKey) (*Key, *maker, error) {
	var (
		found    row
		roles    *string
		disabled *int64
	)
	err := r.db.From(ctx).Raw(`SELECT k.portal_id, k.id, k.name, CAST(k.scopes AS TEXT), k.key_hash, k.created_by,
			k.maker_id, k.created_at, k.expires_at, k.last_used_at, CAST(m.roles AS TEXT), m.disabled_at
		FROM api_keys k LEFT JOIN accounts m ON m.portal_id = k.portal_id AND m.id = k.maker_id
		WHERE k.portal_id = ? AND k.id = ?`, portalID, id).Row().
		Scan(&found.PortalID, &found.ID, &found.Name, &found.Scopes, &found.KeyHash, &found.CreatedBy,
			&found.MakerID, &found.CreatedAt, &found.ExpiresAt, &found.LastUsedAt, &roles, &disabled)
	if err != nil {
		return nil, nil, database.Err(err)
	}
	k, err := found.key()
	if err != nil || roles == nil {
		return k, nil, err
	}
	by := maker{disabled: disabled != nil}
	return k, &by, json.Unmarshal([]byte(*roles), &by.roles)
}

// of selects the keys of one portal, or of all if portalID is nil.
func (r *Repository) of(ctx context.Context, portalID *ids.Portal) *gorm.DB {
	if portalID == nil {
		return r.db.From(database.AcrossPortals(ctx, "an operator lists or revokes any API key"))
	}
	return r.db.From(ctx).Where("portal_id = ?", *portalID)
}

// page lists keys, newest first, from before the id: those of one portal, or all if portalID is nil.
func (r *Repository) page(ctx context.Context, portalID *ids.Portal, before ids.APIKey, limit int) ([]*Key, error) {
	query := r.of(ctx, portalID)
	if !before.IsZero() {
		query = query.Where("id < ?", before)
	}
	var rows []row
	if err := query.Order("id DESC").Limit(limit).Find(&rows).Error; err != nil {
		return nil, database.Err(err)
	}
	return keysOf(rows)
}

func keysOf(rows []row) ([]*Key, error) {
	keys := make([]*Key, 0, len(rows))
	for i := range rows {
		k, err := rows[i].key()
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

func (r *Repository) insert(ctx context.Context, k *Key) error {
	scopes, err := json.Marshal(k.Scopes)
	if err != nil {
		return err
	}
	return database.Err(r.db.From(ctx).Create(&row{
		PortalID: k.PortalID, ID: k.ID, Name: k.Name, Scopes: string(scopes), KeyHash: k.hash, CreatedBy: k.CreatedBy,
		MakerID:   k.MakerID,
		CreatedAt: k.CreatedAt.UnixMilli(), ExpiresAt: database.Millis(k.ExpiresAt),
	}).Error)
}

// returned are the columns of a deleted key.
var returned = clause.Returning{Columns: []clause.Column{
	{Name: "portal_id"}, {Name: "id"}, {Name: "name"}, {Name: "scopes"}, {Name: "created_at"}, {Name: "expires_at"},
}}

// delete removes a key, of one portal or of any if portalID is nil, and returns it. Errors: database.ErrNotFound.
func (r *Repository) delete(ctx context.Context, portalID *ids.Portal, id ids.APIKey) (*Key, error) {
	var gone []row
	err := database.Changed(r.of(ctx, portalID).Clauses(returned).Where("id = ?", id).Delete(&gone))
	if err != nil {
		return nil, err
	}
	return gone[0].key()
}

// deleteOf removes the keys that a person made, and returns them.
func (r *Repository) deleteOf(ctx context.Context, portalID ids.Portal, makerID ids.Account) ([]*Key, error) {
	var gone []row
	err := r.db.From(ctx).Clauses(returned).Where("portal_id = ? AND maker_id = ?", portalID, makerID).Delete(&gone).Error
	if err != nil {
		return nil, database.Err(err)
	}
	return keysOf(gone)
}

// touch notes when a key was last used.
func (r *Repository) touch(ctx context.Context, k *Key, now time.Time) error {
	return database.Err(r.db.From(ctx).Model(&row{}).Where("portal_id = ? AND id = ?", k.PortalID, k.ID).
		Update("last_used_at", now.UnixMilli()).Error)
}
