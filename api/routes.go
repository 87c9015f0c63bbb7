package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/fault"
)

// access says who may call an operation. Its checks run before the handler.
type access int

const (
	anyone        access = iota // no portal in the path
	visitor                     // of an enabled portal
	person                      // with an access token of that portal
	operator                    // of every portal
	administrator               // of any portal
	manager                     // of the portal in the path, enabled or not
	exporter                    // of that portal's invitations
	scraper                     // of the metrics
)

// route is one operation.
type route struct {
	method, path string
	access       access
	handler      echo.HandlerFunc
	limit        limit
}

// routes lists every operation of the API. openapi.yaml describes the same set.
func (s *Server) routes() []route {
	return []route{
		{http.MethodGet, "/healthz", anyone, s.health, unlimited},
		{http.MethodGet, "/readyz", anyone, s.ready, unlimited},
		{http.MethodGet, "/status", anyone, s.status, unlimited},
		{http.MethodGet, "/openapi.yaml", anyone, s.openAPI, unlimited},
		{http.MethodGet, "/docs", anyone, s.docs, unlimited},
		{http.MethodGet, "/problems/:code", anyone, s.explainProblem, unlimited},
		{http.MethodGet, "/.well-known/jwks.json", anyone, s.jwks, unlimited},
		{http.MethodGet, "/.well-known/oauth-authorization-server/v1/portals/:portal", visitor, s.discovery, unlimited},
		{http.MethodGet, "/metrics", scraper, s.showMetrics, unlimited},

		{http.MethodGet, "/v1/portals", anyone, s.findPortal, requests},
		{http.MethodGet, "/v1/portals/:portal", visitor, s.showPortal, requests},
		{http.MethodGet, "/v1/portals/:portal/.well-known/openid-configuration", visitor, s.discovery, requests},
		{http.MethodPost, "/v1/portals/:portal/lookup", visitor, s.lookUp, tries},
		{http.MethodPost, "/v1/portals/:portal/login", visitor, s.logIn, tries},
		{http.MethodPost, "/v1/portals/:portal/lockout-status", visitor, s.lockoutStatus, requests},
		{http.MethodPost, "/v1/portals/:portal/sessions/refresh", visitor, s.refreshSession, requests},
		{http.MethodPost, "/v1/portals/:portal/logout", visitor, s.logOut, requests},
		{http.MethodPost, "/v1/portals/:portal/registrations", visitor, s.register, issues},
		{http.MethodPost, "/v1/portals/:portal/confirmations", visitor, s.issueConfirmation, issues},
		{http.MethodPost, "/v1/portals/:portal/confirmations/verify", visitor, s.verifyConfirmation, tries},
		{http.MethodPost, "/v1/portals/:portal/confirmations/redeem", visitor, s.redeemConfirmation, tries},
		{http.MethodPost, "/v1/portals/:portal/password-resets", visitor, s.issueReset, issues},
		{http.MethodPost, "/v1/portals/:portal/password-resets/verify", visitor, s.verifyReset, tries},
		{http.MethodPost, "/v1/portals/:portal/password-resets/redeem", visitor, s.redeemReset, tries},
		{http.MethodPost, "/v1/portals/:portal/invitations/resend", visitor, s.resendInvitation, issues},
		{http.MethodPost, "/v1/portals/:portal/invitations/verify", visitor, s.verifyInvitation, tries},
		{http.MethodPost, "/v1/portals/:portal/invitations/redeem", visitor, s.redeemInvitation, tries},
		{http.MethodGet, "/v1/portals/:portal/deliveries/:id", visitor, s.showDelivery, requests},
		{http.MethodGet, "/v1/portals/:portal/me", person, s.getMe, requests},
		{http.MethodPatch, "/v1/portals/:portal/me", person, s.patchMe, requests},
		{http.MethodPost, "/v1/portals/:portal/me/password", person, s.changePassword, issues},
		{http.MethodGet, "/v1/portals/:portal/me/sessions", person, s.listSessions, requests},
		{http.MethodDelete, "/v1/portals/:portal/me/sessions/:id", person, s.endSession, requests},

		{http.MethodPost, "/v1/admin/portals", operator, s.createPortal, unlimited},
		{http.MethodGet, "/v1/admin/portals", operator, s.listPortals, unlimited},
		{http.MethodGet, "/v1/admin/portals/:portal", manager, s.getPortal, unlimited},
		{http.MethodPatch, "/v1/admin/portals/:portal", manager, s.patchPortal, unlimited},
		{http.MethodDelete, "/v1/admin/portals/:portal", operator, s.deletePortal, unlimited},
		{http.MethodPost, "/v1/admin/portals/:portal/accounts", manager, s.createAccount, unlimited},
		{http.MethodGet, "/v1/admin/portals/:portal/accounts", manager, s.listAccounts, unlimited},
		{http.MethodGet, "/v1/admin/portals/:portal/accounts/:id", manager, s.getAccount, unlimited},
		{http.MethodPatch, "/v1/admin/portals/:portal/accounts/:id", manager, s.patchAccount, unlimited},
		{http.MethodDelete, "/v1/admin/portals/:portal/accounts/:id", manager, s.deleteAccount, unlimited},
		{http.MethodPost, "/v1/admin/portals/:portal/accounts/:id/unlock", manager, s.unlockAccount, unlimited},
		{http.MethodDelete, "/v1/admin/portals/:portal/accounts/:id/sessions", manager, s.endAccountSessions, unlimited},
		{http.MethodPost, "/v1/admin/portals/:portal/invitations", manager, s.createInvitation, unlimited},
		{http.MethodGet, "/v1/admin/portals/:portal/invitations", manager, s.listInvitations, unlimited},
		{http.MethodPost, "/v1/admin/portals/:portal/invitations/import", manager, s.importInvitations, unlimited},
		{http.MethodGet, "/v1/admin/portals/:portal/invitations/export", exporter, s.exportInvitations, unlimited},
		{http.MethodGet, "/v1/admin/portals/:portal/invitations/:id", manager, s.getInvitation, unlimited},
		{http.MethodDelete, "/v1/admin/portals/:portal/invitations/:id", manager, s.deleteInvitation, unlimited},
		{http.MethodPost, "/v1/admin/portals/:portal/invitations/:id/resend", manager, s.renewInvitation, unlimited},

		{http.MethodPost, "/v1/admin/api-keys", administrator, s.createAPIKey, unlimited},
		{http.MethodGet, "/v1/admin/api-keys", administrator, s.listAPIKeys, unlimited},
		{http.MethodDelete, "/v1/admin/api-keys/:id", administrator, s.revokeAPIKey, unlimited},
		{http.MethodPost, "/v1/admin/signing-keys", operator, s.rotateSigningKey, unlimited},
		{http.MethodGet, "/v1/admin/signing-keys", operator, s.listSigningKeys, unlimited},
		{http.MethodDelete, "/v1/admin/signing-keys/:id", operator, s.withdrawSigningKey, unlimited},
	}
}

