package api

import (
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/login"
	"github.com/latchkey-auth/latchkey/pkg/session"
)

type refreshRequest struct {
	RefreshToken optional[string] `json:"refresh_token"`
}

// refreshTokenOf is the refresh token in the body or in the cookie. The cookie is only taken from a page of the portal,
// because browsers send it with the requests of any page.
//
// Errors: session_invalid for neither, as of a browser that lost its cookie, and for two cookies; validation_failed for
// a body without a token, or with a token and a cookie; origin_not_allowed.
func (s *Server) refreshTokenOf(c echo.Context) (token string, fromCookie bool, err error) {
	var req refreshRequest
	empty := c.Request().ContentLength == 0
	if err := decodeOptional(c, &req); err != nil {
		return "", false, err
	}
	cookies := refreshCookies(c)
	switch {
	case empty && len(cookies) == 0:
		return "", false, fault.New(fault.SessionInvalid)
	case req.RefreshToken.Set && len(cookies) > 0:
		return "", false, fault.Invalid(fault.Field{Pointer: "/refresh_token", Code: fault.FieldConflict})
	case req.RefreshToken.Value != "":
		return req.RefreshToken.Value, false, nil
	case len(cookies) == 0:
		return "", false, fault.Invalid(fault.Field{Pointer: "/refresh_token", Code: fault.FieldRequired})
	case !fromOwnOrigin(c, portalOf(c)):
		return "", false, fault.New(fault.OriginNotAllowed)
	case len(cookies) > 1:
		s.clearRefreshCookies(c) // another host of the domain may have set one of two, to bring in a session of its own
		return "", false, fault.New(fault.SessionInvalid)
	}
	return cookies[0], true, nil
}

// refreshSession answers POST /v1/portals/{portal}/sessions/refresh, by the transport of the request.
func (s *Server) refreshSession(c echo.Context) error {
	token, fromCookie, err := s.refreshTokenOf(c)
	if err != nil {
		return err
	}
	in, err := s.sessions.Refresh(c.Request().Context(), portalOf(c), token)
	s.metrics.refreshed(err)
	if err != nil {
		if fromCookie && (fault.CodeOf(err) == fault.SessionInvalid || fault.CodeOf(err) == fault.RefreshTokenReused) {
			s.setRefreshCookie(c, "", -time.Second)
		}
		return err
	}
	in.Transport = session.TransportToken
	if fromCookie {
		in.Transport = session.TransportCookie
	}
	return s.respondSignedIn(c, http.StatusOK, in)
}

// logOut answers POST /v1/portals/{portal}/logout.
func (s *Server) logOut(c echo.Context) error {
	token, fromCookie, err := s.refreshTokenOf(c)
	if fault.CodeOf(err) == fault.SessionInvalid {
		return s.logOutAll(c)
	}
	if err != nil {
		return err
	}
	if err := s.sessions.LogOut(c.Request().Context(), portalOf(c), token); err != nil {
		return err
	}
	if fromCookie {
		s.setRefreshCookie(c, "", -time.Second)
	}
	return c.NoContent(http.StatusNoContent)
}

// logOutAll ends the sessions of all refresh cookies, of which there are none or several.
func (s *Server) logOutAll(c echo.Context) error {
	for _, token := range refreshCookies(c) {
		if err := s.sessions.LogOut(c.Request().Context(), portalOf(c), token); err != nil {
			return err
		}
	}
	return c.NoContent(http.StatusNoContent)
}

// sessionBody is a session as its owner sees it.
type sessionBody struct {
	ID         ids.Session `json:"id"`
	Current    bool        `json:"current"`
	DeviceName *string     `json:"device_name"`
	Network    string      `json:"network"`
	UserAgent  string      `json:"user_agent"`
	CreatedAt  timestamp   `json:"created_at"`
	LastUsedAt timestamp   `json:"last_used_at"`
	ExpiresAt  timestamp   `json:"expires_at"`
}

// listSessions answers GET /v1/portals/{portal}/me/sessions.
func (s *Server) listSessions(c echo.Context) error {
	page, err := pageOf(c)
	if err != nil {
		return err
	}
	before := ids.Session{UUID: page.before}
	sessions, err := s.sessions.List(c.Request().Context(), portalOf(c), accountOf(c), before, page.limit+1)
	if err != nil {
		return err
	}
	current := identityOf(c).SessionID
	return respondPage(c, page, sessions, func(of *session.Session) sessionBody {
		return sessionBody{
			ID: of.ID, Current: of.ID == current, DeviceName: of.DeviceName, Network: of.Network, UserAgent: of.UserAgent,
			CreatedAt: timestamp(of.CreatedAt), LastUsedAt: timestamp(of.LastUsedAt()), ExpiresAt: timestamp(of.End()),
		}
	}, func(of *session.Session) uuid.UUID { return of.ID.UUID })
}

// endSession answers DELETE /v1/portals/{portal}/me/sessions/{id}.
func (s *Server) endSession(c echo.Context) error {
	id, err := idOf[ids.Session](c)
	if err != nil {
		return err
	}
	if err := noBody(c); err != nil {
		return err
	}
	if err := s.sessions.End(c.Request().Context(), portalOf(c), accountOf(c).ID, id); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

type changePasswordRequest struct {
	CurrentPassword string `json:"current_password"`
	NewPassword     string `json:"new_password"`
}

// changePassword answers POST /v1/portals/{portal}/me/password.
func (s *Server) changePassword(c echo.Context) error {
	var req changePasswordRequest
	if err := decode(c, &req); err != nil {
		return err
	}
	var k check
	k.password("/current_password", req.CurrentPassword)
	k.password("/new_password", req.NewPassword)
	if err := k.Err(); err != nil {
		return err
	}
	if err := s.limitPasswords(accountOf(c).ID.String(), s.limits.OwnPasswords); err != nil {
		return err
	}
	err := s.login.ChangeOwnPassword(c.Request().Context(), portalOf(c), accountOf(c), login.PasswordChange{
		Session: identityOf(c).SessionID, Current: req.CurrentPassword, New: req.NewPassword,
	})
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
