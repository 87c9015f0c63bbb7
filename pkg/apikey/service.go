package apikey

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/account"
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

// Authenticate finds the key with a text. A key that a person made is good only while they have the role admin.
//
// Errors: authentication_required when it does not exist, has expired or has ended with its maker's role.
func (s *Service) Authenticate(ctx context.Context, text string) (*Key, error) {
	portalID, id, ok := readText(text)
	if !ok {
		return nil, fault.New(fault.AuthenticationRequired)
	}
	k, by, err := s.repo.withMaker(ctx, portalID, id)
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
	if !k.MakerID.IsZero() && (by == nil || by.disabled || !slices.Contains(by.roles, account.AdminRole)) {
		return nil, fault.New(fault.AuthenticationRequired)
	}
	if k.LastUsedAt == nil || now.Sub(*k.LastUsedAt) >= usedWithin {
		if err := s.repo.touch(ctx, k, now); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// KeyRequest describes a key to make. The zero PortalID is every portal. The zero ExpiresIn is never, or PersonalLife if a
// person makes the key.
type KeyRequest struct {
	Name      string
	Scopes    []Scope
	PortalID  ids.Portal
	ExpiresIn time.Duration
	MakerID   ids.Account // the person who makes it, or made the key that makes it; zero for none
}

// PersonalLife is how long the key of a person is good if they do not say.
const PersonalLife = 90 * 24 * time.Hour

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
	switch {
	case ofPortal && slices.Contains(r.Scopes, Operator):
		wrong.Wrong("/portal", fault.FieldConflict)
	case !ofPortal && !r.everywhere():
		wrong.Wrong("/portal", fault.FieldRequired)
	}
	if r.ExpiresIn != 0 && (r.ExpiresIn < minLife || r.ExpiresIn > maxLife) {
		wrong.Wrong("/expires_in", fault.FieldOutOfRange)
	}
	return wrong.Err()
}

// everywhere reports whether the key needs no portal: an operator's, or one that only reads metrics.
func (r *KeyRequest) everywhere() bool {
	return slices.Contains(r.Scopes, Operator) || slices.Equal(r.Scopes, []Scope{Metrics})
}

// Create makes a key in the name of the caller of ctx. It returns the key's text, which cannot be read again.
func (s *Service) Create(ctx context.Context, r KeyRequest) (*Key, string, error) {
	id, err := ids.New[ids.APIKey]()
	if err != nil {
		return nil, "", err
	}
	text, now := newText(r.PortalID, id), s.clock.Now()
	k := &Key{
		ID: id, PortalID: r.PortalID, Name: r.Name, Scopes: r.Scopes, CreatedBy: audit.CallerOf(ctx).Actor.String(),
		MakerID: r.MakerID, CreatedAt: now, hash: hashOf(text),
	}
	life := r.ExpiresIn
	if life == 0 && !r.MakerID.IsZero() {
		life = PersonalLife
	}
	if life > 0 {
		end := now.Add(life)
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
	return s.audit.Record(ctx, revoked(k))
}

// RevokeOf ends the keys that a person made at a portal, in the transaction of ctx.
func (s *Service) RevokeOf(ctx context.Context, portalID ids.Portal, makerID ids.Account) error {
	keys, err := s.repo.deleteOf(ctx, portalID, makerID)
	if err != nil {
		return err
	}
	events := make([]audit.Event, 0, len(keys))
	for _, k := range keys {
		events = append(events, revoked(k))
	}
	return s.audit.RecordAll(ctx, events)
}

func revoked(k *Key) audit.Event {
	return audit.OfTarget(k.PortalID, audit.APIKeyRevoked, audit.APIKeyTarget(k.ID, k.Name))
}
