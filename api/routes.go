package api

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// access says who may call an operation, and so what is looked at before its handler is.
type access int

const (
	anyone   access = iota // no portal in the path
	visitor                // of an enabled portal
	person                 // with an access token of that portal
	operator               // with the operator's key
	manager                // of the portal in the path, enabled or not
)

// route is one operation.
type route struct {
	method, path string
	access       access
	handler      echo.HandlerFunc
}

// routes are every operation of the API, as openapi.yaml has them.
func (s *Server) routes() []route {
	return []route{
		{http.MethodGet, "/healthz", anyone, s.health},
		{http.MethodGet, "/readyz", anyone, s.ready},
		{http.MethodGet, "/status", anyone, s.status},
		{http.MethodGet, "/openapi.yaml", anyone, s.openAPI},
		{http.MethodGet, "/docs", anyone, s.docs},
		{http.MethodGet, "/problems/:code", anyone, s.explainProblem},
		{http.MethodGet, "/.well-known/jwks.json", anyone, s.jwks},

		{http.MethodGet, "/v1/portals", anyone, s.findPortal},
		{http.MethodGet, "/v1/portals/:portal", visitor, s.showPortal},
		{http.MethodGet, "/v1/portals/:portal/.well-known/openid-configuration", visitor, s.discovery},
		{http.MethodPost, "/v1/portals/:portal/lookup", visitor, s.lookUp},
		{http.MethodPost, "/v1/portals/:portal/login", visitor, s.logIn},
		{http.MethodPost, "/v1/portals/:portal/logout", visitor, s.logOut},
		{http.MethodGet, "/v1/portals/:portal/me", person, s.getMe},
		{http.MethodPatch, "/v1/portals/:portal/me", person, s.patchMe},

		{http.MethodPost, "/v1/admin/portals", operator, s.createPortal},
		{http.MethodGet, "/v1/admin/portals", operator, s.listPortals},
		{http.MethodGet, "/v1/admin/portals/:portal", manager, s.getPortal},
		{http.MethodPatch, "/v1/admin/portals/:portal", manager, s.patchPortal},
		{http.MethodDelete, "/v1/admin/portals/:portal", manager, s.deletePortal},
		{http.MethodPost, "/v1/admin/portals/:portal/accounts", manager, s.createAccount},
		{http.MethodGet, "/v1/admin/portals/:portal/accounts", manager, s.listAccounts},
		{http.MethodGet, "/v1/admin/portals/:portal/accounts/:id", manager, s.getAccount},
		{http.MethodPatch, "/v1/admin/portals/:portal/accounts/:id", manager, s.patchAccount},
		{http.MethodDelete, "/v1/admin/portals/:portal/accounts/:id", manager, s.deleteAccount},
	}
}

// router makes Echo's router of the routes. GET answers HEAD too, and every path the preflight of a browser.
func (s *Server) router() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.answerError
	e.Use(s.identify, s.logged, s.recovered, s.deadline, s.headers, s.crossOrigin)
	methods := map[string][]string{}
	for _, r := range s.routes() {
		handler := s.admit(r.access, r.handler)
		e.Add(r.method, r.path, handler)
		methods[r.path] = append(methods[r.path], r.method)
		if r.method == http.MethodGet {
			e.Add(http.MethodHead, r.path, handler)
			methods[r.path] = append(methods[r.path], http.MethodHead)
		}
	}
	for path, allowed := range methods {
		e.OPTIONS(path, s.preflight(allowed))
	}
	e.GET("/docs/*", s.docs) // the page's own scripts and styles
	return e
}

// admit puts the checks of an access before a handler.
func (s *Server) admit(a access, next echo.HandlerFunc) echo.HandlerFunc {
	switch a {
	case visitor:
		return s.inPortal(next)
	case person:
		return s.inPortal(s.asPerson(next))
	case operator:
		return s.asOperator(next)
	case manager:
		return s.asOperator(s.ofPortal(next))
	default:
		return next
	}
}

// Routes lists the operations as openapi.yaml spells them: "GET /v1/portals/{portal}".
func (s *Server) Routes() []string {
	var list []string
	for _, r := range s.routes() {
		segments := strings.Split(r.path, "/")
		for i, segment := range segments {
			if name, ok := strings.CutPrefix(segment, ":"); ok {
				segments[i] = "{" + name + "}"
			}
		}
		list = append(list, r.method+" "+strings.Join(segments, "/"))
	}
	return list
}
