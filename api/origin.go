package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
	"golang.org/x/net/http/httpguts"

	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// Headers that a page of another origin may send and read.
const (
	allowedHeaders = "Authorization, Content-Type, Accept-Language, X-Request-ID"
	exposedHeaders = "X-Request-ID, Retry-After, WWW-Authenticate, Content-Language, RateLimit, RateLimit-Policy, " +
		"RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset"
	preflightAge = "600" // seconds
)

// publicRoutes can be read by pages of any origin, without credentials.
var publicRoutes = []string{
	"/v1/portals", "/v1/portals/:portal", "/v1/portals/:portal/.well-known/openid-configuration",
	"/.well-known/oauth-authorization-server/v1/portals/:portal", "/.well-known/jwks.json", "/openapi.yaml",
}

// crossOrigin lets the pages of a portal's origins read every answer of that portal, errors included (Fetch §3.2).
func (s *Server) crossOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		s.allowOrigin(c)
		return next(c)
	}
}

// allowOrigin sets the headers that let a browser hand the answer to its page.
func (s *Server) allowOrigin(c echo.Context) {
	h := c.Response().Header()
	if slices.Contains(publicRoutes, c.Path()) {
		h.Set(echo.HeaderAccessControlAllowOrigin, "*")
		h.Set(echo.HeaderAccessControlExposeHeaders, exposedHeaders)
		return
	}
	slug := slugInPath(c)
	if slug == "" {
		return
	}
	h.Add(echo.HeaderVary, echo.HeaderOrigin)
	p, err := s.portals.Find(c.Request().Context(), slug)
	if err != nil || !fromOwnOrigin(c, p) {
		return
	}
	h.Set(echo.HeaderAccessControlAllowOrigin, c.Request().Header.Get(echo.HeaderOrigin))
	h.Set(echo.HeaderAccessControlAllowCredentials, "true")
	h.Set(echo.HeaderAccessControlExposeHeaders, exposedHeaders)
}

// slugInPath is the slug of the portal in the path. Echo reads no parameters of a path without an operation.
func slugInPath(c echo.Context) string {
	if slug := c.Param("portal"); slug != "" {
		return slug
	}
	path := strings.TrimPrefix(c.Request().URL.Path, "/v1")
	rest, found := strings.CutPrefix(strings.TrimPrefix(path, "/admin"), "/portals/")
	if !found {
		return ""
	}
	slug, _, _ := strings.Cut(rest, "/")
	return slug
}

// fromOwnOrigin reports whether the request comes from a page of the portal's origins.
func fromOwnOrigin(c echo.Context, p *portal.Portal) bool {
	origins := c.Request().Header.Values(echo.HeaderOrigin)
	return len(origins) == 1 && slices.Contains(p.Origins, origins[0])
}

// Bounds of the header names that a preflight asks for.
const (
	maxAskedHeaders = 32
	maxAskedOctets  = 1024
)

// askedHeaders are the names of further headers that a page wants to send, such as those of tracing. The server ignores
// them. A list with a malformed name is left out as a whole.
func askedHeaders(c echo.Context) []string {
	asked := strings.Join(c.Request().Header.Values(echo.HeaderAccessControlRequestHeaders), ",")
	if len(asked) > maxAskedOctets {
		return nil
	}
	var names []string
	for name := range strings.SplitSeq(asked, ",") {
		name = strings.Trim(name, " \t")
		if name == "" || slices.ContainsFunc(strings.Split(allowedHeaders, ", "), func(known string) bool {
			return strings.EqualFold(known, name)
		}) {
			continue
		}
		if !httpguts.ValidHeaderFieldName(name) || len(names) == maxAskedHeaders {
			return nil
		}
		names = append(names, strings.ToLower(name))
	}
	return names
}

// preflight answers the preflight request of a browser. Errors: origin_not_allowed.
func (s *Server) preflight(methods []string) echo.HandlerFunc {
	allowed := strings.Join(append(slices.Clone(methods), http.MethodOptions), ", ")
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set(echo.HeaderAllow, allowed)
		if c.Request().Header.Get(echo.HeaderOrigin) == "" {
			return c.NoContent(http.StatusNoContent)
		}
		if h.Get(echo.HeaderAccessControlAllowOrigin) == "" {
			return fault.New(fault.OriginNotAllowed)
		}
		h.Set(echo.HeaderAccessControlAllowMethods, allowed)
		names := append([]string{allowedHeaders}, askedHeaders(c)...)
		h.Set(echo.HeaderAccessControlAllowHeaders, strings.Join(names, ", "))
		h.Add(echo.HeaderVary, echo.HeaderAccessControlRequestHeaders)
		h.Set(echo.HeaderAccessControlMaxAge, preflightAge)
		return c.NoContent(http.StatusNoContent)
	}
}
