package session

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-auth/latchkey/pkg/accesstoken"
	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/clock"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// ErrChanged means that the account changed, was disabled or locked while its password was being checked.
var ErrChanged = errors.New("session: the account changed meanwhile")

// Service starts, refreshes and ends sessions.
type Service struct {
	repo   *Repository
	ring   *keyring.Ring
	tokens *accesstoken.Tokens
	audit  *audit.Recorder
	clock  clock.Clock
}

// Dependencies are what a Service works with.
type Dependencies struct {
	Sessions *Repository
	Ring     *keyring.Ring
	Tokens   *accesstoken.Tokens
	Audit    *audit.Recorder
	Now      clock.Clock
}

// NewService makes a service of its dependencies.
func NewService(with Dependencies) *Service {
	return &Service{
		repo: with.Sessions, ring: with.Ring, tokens: with.Tokens, audit: with.Audit, clock: with.Now,
	}
}

// Begin says how a session is to begin.
type Begin struct {
	Transport  string
	DeviceName *string
	// Guarded is the digest of the address whose lock shuts this door; zero for doors that a lock does not shut.
	Guarded digest.Digest
}

// Start begins a session for an account that proved itself. What was proved is checked once more as the row is
// written, so a session never outlives the password it came from.
//
// Errors: ErrChanged.
func (s *Service) Start(ctx context.Context, p *portal.Portal, a *account.Account, how Begin) (Granted, error) {
	id, err := ids.New[ids.Session]()
	if err != nil {
		return Granted{}, err
	}
	now, caller := s.clock.Now(), audit.CallerOf(ctx)
	begun := &Session{
		ID: id, Generation: 1, KeyID: s.ring.Primary(), Transport: how.Transport, DeviceName: how.DeviceName,
		Network: caller.Network, UserAgent: caller.UserAgent, CreatedAt: now,
		ExpiresAt: now.Add(p.RefreshTokenTTL.Duration()), EndsAt: now.Add(p.SessionMaxAge.Duration()),
	}
	a.LastLoginAt = &now
	granted, err := s.grant(ctx, p, begun, a, now)
	if err != nil {
		return Granted{}, err
	}
	inserted, err := s.repo.insert(ctx, p.ID, a, begun, how.Guarded)
	if err == nil && !inserted {
		err = ErrChanged
	}
	if err != nil {
		return Granted{}, err
	}
	return granted, nil
}

// grant makes the tokens of a session.
func (s *Service) grant(ctx context.Context, p *portal.Portal, of *Session, a *account.Account, now time.Time) (Granted, error) {
	access, err := s.tokens.Sign(ctx, p, accesstoken.Subject{
		AccountID: a.ID, SessionID: of.ID, Roles: a.Roles, Entitlements: a.Entitlements,
	})
	if err != nil {
		return Granted{}, err
	}
	refresh, err := refreshToken(s.ring, p.ID, of)
	if err != nil {
		return Granted{}, err
	}
	return Granted{
		Account: a, Transport: of.Transport, AccessToken: access, ExpiresIn: p.AccessTokenTTL.Duration(),
		RefreshToken: refresh, RefreshExpiresIn: of.End().Sub(now),
	}, nil
}

// Refresh gives a session's next tokens.
//
// Errors: session_invalid; refresh_token_reused when the token is an old one: the whole session has ended then.
func (s *Service) Refresh(ctx context.Context, p *portal.Portal, token string) (Granted, error) {
	id, generation, err := readRefreshToken(s.ring, p.ID, token)
	if errors.Is(err, keyring.ErrForged) {
		return Granted{}, fault.New(fault.SessionInvalid)
	}
	if err != nil {
		return Granted{}, err
	}
	now := s.clock.Now()
	refresh := func() (*Session, *account.Account, error) {
		return s.repo.refresh(ctx, p.ID, id, generation, s.ring.Primary(), now.Add(p.RefreshTokenTTL.Duration()),
			p.RefreshGrace.Duration(), now)
	}
	of, a, err := refresh()
	if errors.Is(err, errOwnerless) {
		// Where the password is being changed in this session, Postgres shows the session as it is once that has
		// committed, but the account as it was before. A second look sees both; the grace forgives it.
		of, a, err = refresh()
	}
	var reused reusedError
	switch {
	case errors.Is(err, database.ErrNotFound):
		return Granted{}, fault.New(fault.SessionInvalid)
	case errors.Is(err, errOwnerless):
		// Ended here, or the same token would look stolen once the grace is over.
		if _, err := s.repo.end(ctx, p.ID, id, now); err != nil && !errors.Is(err, database.ErrNotFound) {
			return Granted{}, err
		}
		return Granted{}, fault.New(fault.SessionInvalid)
	case errors.As(err, &reused):
		return Granted{}, s.stolen(ctx, p, reused.account)
	case err != nil:
		return Granted{}, err
	}
	return s.grant(ctx, p, of, a, now)
}

// stolen records that a session has ended because an old token of it came back, though the caller hangs up.
func (s *Service) stolen(ctx context.Context, p *portal.Portal, owner ids.Account) error {
	ctx, cancel := database.Detached(ctx)
	defer cancel()
	why := fault.New(fault.RefreshTokenReused)
	if err := s.audit.Record(ctx, audit.OfAccount(p.ID, audit.Refresh, owner, digest.Digest{}).Failed(why)); err != nil {
		why.Cause = err // for the log: what the caller is told has happened all the same
	}
	return why
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
	owner, err := s.repo.end(ctx, p.ID, id, s.clock.Now())
	if errors.Is(err, database.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.record(ctx, p, audit.Logout, owner)
}

// List gives an account's living sessions, newest first, from before the id.
func (s *Service) List(ctx context.Context, p *portal.Portal, a *account.Account, before ids.Session, limit int) ([]*Session, error) {
	return s.repo.living(ctx, p.ID, a, s.clock.Now(), before, limit)
}

// End ends one session of an account. Errors: not_found.
func (s *Service) End(ctx context.Context, p *portal.Portal, accountID ids.Account, id ids.Session) error {
	err := s.repo.endOf(ctx, p.ID, accountID, id, s.clock.Now())
	if errors.Is(err, database.ErrNotFound) {
		return fault.New(fault.NotFound)
	}
	if err != nil {
		return err
	}
	return s.record(ctx, p, audit.SessionEnded, accountID)
}

// EndAll ends every session of an account.
func (s *Service) EndAll(ctx context.Context, p *portal.Portal, accountID ids.Account) error {
	if err := s.repo.endAll(ctx, p.ID, accountID, s.clock.Now()); err != nil {
		return err
	}
	return s.record(ctx, p, audit.SessionsEnded, accountID)
}

// Keep lets one session outlive the account's new stamp.
func (s *Service) Keep(ctx context.Context, p *portal.Portal, id ids.Session, stamp uuid.UUID) error {
	return s.repo.keep(ctx, p.ID, id, stamp)
}

func (s *Service) record(ctx context.Context, p *portal.Portal, what audit.Type, accountID ids.Account) error {
	return s.audit.Record(ctx, audit.OfAccount(p.ID, what, accountID, digest.Digest{}))
}
