package portal

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/clock"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// A stale portal in the cache is read again in the background, an expired one before it is used. So every instance sees
// a change within 5 s, and hardly any caller waits for a read.
const (
	staleAfter   = 2 * time.Second
	expiredAfter = 4 * time.Second
)

// Service finds portals and keeps their settings.
type Service struct {
	repo  *Repository
	audit *audit.Recorder
	clock clock.Clock

	mu    sync.RWMutex
	cache map[string]*cached // by slug; deleted portals are not kept, so the number of portals bounds it
}

type cached struct {
	portal     *Portal
	readAt     time.Time // by the real clock, even in tests that set another
	refreshing atomic.Bool
}

// Dependencies are what a Service is made of.
type Dependencies struct {
	Portals *Repository
	Audit   *audit.Recorder
	Now     clock.Clock
}

// NewService makes a Service.
func NewService(with Dependencies) *Service {
	return &Service{
		repo: with.Portals, audit: with.Audit, clock: with.Now, cache: make(map[string]*cached),
	}
}

// Enabled finds an enabled portal, as people may call it. Errors: organization_not_found, also for a disabled one.
func (s *Service) Enabled(ctx context.Context, slug string) (*Portal, error) {
	p, err := s.Find(ctx, slug)
	if err == nil && !p.Enabled {
		return nil, fault.New(fault.OrganizationNotFound)
	}
	return p, err
}

// EnabledByDomain finds the enabled portal with a domain. Errors: organization_not_found.
func (s *Service) EnabledByDomain(ctx context.Context, domain string) (*Portal, error) {
	canonical, ok := canonicalDomain(domain)
	if !ok {
		return nil, fault.New(fault.OrganizationNotFound)
	}
	slug, err := s.repo.slugOfDomain(ctx, canonical)
	if err != nil {
		return nil, notFound(err)
	}
	return s.Enabled(ctx, slug)
}

// Find finds a portal, enabled or not. Errors: organization_not_found.
func (s *Service) Find(ctx context.Context, slug string) (*Portal, error) {
	if !ValidSlug(slug) {
		return nil, fault.New(fault.OrganizationNotFound)
	}
	s.mu.RLock()
	hit := s.cache[slug]
	s.mu.RUnlock()
	if hit != nil {
		switch age := time.Since(hit.readAt); {
		case age < staleAfter:
			return hit.portal, nil
		case age < expiredAfter:
			s.refresh(slug, hit)
			return hit.portal, nil
		}
	}
	return s.read(ctx, slug)
}

// ByID finds a portal by its id, in the database. Errors: organization_not_found.
func (s *Service) ByID(ctx context.Context, id ids.Portal) (*Portal, error) {
	p, err := s.repo.byID(ctx, id)
	return p, notFound(err)
}

// refresh reads a stale portal again without making its caller wait, once at a time.
func (s *Service) refresh(slug string, hit *cached) {
	if !hit.refreshing.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer hit.refreshing.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), staleAfter)
		defer cancel()
		// An error is left to the caller who finds the portal expired.
		_, _ = s.read(ctx, slug)
	}()
}

func (s *Service) read(ctx context.Context, slug string) (*Portal, error) {
	readAt := time.Now()
	p, err := s.repo.bySlug(ctx, slug)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(err, database.ErrNotFound):
		delete(s.cache, slug)
		return nil, notFound(err)
	case err != nil:
		return nil, err
	}
	if hit := s.cache[slug]; hit == nil || hit.portal.version <= p.version {
		s.cache[slug] = &cached{portal: p, readAt: readAt}
	}
	return p, nil
}

// List pages through portals, newest first.
func (s *Service) List(ctx context.Context, before ids.Portal, limit int) ([]*Portal, error) {
	return s.repo.page(ctx, before, limit)
}

// Each calls do for every portal, disabled ones too, until do fails.
func (s *Service) Each(ctx context.Context, do func(*Portal) error) error {
	const batch = 200
	for before := (ids.Portal{}); ; {
		portals, err := s.repo.page(ctx, before, batch)
		if err != nil {
			return err
		}
		for _, p := range portals {
			if err := do(p); err != nil {
				return err
			}
			before = p.ID
		}
		if len(portals) < batch {
			return nil
		}
	}
}

