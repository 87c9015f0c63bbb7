package session

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// ErrSubjectChanged means that the account changed, or was disabled, while its password was being checked.
var ErrSubjectChanged = errors.New("session: the account changed meanwhile")

// Service starts and ends sessions.
type Service struct {
	repo   *Repository
	ring   *keyring.Ring
	tokens *AccessTokens
	audit  *audit.Recorder
	now    func() time.Time
}

// NewService keeps sessions in repo and signs access tokens with tokens.
func NewService(repo *Repository, ring *keyring.Ring, tokens *AccessTokens, recorder *audit.Recorder, now func() time.Time) *Service {
	return &Service{repo, ring, tokens, recorder, now}
}

// Start begins a session for an account that proved itself. What was proved is checked once more as the row is
// written, so a session never outlives the password it came from.
//
// Errors: ErrSubjectChanged.
func (s *Service) Start(ctx context.Context, p *portal.Portal, subject Subject, transport string, deviceName *string) (Granted, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Granted{}, err
	}
	now := s.now().UTC().Truncate(time.Millisecond)
	begun := &Session{
		ID: id, Generation: 1, KeyID: s.ring.Primary(), Transport: transport, CreatedAt: now,
		ExpiresAt: now.Add(p.RefreshTokenTTL.Duration()), EndsAt: now.Add(p.SessionMaxAge.Duration()),
	}
	granted, err := s.grant(ctx, p, begun, subject, now)
	if err != nil {
		return Granted{}, err
	}
	inserted, err := s.repo.insert(ctx, p.ID, subject, begun, deviceName)
	if err == nil && !inserted {
		err = ErrSubjectChanged
	}
	if err != nil {
		return Granted{}, err
	}
	return granted, nil
}

// grant makes the tokens of a session.
func (s *Service) grant(ctx context.Context, p *portal.Portal, of *Session, subject Subject, now time.Time) (Granted, error) {
	access, err := s.tokens.sign(ctx, p, of.ID, subject)
	if err != nil {
		return Granted{}, err
	}
	refresh, err := refreshToken(s.ring, p.ID, of)
	if err != nil {
		return Granted{}, err
	}
	end := of.ExpiresAt
	if of.EndsAt.Before(end) {
		end = of.EndsAt
	}
	return Granted{
		SessionID: of.ID, At: now, AccessToken: access, ExpiresIn: p.AccessTokenTTL.Duration(),
		RefreshToken: refresh, RefreshExpiresIn: end.Sub(now),
	}, nil
}

// LogOut ends the session of a refresh token, whichever generation it is of. A token that names no living session
// is as good as logged out already.
func (s *Service) LogOut(ctx context.Context, p *portal.Portal, token string) error {
	id, _, err := readRefreshToken(s.ring, p.ID, token)
	if errors.Is(err, keyring.ErrForged) {
		return nil
	}
	if err != nil {
		return err
	}
	account, err := s.repo.end(ctx, p.ID, id, s.now())
	if errors.Is(err, database.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.audit.Record(ctx, audit.Event{
		PortalID: p.ID, Type: audit.Logout, AccountID: uuid.NullUUID{UUID: account, Valid: true},
	})
}
