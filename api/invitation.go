package api

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/invitation"
)

// maxInvitationCode is the longest code that is read, in code points: twenty characters and separators between them.
const maxInvitationCode = 128

// invitationCode wants a code. Whether it is valid is decided by the service.
func (k *check) invitationCode(typed string) {
	if strings.TrimSpace(typed) == "" {
		k.Wrong("/code", fault.FieldRequired)
	}
	k.Longest("/code", typed, maxInvitationCode)
}

// resendInvitation answers POST /v1/portals/{portal}/invitations/resend.
func (s *Server) resendInvitation(c echo.Context) error {
	address, err := decodeEmail(c)
	if err != nil {
		return err
	}
	issued, err := s.invitations.SendAgain(c.Request().Context(), portalOf(c), address)
	if err != nil {
		return err
	}
	return respondIssued(c, issued)
}

type codeRequest struct {
	Code string `json:"code"`
}

// verifiedInvitationBody is an invitation as the holder of its code sees it.
type verifiedInvitationBody struct {
	Email     string    `json:"email"`
	Roles     []string  `json:"roles"`
	ExpiresAt timestamp `json:"expires_at"`
	InvitedBy string    `json:"invited_by"`
}

// verifyInvitation answers POST /v1/portals/{portal}/invitations/verify.
func (s *Server) verifyInvitation(c echo.Context) error {
	var req codeRequest
	if err := decode(c, &req); err != nil {
		return err
	}
	var k check
	k.invitationCode(req.Code)
	if err := k.Err(); err != nil {
		return err
	}
	i, err := s.invitations.Verify(c.Request().Context(), portalOf(c), req.Code)
	if err != nil {
		return err
	}
	inviter := i.InviterName()
	if inviter == "" {
		inviter = portalOf(c).Name
	}
	return respond(c, http.StatusOK, verifiedInvitationBody{
		email.Mask(i.Email.Typed()), i.Roles, timestamp(i.ExpiresAt), inviter,
	})
}

type redeemInvitationRequest struct {
	registerRequest
	sessionRequest

	Code string `json:"code"`
}

// redeemInvitation answers POST /v1/portals/{portal}/invitations/redeem.
func (s *Server) redeemInvitation(c echo.Context) error {
	var req redeemInvitationRequest
	if err := decode(c, &req); err != nil {
		return err
	}
	noteEmail(c, req.Email)
	var k check
	k.invitationCode(req.Code)
	person, begin := req.person(c, &k), req.begin(&k)
	if err := k.Err(); err != nil {
		return err
	}
	if err := allowTransport(c, begin); err != nil {
		return err
	}
	given := invitation.Acceptance{
		Code: req.Code, Email: person.Email, Password: person.Password, GivenName: person.GivenName,
		FamilyName: person.FamilyName, Locale: req.Locale.Value, Begin: begin,
	}
	in, err := s.invitations.Redeem(c.Request().Context(), portalOf(c), given)
	if err != nil {
		return err
	}
	return s.respondSignedIn(c, http.StatusCreated, in)
}
