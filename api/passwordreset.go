package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/admission"
	"github.com/latchkey-auth/latchkey/pkg/email"
)

// issueReset answers POST /v1/portals/{portal}/password-resets.
func (s *Server) issueReset(c echo.Context) error {
	return issueSecret(c, s.resets.Issue, s.resets.IssueAgain)
}

type verifiedResetBody struct {
	Email     string    `json:"email"`
	Purpose   string    `json:"purpose"`
	ExpiresAt timestamp `json:"expires_at"`
}

// verifyReset answers POST /v1/portals/{portal}/password-resets/verify.
func (s *Server) verifyReset(c echo.Context) error {
	credential, err := decodeSecret(c)
	if err != nil {
		return err
	}
	verified, err := s.resets.Verify(c.Request().Context(), portalOf(c), credential)
	if err != nil {
		return err
	}
	return respond(c, http.StatusOK, verifiedResetBody{
		email.Mask(verified.Email), verified.Variant, timestamp(verified.ExpiresAt),
	})
}

type redeemResetRequest struct {
	secretRequest
	Password string `json:"password"`
}

// redeemReset answers POST /v1/portals/{portal}/password-resets/redeem.
func (s *Server) redeemReset(c echo.Context) error {
	var req redeemResetRequest
	if err := decode(c, &req); err != nil {
		return err
	}
	var k check
	credential := req.credential(c, &k)
	k.password("/password", req.Password)
	if err := k.Err(); err != nil {
		return err
	}
	if err := s.resets.Redeem(c.Request().Context(), portalOf(c), credential, req.Password); err != nil {
		return err
	}
	return respond(c, http.StatusOK, confirmedBody{Next: admission.NextPassword})
}
