package api

import (
	"math"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// lockStatusBody is the lock and the failure count of an address. At a private portal the counts are null.
type lockStatusBody struct {
	Locked            bool       `json:"locked"`
	LockedUntil       *timestamp `json:"locked_until"`
	RetryAfterSeconds int        `json:"retry_after_seconds"`
	FailedAttempts    *int       `json:"failed_attempts"`
	AttemptsRemaining *int       `json:"attempts_remaining"`
	Threshold         int        `json:"threshold"`
}

// lockoutStatus answers POST /v1/portals/{portal}/lockout-status.
func (s *Server) lockoutStatus(c echo.Context) error {
	address, err := decodeEmail(c)
	if err != nil {
		return err
	}
	p := portalOf(c)
	status, err := s.login.LockStatus(c.Request().Context(), p, address)
	if err != nil {
		return err
	}
	body := lockStatusBody{
		Locked: status.LockedUntil != nil, LockedUntil: (*timestamp)(status.LockedUntil),
		RetryAfterSeconds: int(math.Ceil(status.RetryAfter.Seconds())), Threshold: p.Lockout.Threshold,
	}
	if !p.Private() {
		body.FailedAttempts, body.AttemptsRemaining = &status.Failed, &status.Remaining
	}
	return respond(c, http.StatusOK, body)
}

// unlockAccount answers POST /v1/admin/portals/{portal}/accounts/{id}/unlock.
func (s *Server) unlockAccount(c echo.Context) error {
	a, err := s.accountInPath(c)
	if err != nil {
		return err
	}
	if err := s.login.Unlock(c.Request().Context(), portalOf(c), a); err != nil {
		return err
	}
	return s.respondAccount(c, http.StatusOK, a)
}

// endAccountSessions answers DELETE /v1/admin/portals/{portal}/accounts/{id}/sessions.
func (s *Server) endAccountSessions(c echo.Context) error {
	a, err := s.accountInPath(c)
	if err != nil {
		return err
	}
	if err := s.sessions.EndAll(c.Request().Context(), portalOf(c), a.ID); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// accountInPath reads the account of a call without a body. Errors: not_found.
func (s *Server) accountInPath(c echo.Context) (*account.Account, error) {
	id, err := idOf[ids.Account](c)
	if err != nil {
		return nil, err
	}
	if err := noBody(c); err != nil {
		return nil, err
	}
	return s.accounts.Get(c.Request().Context(), portalOf(c), id)
}
