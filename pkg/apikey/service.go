package apikey

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/clock"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// usedWithin is how exactly a key's last use is kept: not every call writes a row.
const usedWithin = time.Minute

// Service makes, checks and revokes keys. A key is read for every call, so a revoked one is refused at once on every
// instance.
type Service struct {
	repo  *Repository
	audit *audit.Recorder
	clock clock.Clock
}

// Dependencies are what a Service works with.
type Dependencies struct {
	APIKeys *Repository
	Audit   *audit.Recorder
	Now     clock.Clock
}

// NewService makes a service of its dependencies.
func NewService(with Dependencies) *Service {
	return &Service{
		repo: with.APIKeys, audit: with.Audit, clock: with.Now,
	}
}

// Authenticate finds the key of a text. Errors: authentication_required when there is none, or it has expired.
func (s *Service) Authenticate(ctx context.Context, text string) (*Key, error) {
	portalID, id, ok := readText(text)
	if !ok {
		return nil, fault.New(fault.AuthenticationRequired)
	}
	k, err := s.repo.byID(ctx, portalID, id)
	if errors.Is(err, database.ErrNotFound) {
		return nil, fault.New(fault.AuthenticationRequired)
	}
	if err != nil {
		return nil, err
	}
	now := s.clock.Now()
	if subtle.ConstantTimeCompare(k.hash, hashOf(text)) != 1 || (k.ExpiresAt != nil && !now.Before(*k.ExpiresAt)) {
		return nil, fault.New(fault.AuthenticationRequired)
	}
	if k.LastUsedAt == nil || now.Sub(*k.LastUsedAt) >= usedWithin {
		if err := s.repo.touch(ctx, k, now); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// KeyRequest is a key to be made. Its portal is the zero id for every portal; ExpiresIn zero is never.
type KeyRequest struct {
	Name      string
	Scopes    []Scope
	PortalID  ids.Portal
	ExpiresIn time.Duration
}

// Limits of a key: its name in code points, and its life.
const (
	maxName = 100
	minLife = time.Minute
	maxLife = 10 * 365 * 24 * time.Hour
)

// Check names every member that is wrong; ofPortal says whether the key is to be one portal's.
//
// Errors: validation_failed.
func (w *KeyRequest) Check(ofPortal bool) error {
	var wrong fault.Fields
	w.Name = strings.TrimSpace(w.Name)
	if w.Name == "" {
		wrong.Wrong("/name", fault.FieldRequired)
	}
	wrong.Longest("/name", w.Name, maxName)
	if len(w.Scopes) == 0 {
		wrong.Wrong("/scopes", fault.FieldRequired)
	}
	for i, scope := range w.Scopes {
		pointer := fmt.Sprintf("/scopes/%d", i)
		if !slices.Contains(Scopes(), scope) {
			wrong.Wrong(pointer, fault.FieldNotAllowed)
		} else if slices.Contains(w.Scopes[:i], scope) {
			wrong.Wrong(pointer, fault.FieldDuplicate)
		}
	}
	switch everywhere := slices.Contains(w.Scopes, Operator); {
	case everywhere && ofPortal:
		wrong.Wrong("/portal", fault.FieldConflict)
	case !everywhere && !ofPortal:
		wrong.Wrong("/portal", fault.FieldRequired)
	}
	if w.ExpiresIn != 0 && (w.ExpiresIn < minLife || w.ExpiresIn > maxLife) {
		wrong.Wrong("/expires_in", fault.FieldOutOfRange)
	}
	return wrong.Err()
}

// Create makes a key and gives its text, which is shown this once.
func (s *Service) Create(ctx context.Context, w KeyRequest) (*Key, string, error) {
	id, err := ids.New[ids.APIKey]()
	if err != nil {
		return nil, "", err
	}
	text, now := newText(w.PortalID, id), s.clock.Now()
	k := &Key{ID: id, PortalID: w.PortalID, Name: w.Name, Scopes: w.Scopes, CreatedAt: now, hash: hashOf(text)}
	if w.ExpiresIn > 0 {
		end := now.Add(w.ExpiresIn)
		k.ExpiresAt = &end
	}
	if err := s.repo.insert(ctx, k); err != nil {
		return nil, "", err
	}
	return k, text, s.audit.Record(ctx, audit.OfTarget(w.PortalID, audit.APIKeyCreated, audit.APIKeyTarget(k.ID, k.Name)))
}

// List pages through keys, newest first: those of one portal, or all.
func (s *Service) List(ctx context.Context, of *ids.Portal, before ids.APIKey, limit int) ([]*Key, error) {
	return s.repo.page(ctx, of, before, limit)
}

// Revoke ends a key, of one portal or of any. Errors: not_found.
func (s *Service) Revoke(ctx context.Context, of *ids.Portal, id ids.APIKey) error {
	k, err := s.repo.delete(ctx, of, id)
	if errors.Is(err, database.ErrNotFound) {
		return fault.New(fault.NotFound)
	}
	if err != nil {
		return err
	}
	return s.audit.Record(ctx, audit.OfTarget(k.PortalID, audit.APIKeyRevoked, audit.APIKeyTarget(k.ID, k.Name)))
}