// Create makes a portal. Errors: validation_failed, with every member that is wrong.
func (s *Service) Create(ctx context.Context, slug string, settings Settings) (*Portal, error) {
	wrong := settings.normalize()
	switch {
	case slug == "":
		wrong.Wrong("/slug", fault.FieldRequired)
	case !ValidSlug(slug):
		wrong.Wrong("/slug", fault.FieldInvalid)
	}
	if err := wrong.Err(); err != nil {
		return nil, err
	}
	id, err := ids.New[ids.Portal]()
	if err != nil {
		return nil, err
	}
	now := s.clock.Now()
	p := &Portal{ID: id, Slug: slug, Settings: settings, CreatedAt: now, UpdatedAt: now, version: 1}
	if err := s.repo.insert(ctx, p); err != nil {
		return nil, taken(err)
	}
	return p, s.audit.Record(ctx, event(audit.PortalCreated, p))
}

// updateTries is how often a change is tried again because another change came first.
const updateTries = 5

// Update changes a portal's settings: apply gets a copy of them, and gets another one each time that another change
// came first.
//
// Errors: those of apply, organization_not_found, validation_failed.
func (s *Service) Update(ctx context.Context, slug string, apply func(*Settings) error) (*Portal, error) {
	return s.updateIf(ctx, slug, apply, func(_, _ *Settings) error { return nil })
}

// UpdateOwn is Update for the administrators of the portal, who may not change the settings of the operator.
//
// Errors: permission_denied, with the settings that are the operator's; Update's.
func (s *Service) UpdateOwn(ctx context.Context, slug string, apply func(*Settings) error) (*Portal, error) {
	return s.updateIf(ctx, slug, apply, keepsOperatorSettings)
}

// check says whether a caller may replace settings by others.
type check func(before, after *Settings) error

func (s *Service) updateIf(
	ctx context.Context, slug string, apply func(*Settings) error, allowed check,
) (*Portal, error) {
	return database.Retry(updateTries, database.ErrNotFound, func() (*Portal, error) {
		return s.update(ctx, slug, apply, allowed)
	})
}

// update is one try. Errors: Update's; database.ErrNotFound when another change came first.
func (s *Service) update(
	ctx context.Context, slug string, apply func(*Settings) error, allowed check,
) (*Portal, error) {
	p, err := s.repo.bySlug(ctx, slug)
	if err != nil {
		return nil, notFound(err)
	}
	before := p.Settings
	p.Settings = p.Clone()
	if err := apply(&p.Settings); err != nil {
		return nil, err
	}
	wrong := p.normalize()
	if err := allowed(&before, &p.Settings); err != nil {
		return nil, err
	}
	if err := wrong.Err(); err != nil {
		return nil, err
	}
	p.UpdatedAt = s.clock.Now()
	if err := s.repo.update(ctx, p); err != nil {
		return nil, taken(err)
	}
	changed, err := changedSettings(&before, &p.Settings)
	if err != nil {
		return nil, err
	}
	if err := s.audit.Record(ctx, event(audit.PortalChanged, p).Changed(changed...)); err != nil {
		return nil, err
	}
	return s.read(ctx, slug)
}

// Retire deletes a portal in the transaction of ctx, except for a row that keeps its slug from being used again.
// Package erasure deletes its data in other tables, and then calls Uncache.
//
// Errors: organization_not_found.
func (s *Service) Retire(ctx context.Context, slug string) (*Portal, error) {
	if !ValidSlug(slug) { // Postgres takes no NUL in a text
		return nil, fault.New(fault.OrganizationNotFound)
	}
	p, err := s.repo.bySlug(ctx, slug)
	if err == nil {
		err = s.repo.retire(ctx, p.ID, s.clock.Now())
	}
	if err != nil {
		return nil, notFound(err)
	}
	return p, s.audit.Record(ctx, event(audit.PortalDeleted, p))
}

// Uncache makes the next call read a portal from the database.
func (s *Service) Uncache(slug string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.cache, slug)
}

// event is about a portal. It belongs to the installation, because the portal's own events are deleted with it.
func event(what audit.Type, p *Portal) audit.Event {
	return audit.OfTarget(audit.Installation, what, audit.PortalTarget(p.ID, p.Slug))
}

func notFound(err error) error {
	if errors.Is(err, database.ErrNotFound) {
		return fault.New(fault.OrganizationNotFound)
	}
	return err
}

// taken names the member whose value another portal has, even a deleted one.
func taken(err error) error {
	switch {
	case database.ConflictOn(err, "slug"):
		return fault.Invalid(fault.Field{Pointer: "/slug", Code: fault.FieldTaken})
	case database.ConflictOn(err, "domain"):
		return fault.Invalid(fault.Field{Pointer: "/domains", Code: fault.FieldTaken})
	}
	return err
}
