package api

import (
	"math"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/login"
	"github.com/latchkey-auth/latchkey/pkg/session"
)

// maxDeviceName and maxResource are in code points, maxToken is in octets.
const (
	maxDeviceName = 100
	maxResource   = 128
	maxToken      = 512
)

// sessionRequest holds the options of a new session.
type sessionRequest struct {
	Transport  optional[string] `json:"transport"`
	DeviceName optional[string] `json:"device_name"`
}

// begin checks the request.
func (r *sessionRequest) begin(k *check) session.Begin {
	how := session.Begin{Transport: session.TransportToken, DeviceName: r.DeviceName.pointer()}
	if r.Transport.Set {
		how.Transport = r.Transport.Value
		k.OneOf("/transport", r.Transport.Value, session.TransportToken, session.TransportCookie)
	}
	k.Longest("/device_name", r.DeviceName.Value, maxDeviceName)
	return how
}

// allowTransport refuses cookies to callers that are no page of the portal's. Errors: origin_not_allowed.
func allowTransport(c echo.Context, how session.Begin) error {
	if how.Transport == session.TransportCookie && !fromOwnOrigin(c, portalOf(c)) {
		return fault.New(fault.OriginNotAllowed)
	}
	return nil
}

type logInRequest struct {
	sessionRequest

	Email          string           `json:"email"`
	Password       string           `json:"password"`
	DeviceToken    optional[string] `json:"device_token"`
	RememberDevice optional[bool]   `json:"remember_device"`
	Resource       optional[string] `json:"resource"`
}

// attempt checks the request. Errors: validation_failed, origin_not_allowed.
func (r *logInRequest) attempt(c echo.Context) (login.Attempt, error) {
	var k check
	how := r.begin(&k)
	try := login.Attempt{
		Email: k.email(r.Email), Password: r.Password, Transport: how.Transport, DeviceName: how.DeviceName,
		Resource: r.Resource.Value,
	}
	k.password("/password", r.Password)
	k.Longest("/resource", r.Resource.Value, maxResource)
	k.Longest("/device_token", r.DeviceToken.Value, maxToken)
	if err := k.Err(); err != nil {
		return try, err
	}
	return try, allowTransport(c, how)
}

// signedInBody answers a login. With cookies it has no refresh token.
type signedInBody struct {
	AccessToken      string      `json:"access_token"`
	TokenType        string      `json:"token_type"`
	ExpiresIn        int64       `json:"expires_in"`
	RefreshToken     string      `json:"refresh_token,omitempty"`
	RefreshExpiresIn int64       `json:"refresh_expires_in"`
	Account          accountBody `json:"account"`
}

// logIn answers POST /v1/portals/{portal}/login.
func (s *Server) logIn(c echo.Context) error {
	var req logInRequest
	if err := decode(c, &req); err != nil {
		return err
	}
	noteEmail(c, req.Email)
	try, err := req.attempt(c)
	if err != nil {
		return err
	}
	in, err := s.login.WithPassword(c.Request().Context(), portalOf(c), try)
	s.metrics.loggedIn(err)
	if err != nil {
		return err
	}
	return s.respondSignedIn(c, http.StatusOK, in)
}

func (s *Server) respondSignedIn(c echo.Context, status int, in session.Granted) error {
	body := signedInBody{
		AccessToken: in.AccessToken, TokenType: "Bearer", ExpiresIn: seconds(in.ExpiresIn),
		RefreshToken: in.RefreshToken, RefreshExpiresIn: seconds(in.RefreshExpiresIn), Account: accountOut(in.Account),
	}
	if in.Transport == session.TransportCookie {
		s.setRefreshCookie(c, in.RefreshToken, in.RefreshExpiresIn)
		body.RefreshToken = ""
	}
	return respond(c, status, body)
}

// seconds rounds up, because a life of zero seconds reads as ended, and a cookie with Max-Age 0 as one without an end.
func seconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }
