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

// ErrChanged means that the account was changed, disabled or locked while its password was being checked.
var ErrChanged = errors.New("session: the account changed meanwhile")

// Service starts, refreshes and ends sessions.
type Service struct {
	repo   *Repository
	ring   *keyring.Ring
	tokens *accesstoken.Tokens
	audit  *audit.Recorder
	clock  clock.Clock
}

// Dependencies are the parts that a Service uses.
type Dependencies struct {
	Sessions *Repository
	Ring     *keyring.Ring
	Tokens   *accesstoken.Tokens
	Audit    *audit.Recorder
	Now      clock.Clock
}

// NewService returns a service that uses the dependencies.
func NewService(with Dependencies) *Service {
	return &Service{
		repo: with.Sessions, ring: with.Ring, tokens: with.Tokens, audit: with.Audit, clock: with.Now,
	}
}

// Begin holds the options of a session that begins.
type Begin struct {
	Methods    []string // how the person was authenticated: names of RFC 8176
	Transport  string
	DeviceName *string
	// Guarded is the digest of the address whose lock forbids this way in; zero for ways in that a lock does not close.
	Guarded digest.Digest
}

// Start begins a session for an account whose owner has been authenticated. The account is checked again as the row is
// written, so that a session never outlives the password it was opened with.
//
// Errors: ErrChanged.
func (s *Service) Start(ctx context.Context, p *portal.Portal, a *account.Account, how Begin) (Granted, error) {
	id, err := ids.New[ids.Session]()
	if err != nil {
		return Granted{}, err
	}
	now, caller := s.clock.Now(), audit.CallerOf(ctx)
	begun := &Session{
		ID: id, Generation: 1, KeyID: s.ring.Primary(), Methods: how.Methods, Transport: how.Transport,
		DeviceName: how.DeviceName, Network: caller.Network, UserAgent: caller.UserAgent, CreatedAt: now,
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
func (s *Service) grant(
	ctx context.Context, p *portal.Portal, of *Session, a *account.Account, now time.Time,
) (Granted, error) {
	access, err := s.tokens.Sign(ctx, p, accesstoken.Subject{
		AccountID: a.ID, SessionID: of.ID, AuthTime: of.CreatedAt, Methods: of.Methods,
		Roles: a.Roles, Entitlements: a.Entitlements,
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

// Refresh returns a session's next tokens.
//
// Errors: session_invalid; refresh_token_reused when the token is an older one, and the whole session has ended.
func (s *Service) Refresh(ctx context.Context, p *portal.Portal, token string) (Granted, error) {
	try, err := readRefreshToken(s.ring, p.ID, token)
	if errors.Is(err, keyring.ErrForged) {
		return Granted{}, fault.New(fault.SessionInvalid)
	}
	if err != nil {
		return Granted{}, err
	}
	now := s.clock.Now()
	try.primary, try.now = s.ring.Primary(), now
	try.expires, try.grace = now.Add(p.RefreshTokenTTL.Duration()), p.RefreshGrace.Duration()
	of, a, err := s.repo.refresh(ctx, p.ID, try)
	changed := errors.Is(err, errAccountChanged)
	if changed {
		// When the password is changed in this session at the same moment, Postgres shows the session as it is after
		// that change, but the account as it was before. Read again, both are the new ones.
		a, err = s.repo.accountOf(ctx, p.ID, try.session)
	}
	var reuse reusedError
	switch {
	case errors.Is(err, database.ErrNotFound) && changed:
		// Without this end the same token would count as stolen after the grace.
		if err := s.repo.end(ctx, p.ID, try.session, now); err != nil && !errors.Is(err, database.ErrNotFound) {
			return Granted{}, err
		}
		return Granted{}, fault.New(fault.SessionInvalid)
	case errors.Is(err, database.ErrNotFound):
		return Granted{}, fault.New(fault.SessionInvalid)
	case errors.As(err, &reuse):
		return Granted{}, s.recordReuse(ctx, p, reuse.account)
	case err != nil:
		return Granted{}, err
	}
	return s.grant(ctx, p, of, a, now)
}

// recordReuse records that a session has ended because an old token of it was presented, even if the caller hangs up. It
// returns the fault for the caller.
func (s *Service) recordReuse(ctx context.Context, p *portal.Portal, owner ids.Account) error {
	ctx, cancel := database.Detached(ctx)
	defer cancel()
	why := fault.New(fault.RefreshTokenReused)
	if err := s.audit.Record(ctx, audit.OfAccount(p.ID, audit.Refresh, owner, digest.Digest{}).Failed(why)); err != nil {
		why.Cause = err // for the log: the session has ended either way
	}
	return why
}

// LogOut ends the session of a refresh token of any generation. A token of no living session is not an error, nor is one
// under a secret key that its generation was not derived under: it ends nothing.
func (s *Service) LogOut(ctx context.Context, p *portal.Portal, token string) error {
	of, err := readRefreshToken(s.ring, p.ID, token)
	if errors.Is(err, keyring.ErrForged) {
		return nil
	}
	if err != nil {
		return err
	}
	of.now = s.clock.Now()
	owner, err := s.repo.endByToken(ctx, p.ID, of)
	if errors.Is(err, database.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.record(ctx, p, audit.Logout, owner)
}

// List returns the sessions of an account that have not ended, newest first. Before is the last session of the page
// before; zero asks for the first page.
func (s *Service) List(
	ctx context.Context, p *portal.Portal, a *account.Account, before ids.Session, limit int,
) ([]*Session, error) {
	return s.repo.living(ctx, p.ID, a, page{before, limit}, s.clock.Now())
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

// Keep gives one session the account's new stamp, so that a change of the password does not end it.
func (s *Service) Keep(ctx context.Context, p *portal.Portal, id ids.Session, stamp uuid.UUID) error {
	return s.repo.keep(ctx, p.ID, id, stamp)
}

func (s *Service) record(ctx context.Context, p *portal.Portal, what audit.Type, accountID ids.Account) error {
	return s.audit.Record(ctx, audit.OfAccount(p.ID, what, accountID, digest.Digest{}))
}
