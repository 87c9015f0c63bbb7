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

// row is a portal as the table has it. Times are Unix milliseconds; GORM would write seconds into UpdatedAt by itself.
type row struct {
	ID        ids.Portal
	Slug      string
	Settings  string
	Version   int64
	CreatedAt int64 `gorm:"autoCreateTime:false"`
	UpdatedAt int64 `gorm:"autoUpdateTime:false"`
}

// TableName names the table for GORM.
func (row) TableName() string { return "portals" }

// domainRow is a domain of a portal's login page as the table has it.
type domainRow struct {
	Domain   string
	PortalID ids.Portal
}

// TableName names the table for GORM.
func (domainRow) TableName() string { return "portal_domains" }

func (r row) portal() (*Portal, error) {
	p := &Portal{
		ID: r.ID, Slug: r.Slug, Settings: Defaults(), version: r.Version,
		CreatedAt: time.UnixMilli(r.CreatedAt).UTC(), UpdatedAt: time.UnixMilli(r.UpdatedAt).UTC(),
	}
	// Decoded over the defaults, so that a setting which an older version did not know has its default.
	if err := json.Unmarshal([]byte(r.Settings), &p.Settings); err != nil {
		return nil, fmt.Errorf("settings of portal %s: %w", r.ID, err)
	}
	return p, nil
}

// existing selects the portals that are not deleted.
func (r *Repository) existing(ctx context.Context) *gorm.DB {
	return r.db.From(ctx).Where("deleted_at IS NULL")
}

// bySlug finds a portal. Errors: database.ErrNotFound.
func (r *Repository) bySlug(ctx context.Context, slug string) (*Portal, error) {
	var found row
	if err := r.existing(ctx).Where("slug = ?", slug).Take(&found).Error; err != nil {
		return nil, database.Err(err)
	}
	return found.portal()
}

// byID finds a portal. Errors: database.ErrNotFound.
func (r *Repository) byID(ctx context.Context, id ids.Portal) (*Portal, error) {
	var found row
	if err := r.existing(ctx).Where("id = ?", id).Take(&found).Error; err != nil {
		return nil, database.Err(err)
	}
	return found.portal()
}

// slugOfDomain finds the portal with a domain. Errors: database.ErrNotFound.
func (r *Repository) slugOfDomain(ctx context.Context, domain string) (slug string, err error) {
	ctx = database.AcrossPortals(ctx, "a domain leads to its portal")
	err = r.db.From(ctx).Table("portal_domains d").Select("p.slug").Joins("JOIN portals p ON p.id = d.portal_id").
		Where("d.domain = ? AND p.deleted_at IS NULL", domain).Row().Scan(&slug)
	return slug, database.Err(err)
}

// page lists portals, newest first, from before the id.
func (r *Repository) page(ctx context.Context, before ids.Portal, limit int) ([]*Portal, error) {
	var rows []row
	query := r.existing(ctx)
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

// insert adds a portal. Errors: *database.ConflictError on slug or domain.
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

// update writes the settings unless they changed since p was read.
//
// Errors: database.ErrNotFound when they changed or the portal is gone; *database.ConflictError on domain.
func (r *Repository) update(ctx context.Context, p *Portal) error {
	settings, err := json.Marshal(p.Settings)
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	return r.db.InTx(ctx, func(ctx context.Context) error {
		err := database.Changed(r.existing(ctx).Model(&row{}).Where("id = ? AND version = ?", p.ID, p.version).
			Updates(map[string]any{
				"settings": string(settings), "version": p.version + 1, "updated_at": p.UpdatedAt.UnixMilli(),
			}))
		if err != nil {
			return err
		}
		if err := r.adoptRegistrations(ctx, p); err != nil {
			return err
		}
		return r.putDomains(ctx, p)
	})
}

// adoptRegistrations makes accounts of the unverified registrations of a portal that requires no confirmation: people log
// in to them, so nobody may replace them, and they are not swept. The table is pkg/account's.
func (r *Repository) adoptRegistrations(ctx context.Context, p *Portal) error {
	if p.RequireConfirmation {
		return nil
	}
	return database.Err(r.db.From(ctx).Table("accounts").Where("portal_id = ? AND claimed_at IS NOT NULL", p.ID).
		Updates(map[string]any{"claimed_at": nil, "contested_at": nil}).Error)
}

func (r *Repository) putDomains(ctx context.Context, p *Portal) error {
	if err := r.dropDomains(ctx, p.ID); err != nil || len(p.Domains) == 0 {
		return err
	}
	rows := make([]domainRow, 0, len(p.Domains))
	for _, domain := range p.Domains {
		rows = append(rows, domainRow{domain, p.ID})
	}
	return database.Err(r.db.From(ctx).Create(&rows).Error)
}

func (r *Repository) dropDomains(ctx context.Context, id ids.Portal) error {
	return database.Err(r.db.From(ctx).Where("portal_id = ?", id).Delete(&domainRow{}).Error)
}

// retire empties a portal's row, which keeps its slug from being used again, and frees its domains.
//
// Errors: database.ErrNotFound.
func (r *Repository) retire(ctx context.Context, id ids.Portal, now time.Time) error {
	err := database.Changed(r.existing(ctx).Model(&row{}).Where("id = ?", id).Updates(map[string]any{
		"settings": "{}", "version": gorm.Expr("version + 1"), "deleted_at": now.UnixMilli(),
	}))
	if err != nil {
		return err
	}
	return r.dropDomains(ctx, id)
}