// router makes Echo's router of the routes. Each GET also answers HEAD, and each path answers a browser's preflight.
func (s *Server) router() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.answerError
	e.Use(s.identify, s.logged, s.measured, s.answered, s.recovered, s.deadline, s.headers, s.crossOrigin)
	methods := map[string][]string{}
	for _, r := range s.routes() {
		handler := s.limited(r, s.admit(r.access, r.handler))
		if r.method != http.MethodGet && !strings.HasSuffix(r.path, "/import") {
			handler = s.bodyFirst(handler)
		}
		e.Add(r.method, r.path, handler)
		methods[r.path] = append(methods[r.path], r.method)
		if r.method == http.MethodGet {
			e.Add(http.MethodHead, r.path, handler)
			methods[r.path] = append(methods[r.path], http.MethodHead)
		}
	}
	for path, allowed := range methods {
		e.OPTIONS(path, s.preflight(allowed))
		for wider, more := range methods {
			if covers(wider, path) {
				more = slices.DeleteFunc(slices.Clone(more), func(m string) bool { return slices.Contains(allowed, m) })
				e.Match(more, path, notAllowed(allowed))
			}
		}
	}
	if s.inbox != nil {
		e.GET("/dev/inbox", s.showInbox)
	}
	e.GET("/docs/*", s.docs) // the scripts and styles of the page
	return e
}

// covers reports whether a wider path, with a parameter where this one has a fixed segment, matches this path too. Echo
// would answer methods that only the wider path has.
func covers(wider, path string) bool {
	want, got := strings.Split(wider, "/"), strings.Split(path, "/")
	if wider == path || len(want) != len(got) {
		return false
	}
	for i := range want {
		if want[i] != got[i] && !strings.HasPrefix(want[i], ":") {
			return false
		}
	}
	return true
}

// notAllowed answers methods that a path does not have.
func notAllowed(allowed []string) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set(echo.HeaderAllow, strings.Join(append([]string{http.MethodOptions}, allowed...), ", "))
		return fault.New(fault.MethodNotAllowed)
	}
}

// admit adds the checks of an access to a handler.
func (s *Server) admit(a access, next echo.HandlerFunc) echo.HandlerFunc {
	switch a {
	case visitor:
		return s.inPortal(next)
	case person:
		return s.inPortal(s.asPerson(next))
	case operator:
		return s.authorized(principal.operates, next)
	case administrator:
		return s.authorized(principal.administers, next)
	case manager:
		return s.authorized(principal.administers, s.atOwnPortal(next))
	case exporter:
		return s.authorized(principal.exports, s.atOwnPortal(next))
	case scraper:
		return s.authorized(principal.scrapes, next)
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
