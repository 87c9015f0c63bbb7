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
	CreatedAt  int64 `gorm:"autoCreateTime:false"`
	ExpiresAt  *int64
	LastUsedAt *int64
}

// TableName names the table for GORM.
func (row) TableName() string { return "api_keys" }

func (r *row) key() (*Key, error) {
	k := &Key{
		ID: r.ID, PortalID: r.PortalID, Name: r.Name, CreatedAt: *database.Time(&r.CreatedAt),
		ExpiresAt: database.Time(r.ExpiresAt), LastUsedAt: database.Time(r.LastUsedAt), hash: r.KeyHash,
	}
	return k, json.Unmarshal([]byte(r.Scopes), &k.Scopes)
}

// byID finds a key. Errors: database.ErrNotFound.
func (r *Repository) byID(ctx context.Context, portalID ids.Portal, id ids.APIKey) (*Key, error) {
	var found row
	err := r.db.From(ctx).Where("portal_id = ? AND id = ?", portalID, id).Take(&found).Error
	if err != nil {
		return nil, database.Err(err)
	}
	return found.key()
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
		PortalID: k.PortalID, ID: k.ID, Name: k.Name, Scopes: string(scopes), KeyHash: k.hash,
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

// touch notes when a key was last used.
func (r *Repository) touch(ctx context.Context, k *Key, now time.Time) error {
	return database.Err(r.db.From(ctx).Model(&row{}).Where("portal_id = ? AND id = ?", k.PortalID, k.ID).
		Update("last_used_at", now.UnixMilli()).Error)
}
