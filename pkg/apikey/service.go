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

// usedWithin is how precisely the last use of a key is kept, so that not every call writes a row.
const usedWithin = time.Minute

// Service makes, checks and revokes keys. A key is read for every call, so that a revoked one is refused at once on
// every instance.
type Service struct {
	repo  *Repository
	audit *audit.Recorder
	clock clock.Clock
}

// Dependencies are what a Service is made of.
type Dependencies struct {
	APIKeys *Repository
	Audit   *audit.Recorder
	Now     clock.Clock
}

// NewService makes a Service.
func NewService(with Dependencies) *Service {
	return &Service{repo: with.APIKeys, audit: with.Audit, clock: with.Now}
}

// Authenticate finds the key with a text. Errors: authentication_required when it does not exist or has expired.
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

// KeyRequest describes a key to make. The zero PortalID is every portal; the zero ExpiresIn is never.
type KeyRequest struct {
	Name      string
	Scopes    []Scope
	PortalID  ids.Portal
	ExpiresIn time.Duration
}

// Limits of a key: the length of its name in code points, and its life.
const (
	maxName = 100
	minLife = time.Minute
	maxLife = 10 * 365 * 24 * time.Hour
)

// Check lists every member that is wrong. ofPortal says whether the key is for one portal.
//
// Errors: validation_failed.
func (r *KeyRequest) Check(ofPortal bool) error {
	var wrong fault.Fields
	r.Name = strings.TrimSpace(r.Name)
	if r.Name == "" {
		wrong.Wrong("/name", fault.FieldRequired)
	}
	wrong.Longest("/name", r.Name, maxName)
	if len(r.Scopes) == 0 {
		wrong.Wrong("/scopes", fault.FieldRequired)
	}
	for i, scope := range r.Scopes {
		pointer := fmt.Sprintf("/scopes/%d", i)
		if !slices.Contains(Scopes(), scope) {
			wrong.Wrong(pointer, fault.FieldNotAllowed)
		} else if slices.Contains(r.Scopes[:i], scope) {
			wrong.Wrong(pointer, fault.FieldDuplicate)
		}
	}
	switch everywhere := slices.Contains(r.Scopes, Operator); {
	case everywhere && ofPortal:
		wrong.Wrong("/portal", fault.FieldConflict)
	case !everywhere && !ofPortal:
		wrong.Wrong("/portal", fault.FieldRequired)
	}
	if r.ExpiresIn != 0 && (r.ExpiresIn < minLife || r.ExpiresIn > maxLife) {
		wrong.Wrong("/expires_in", fault.FieldOutOfRange)
	}
	return wrong.Err()
}

// Create makes a key. It returns the key's text, which cannot be read again.
func (s *Service) Create(ctx context.Context, r KeyRequest) (*Key, string, error) {
	id, err := ids.New[ids.APIKey]()
	if err != nil {
		return nil, "", err
	}
	text, now := newText(r.PortalID, id), s.clock.Now()
	k := &Key{ID: id, PortalID: r.PortalID, Name: r.Name, Scopes: r.Scopes, CreatedAt: now, hash: hashOf(text)}
	if r.ExpiresIn > 0 {
		end := now.Add(r.ExpiresIn)
		k.ExpiresAt = &end
	}
	if err := s.repo.insert(ctx, k); err != nil {
		return nil, "", err
	}
	return k, text, s.audit.Record(ctx, audit.OfTarget(r.PortalID, audit.APIKeyCreated, audit.APIKeyTarget(k.ID, k.Name)))
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
