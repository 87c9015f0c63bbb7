package api

import (
	"net/http"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// portalBody is a portal as administrators see it.
type portalBody struct {
	ID        ids.Portal `json:"id"`
	Slug      string     `json:"slug"`
	CreatedAt timestamp  `json:"created_at"`
	UpdatedAt timestamp  `json:"updated_at"`
	portal.Settings
}

func portalOut(p *portal.Portal) portalBody {
	return portalBody{
		ID: p.ID, Slug: p.Slug, CreatedAt: timestamp(p.CreatedAt), UpdatedAt: timestamp(p.UpdatedAt), Settings: p.Settings,
	}
}

// createPortalRequest is decoded over the defaults, so a missing setting keeps its default.
type createPortalRequest struct {
	Slug string `json:"slug"`
	portal.Settings
}

// createPortal answers POST /v1/admin/portals.
func (s *Server) createPortal(c echo.Context) error {
	req := createPortalRequest{Settings: portal.Defaults()}
	if err := decode(c, &req); err != nil {
		return err
	}
	p, err := s.portals.Create(c.Request().Context(), req.Slug, req.Settings)
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderLocation, s.publicPath+"/v1/admin/portals/"+p.Slug)
	return respond(c, http.StatusCreated, portalOut(p))
}

// listPortals answers GET /v1/admin/portals.
func (s *Server) listPortals(c echo.Context) error {
	page, err := pageOf(c)
	if err != nil {
		return err
	}
	portals, err := s.portals.List(c.Request().Context(), ids.Portal{UUID: page.before}, page.limit+1)
	if err != nil {
		return err
	}
	return respondPage(c, page, portals, portalOut, func(p *portal.Portal) uuid.UUID { return p.ID.UUID })
}

// getPortal answers GET /v1/admin/portals/{portal}.
func (s *Server) getPortal(c echo.Context) error {
	return respond(c, http.StatusOK, portalOut(portalOf(c)))
}

// patchPortal answers PATCH /v1/admin/portals/{portal}. Missing members stay unchanged, inside objects too.
func (s *Server) patchPortal(c echo.Context) error {
	body, err := readObject(c)
	if err != nil {
		return err
	}
	update := s.portals.UpdateOwn
	if principalOf(c).operates() {
		update = s.portals.Update
	}
	p, err := update(c.Request().Context(), portalOf(c).Slug, func(settings *portal.Settings) error {
		return decodeJSON(body, settings)
	})
	if err != nil {
		return err
	}
	return respond(c, http.StatusOK, portalOut(p))
}

// deletePortal answers DELETE /v1/admin/portals/{portal}.
func (s *Server) deletePortal(c echo.Context) error {
	p, err := s.portals.Find(c.Request().Context(), c.Param("portal"))
	if err != nil {
		return err
	}
	if err := noBody(c); err != nil {
		return err
	}
	if err := s.erasure.Portal(c.Request().Context(), p.Slug); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
