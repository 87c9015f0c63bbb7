package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/admission"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

type emailRequest struct {
	Email string `json:"email"`
}

// decodeEmail reads a body that has only an address. Errors: decode's.
func decodeEmail(c echo.Context) (email.Address, error) {
	var req emailRequest
	if err := decode(c, &req); err != nil {
		return email.Address{}, err
	}
	noteEmail(c, req.Email)
	var k check
	address := k.email(req.Email)
	return address, k.Err()
}

type lookUpResponse struct {
	Next     admission.Next  `json:"next"`
	Methods  []portal.Method `json:"methods"`
	Delivery *receiptBody    `json:"delivery,omitzero"`
}

// lookUp answers POST /v1/portals/{portal}/lookup.
func (s *Server) lookUp(c echo.Context) error {
	address, err := decodeEmail(c)
	if err != nil {
		return err
	}
	p := portalOf(c)
	found, err := s.login.LookUp(c.Request().Context(), p, address)
	if err != nil {
		return err
	}
	body := lookUpResponse{Next: found.Next, Methods: p.LoginMethods}
	if found.Receipt != nil {
		receipt := receiptOut(*found.Receipt)
		body.Delivery = &receipt
	}
	return respond(c, http.StatusOK, body)
}
