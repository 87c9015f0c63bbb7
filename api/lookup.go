package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/login"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

type lookUpRequest struct {
	Email string `json:"email"`
}

type lookUpResponse struct {
	Next    login.Next      `json:"next"`
	Methods []portal.Method `json:"methods"`
}

// lookUp answers POST /v1/portals/{portal}/lookup.
func (s *Server) lookUp(c echo.Context) error {
	var req lookUpRequest
	if err := decode(c, &req); err != nil {
		return err
	}
	noteEmail(c, req.Email)
	var k check
	address := k.email("/email", req.Email)
	if err := k.err(); err != nil {
		return err
	}
	p := portalOf(c)
	next, err := s.login.LookUp(c.Request().Context(), p, address)
	if err != nil {
		return err
	}
	return respond(c, http.StatusOK, lookUpResponse{Next: next, Methods: p.LoginMethods})
}
