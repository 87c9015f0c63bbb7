package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/locale"
	"github.com/latchkey-auth/latchkey/pkg/password"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// publicCache lets browsers and proxies cache public answers, as long as other instances cache a portal's settings.
const publicCache = "public, max-age=5"

// publicPortalBody is what a login page needs of a portal.
type publicPortalBody struct {
	Slug         string          `json:"slug"`
	Name         string          `json:"name"`
	Registration string          `json:"registration"`
	LoginMethods []portal.Method `json:"login_methods"`
	Password     passwordRules   `json:"password"`
	Locales      []string        `json:"locales"`
	Sender       senderBody      `json:"sender"`
	Support      supportBody     `json:"support"`
}

type passwordRules struct {
	MinLength int `json:"min_length"`
	MaxLength int `json:"max_length"`
}

type senderBody struct {
	Name    string  `json:"name"`
	Address *string `json:"address"`
}

func respondPublicPortal(c echo.Context, p *portal.Portal) error {
	c.Response().Header().Set(echo.HeaderCacheControl, publicCache)
	return respond(c, http.StatusOK, publicPortalBody{
		Slug: p.Slug, Name: p.Name, Registration: p.Registration, LoginMethods: p.LoginMethods,
		Password: passwordRules{p.PasswordMinLength, password.MaxLength}, Locales: locale.Tags(),
		Sender:  senderBody{p.SenderName(), p.Sender.Address},
		Support: supportBody{p.Support.Email, p.Support.URL},
	})
}

// findPortal answers GET /v1/portals?domain=….
func (s *Server) findPortal(c echo.Context) error {
	domain, _, err := queryText(c, "domain", 253)
	if err != nil {
		return err
	}
	if domain == "" {
		return fault.Invalid(fault.Field{Pointer: "/domain", Code: fault.FieldRequired})
	}
	p, err := s.portals.EnabledByDomain(c.Request().Context(), domain)
	if err != nil {
		return err
	}
	return respondPublicPortal(c, p)
}

// showPortal answers GET /v1/portals/{portal}.
func (s *Server) showPortal(c echo.Context) error { return respondPublicPortal(c, portalOf(c)) }
