package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/admission"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/registration"
)

type registerRequest struct {
	Email      string           `json:"email"`
	Password   string           `json:"password"`
	GivenName  optional[string] `json:"given_name"`
	FamilyName optional[string] `json:"family_name"`
	Locale     optional[string] `json:"locale"`
}

// person checks the request.
func (r *registerRequest) person(c echo.Context, k *check) registration.New {
	n := registration.New{
		Email: k.email(r.Email), Password: r.Password, Locale: portalOf(c).DefaultLocale,
		GivenName: k.name("/given_name", r.GivenName.pointer()), FamilyName: k.name("/family_name", r.FamilyName.pointer()),
	}
	k.password("/password", r.Password)
	if r.Locale.Set {
		n.Locale = r.Locale.Value
		k.locale(r.Locale.Value)
	}
	return n
}

type registeredBody struct {
	Next     admission.Next `json:"next"`
	Delivery receiptBody    `json:"delivery"`
}

// register answers POST /v1/portals/{portal}/registrations.
func (s *Server) register(c echo.Context) error {
	var req registerRequest
	if err := decode(c, &req); err != nil {
		return err
	}
	noteEmail(c, req.Email)
	var k check
	person := req.person(c, &k)
	if err := k.Err(); err != nil {
		return err
	}
	registered, err := s.registration.Register(c.Request().Context(), portalOf(c), person)
	if err != nil {
		return err
	}
	return respond(c, http.StatusCreated, registeredBody{registered.Next, receiptOut(registered.Receipt)})
}

// issueConfirmation answers POST /v1/portals/{portal}/confirmations.
func (s *Server) issueConfirmation(c echo.Context) error {
	return issueSecret(c, s.registration.IssueConfirmation, s.registration.IssueConfirmationAgain)
}

// verifiedBody describes a valid secret.
type verifiedBody struct {
	Email     string    `json:"email"`
	ExpiresAt timestamp `json:"expires_at"`
}

// verifyConfirmation answers POST /v1/portals/{portal}/confirmations/verify.
func (s *Server) verifyConfirmation(c echo.Context) error {
	credential, err := decodeSecret(c)
	if err != nil {
		return err
	}
	verified, err := s.registration.Verify(c.Request().Context(), portalOf(c), credential)
	if err != nil {
		return err
	}
	return respond(c, http.StatusOK, verifiedBody{email.Mask(verified.Email), timestamp(verified.ExpiresAt)})
}

type redeemConfirmationRequest struct {
	secretRequest
	Password optional[string] `json:"password"`
}

type confirmedBody struct {
	Next     admission.Next `json:"next"`
	Delivery *receiptBody   `json:"delivery,omitempty"`
}

// redeemConfirmation answers POST /v1/portals/{portal}/confirmations/redeem.
func (s *Server) redeemConfirmation(c echo.Context) error {
	var req redeemConfirmationRequest
	if err := decode(c, &req); err != nil {
		return err
	}
	var k check
	credential := req.credential(c, &k)
	if req.Password.Set {
		k.password("/password", req.Password.Value)
	}
	if err := k.Err(); err != nil {
		return err
	}
	confirmed, err := s.registration.Confirm(c.Request().Context(), portalOf(c), credential, req.Password.Value)
	if err != nil {
		return err
	}
	body := confirmedBody{Next: confirmed.Next}
	if confirmed.Receipt != nil {
		receipt := receiptOut(*confirmed.Receipt)
		body.Delivery = &receipt
	}
	return respond(c, http.StatusOK, body)
}
