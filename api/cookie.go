package api

import (
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"
)

const refreshCookieName = "__Secure-latchkey-refresh"

var sameSite = map[string]http.SameSite{
	"lax": http.SameSiteLaxMode, "strict": http.SameSiteStrictMode, "none": http.SameSiteNoneMode,
}

// setRefreshCookie sends a browser its refresh token. Scripts cannot read the cookie, and browsers send it only to this
// host and this portal's path. A negative life deletes it.
func (s *Server) setRefreshCookie(c echo.Context, token string, life time.Duration) {
	p := portalOf(c)
	cookie := &http.Cookie{ //nolint:gosec // SameSite is the portal's setting
		Name: refreshCookieName, Value: token, Path: s.publicPath() + "/v1/portals/" + p.Slug,
		Secure: true, HttpOnly: true, SameSite: sameSite[p.CookieSameSite], MaxAge: int(seconds(life)),
	}
	c.SetCookie(cookie)
}

// refreshCookie is the refresh token in the request's cookie; "" for none.
func (s *Server) refreshCookie(c echo.Context) string {
	cookie, err := c.Cookie(refreshCookieName)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// publicPath is the path of the public URL, without a slash at its end.
func (s *Server) publicPath() string {
	u, err := url.Parse(s.publicURL)
	if err != nil {
		return ""
	}
	return u.Path
}
