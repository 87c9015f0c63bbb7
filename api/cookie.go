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

// setRefreshCookie hands a browser its refresh token: out of reach of scripts, for this host and this portal's path
// alone. A life that is over takes it away.
func (s *Server) setRefreshCookie(c echo.Context, token string, life time.Duration) {
	p := portalOf(c)
	cookie := &http.Cookie{ //nolint:gosec // it has all three; SameSite is the portal's setting
		Name: refreshCookieName, Value: token, Path: s.publicPath() + "/v1/portals/" + p.Slug,
		Secure: true, HttpOnly: true, SameSite: sameSite[p.CookieSameSite], MaxAge: int(seconds(life)),
	}
	c.SetCookie(cookie)
}

// refreshCookie is the refresh token that a browser sent along; "" is none.
func (s *Server) refreshCookie(c echo.Context) string {
	cookie, err := c.Cookie(refreshCookieName)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// publicPath is the path below which callers reach this server, without a slash at its end.
func (s *Server) publicPath() string {
	u, err := url.Parse(s.publicURL)
	if err != nil {
		return ""
	}
	return u.Path
}
