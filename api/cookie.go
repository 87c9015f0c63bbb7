package api

import (
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/portal"
)

const refreshCookieName = "__Secure-latchkey-refresh"

var sameSite = map[string]http.SameSite{
	"lax": http.SameSiteLaxMode, "strict": http.SameSiteStrictMode, "none": http.SameSiteNoneMode,
}

// setRefreshCookie sends a browser its refresh token. Scripts cannot read the cookie, and browsers send it only to this
// host and this portal's path. A negative life deletes it.
func (s *Server) setRefreshCookie(c echo.Context, token string, life time.Duration) {
	cookie := s.newRefreshCookie(portalOf(c)) //nolint:gosec // the attributes are set there
	cookie.Value, cookie.MaxAge = token, int(seconds(life))
	c.SetCookie(cookie)
}

// newRefreshCookie is an empty refresh cookie of a portal. With SameSite=None it is partitioned (CHIPS), because
// browsers that block third-party cookies keep partitioned ones.
func (s *Server) newRefreshCookie(p *portal.Portal) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // SameSite is the portal's setting
		Name: refreshCookieName, Path: s.publicPath + "/v1/portals/" + p.Slug, Secure: true, HttpOnly: true,
		SameSite: sameSite[p.CookieSameSite], Partitioned: p.CookieSameSite == "none",
	}
}

// maxRefreshCookies is how many refresh cookies of one request are read.
const maxRefreshCookies = 8

// refreshCookies are the refresh tokens in the request's cookies.
func refreshCookies(c echo.Context) []string {
	var tokens []string
	for _, cookie := range c.Request().CookiesNamed(refreshCookieName) {
		if cookie.Value != "" && len(tokens) < maxRefreshCookies {
			tokens = append(tokens, cookie.Value)
		}
	}
	return tokens
}

// clearRefreshCookies deletes the portal's refresh cookie, and those of the same name that another host of the domain
// may have set. Requests do not show path and domain of a cookie, so every pair that reaches this path is deleted.
func (s *Server) clearRefreshCookies(c echo.Context) {
	s.setRefreshCookie(c, "", -time.Second)
	cookie := s.newRefreshCookie(portalOf(c)) //nolint:gosec // the attributes are set there
	own := cookie.Path
	cookie.MaxAge = -1
	domains := append([]string{""}, cookieDomains(s.publicHost)...)
	for _, path := range pathPrefixes(s.publicPath + c.Request().URL.Path) {
		for _, domain := range domains {
			if domain == "" && path == own {
				continue
			}
			cookie.Path, cookie.Domain = path, domain
			c.SetCookie(cookie)
		}
	}
}

// cookieDomains are the domains for which a host receives cookies (RFC 6265 §5.1.3), without top-level ones.
func cookieDomains(host string) []string {
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	var domains []string
	for strings.Contains(host, ".") {
		domains = append(domains, host)
		_, host, _ = strings.Cut(host, ".")
	}
	return domains
}

// pathPrefixes are the paths whose cookies a path receives (RFC 6265 §5.1.4).
func pathPrefixes(path string) []string {
	prefixes := []string{"/"}
	for i := 1; i < len(path); i++ {
		if path[i] == '/' {
			prefixes = append(prefixes, path[:i])
		}
	}
	return append(prefixes, path)
}
