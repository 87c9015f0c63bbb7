package portal

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// Repository keeps portals.
type Repository struct{ db *database.DB }

// NewRepository keeps portals in db.
func NewRepository(db *database.DB) *Repository { return &Repository{db} }

// row is a portal as the table has it; times are Unix milliseconds.
type row struct {
	ID        ids.Portal
	Slug      string
	Settings  string
	Version   int64
	CreatedAt int64
	UpdatedAt int64
}

func (row) TableName() string { return "portals" }

func (r row) portal() (*Portal, error) {
	p := &Portal{
		ID: r.ID, Slug: r.Slug, Settings: Defaults(), version: r.Version,
		CreatedAt: time.UnixMilli(r.CreatedAt).UTC(), UpdatedAt: time.UnixMilli(r.UpdatedAt).UTC(),
	}
	// Decoded over the defaults: a setting that a later version brought has its default in an older row.
	if err := json.Unmarshal([]byte(r.Settings), &p.Settings); err != nil {
		return nil, fmt.Errorf("settings of portal %s: %w", r.ID, err)
	}
	return p, nil
}

func (r *Repository) living(ctx context.Context) *gorm.DB {
	return r.db.From(ctx).Where("deleted_at IS NULL")
}

// bySlug finds a living portal. Errors: database.ErrNotFound.
func (r *Repository) bySlug(ctx context.Context, slug string) (*Portal, error) {
	var found row
	if err := r.living(ctx).Where("slug = ?", slug).Take(&found).Error; err != nil {
		return nil, database.Err(err)
	}
	return found.portal()
}

// byID finds a living portal. Errors: database.ErrNotFound.
func (r *Repository) byID(ctx context.Context, id ids.Portal) (*Portal, error) {
	var found row
	if err := r.living(ctx).Where("id = ?", id).Take(&found).Error; err != nil {
		return nil, database.Err(err)
	}
	return found.portal()
}

// slugOfDomain finds the portal whose login page stands on a domain. Errors: database.ErrNotFound.
func (r *Repository) slugOfDomain(ctx context.Context, domain string) (slug string, err error) {
	ctx = database.AcrossPortals(ctx, "a domain leads to its portal")
	err = r.db.From(ctx).Raw(`SELECT p.slug FROM portal_domains d JOIN portals p ON p.id = d.portal_id
		WHERE d.domain = ? AND p.deleted_at IS NULL`, domain).Row().Scan(&slug)
	return slug, database.Err(err)
}

// page lists living portals, newest first, from before the id.
func (r *Repository) page(ctx context.Context, before ids.Portal, limit int) ([]*Portal, error) {
	var rows []row
	query := r.living(ctx)
	if !before.IsZero() {
		query = query.Where("id < ?", before)
	}
	if err := query.Order("id DESC").Limit(limit).Find(&rows).Error; err != nil {
		return nil, database.Err(err)
	}
	portals := make([]*Portal, 0, len(rows))
	for _, found := range rows {
		p, err := found.portal()
		if err != nil {
			return nil, err
		}
		portals = append(portals, p)
	}
	return portals, nil
}

// insert adds a portal. Errors: *database.ConflictError on slug, or on domain.
func (r *Repository) insert(ctx context.Context, p *Portal) error {
	settings, err := json.Marshal(p.Settings)
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	return r.db.InTx(ctx, func(ctx context.Context) error {
		err := r.db.From(ctx).Create(&row{
			ID: p.ID, Slug: p.Slug, Settings: string(settings), Version: 1,
			CreatedAt: p.CreatedAt.UnixMilli(), UpdatedAt: p.UpdatedAt.UnixMilli(),
		}).Error
		if err != nil {
			return database.Err(err)
		}
		return r.putDomains(ctx, p)
	})
}

// update writes the settings if nobody else did since p was read. Errors: database.ErrNotFound when somebody did, or
// the portal is gone; *database.ConflictError on domain.
func (r *Repository) update(ctx context.Context, p *Portal) error {
	settings, err := json.Marshal(p.Settings)
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	return r.db.InTx(ctx, func(ctx context.Context) error {
		err := database.Changed(r.db.From(ctx).Exec(`UPDATE portals SET settings = ?, version = version + 1, updated_at = ?
			WHERE id = ? AND version = ? AND deleted_at IS NULL`, string(settings), p.UpdatedAt.UnixMilli(), p.ID, p.version))
		if err != nil {
			return err
		}
		return r.putDomains(ctx, p)
	})
}

func (r *Repository) putDomains(ctx context.Context, p *Portal) error {
	if err := r.db.From(ctx).Exec("DELETE FROM portal_domains WHERE portal_id = ?", p.ID).Error; err != nil {
		return database.Err(err)
	}
	for _, domain := range p.Domains {
		err := r.db.From(ctx).Exec("INSERT INTO portal_domains (domain, portal_id) VALUES (?, ?)", domain, p.ID).Error
		if err != nil {
			return database.Err(err)
		}
	}
	return nil
}

// retire empties a portal's row, which stays to keep its slug, and frees its domains. Errors: database.ErrNotFound.
func (r *Repository) retire(ctx context.Context, id ids.Portal, now time.Time) error {
	err := database.Changed(r.db.From(ctx).Exec(`UPDATE portals SET settings = '{}', version = version + 1, deleted_at = ?
		WHERE id = ? AND deleted_at IS NULL`, now.UnixMilli(), id))
	if err != nil {
		return err
	}
	return database.Err(r.db.From(ctx).Exec("DELETE FROM portal_domains WHERE portal_id = ?", id).Error)
}
