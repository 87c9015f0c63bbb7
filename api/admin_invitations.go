package api

import (
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/invitation"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// invitationBody is an invitation as administrators see it. It has no code: only exports contain codes.
type invitationBody struct {
	ID           ids.Invitation    `json:"id"`
	Email        string            `json:"email"`
	Roles        []string          `json:"roles"`
	Entitlements []string          `json:"entitlements"`
	Metadata     jsontext.Value    `json:"metadata"`
	Locale       string            `json:"locale"`
	Status       invitation.Status `json:"status"`
	InvitedBy    *string           `json:"invited_by"`
	CreatedAt    timestamp         `json:"created_at"`
	SentAt       *timestamp        `json:"sent_at"`
	ExpiresAt    timestamp         `json:"expires_at"`
	AcceptedAt   *timestamp        `json:"accepted_at"`
	Delivery     *receiptBody      `json:"delivery"`
}

// invitationsOut reads the delivery states of invitations, and gives a function that makes their bodies.
func (s *Server) invitationsOut(
	c echo.Context, invitations ...*invitation.Invitation,
) (func(*invitation.Invitation) invitationBody, error) {
	var sent []ids.Delivery
	for _, i := range invitations {
		if !i.DeliveryID.IsZero() {
			sent = append(sent, i.DeliveryID)
		}
	}
	reports, err := s.messages.Reports(c.Request().Context(), portalOf(c), sent)
	if err != nil {
		return nil, err
	}
	now := s.clock.Now()
	return func(i *invitation.Invitation) invitationBody {
		body := invitationBody{
			ID: i.ID, Email: i.Email.Typed(), Roles: i.Roles, Entitlements: i.Entitlements,
			Metadata: jsontext.Value(i.Metadata), Locale: i.Locale, Status: i.Status(now), InvitedBy: orNull(i.InvitedBy()),
			CreatedAt: timestamp(i.CreatedAt), SentAt: (*timestamp)(i.SentAt), ExpiresAt: timestamp(i.ExpiresAt),
			AcceptedAt: (*timestamp)(i.AcceptedAt),
		}
		if report, ok := reports[i.DeliveryID]; ok {
			receipt := receiptOut(report)
			body.Delivery = &receipt
		}
		return body
	}, nil
}

func (s *Server) respondInvitation(c echo.Context, status int, i *invitation.Invitation) error {
	out, err := s.invitationsOut(c, i)
	if err != nil {
		return err
	}
	return respond(c, status, out(i))
}

// inviteRequest is a new invitation, from a request or from a row of an imported file.
type inviteRequest struct {
	Email        string                   `json:"email"`
	Roles        optional[[]string]       `json:"roles"`
	Entitlements optional[[]string]       `json:"entitlements"`
	Metadata     optional[jsontext.Value] `json:"metadata"`
	Locale       optional[string]         `json:"locale"`
	ExpiresIn    optional[int64]          `json:"expires_in"`
	Send         optional[bool]           `json:"send"`
}

// invitation checks the request.
func (r *inviteRequest) invitation(k *check, p *portal.Portal) invitation.New {
	n := invitation.New{
		Email: k.email(r.Email), Roles: k.names("/roles", r.Roles.Value),
		Entitlements: k.names("/entitlements", r.Entitlements.Value), Metadata: []byte("{}"),
		Locale: p.DefaultLocale, Term: p.InvitationTTL.Duration(), Send: !r.Send.Set || r.Send.Value,
	}
	if r.Metadata.Set {
		n.Metadata = k.metadata("/metadata", r.Metadata.Value)
	}
	if r.Locale.Set {
		n.Locale = r.Locale.Value
		k.locale(r.Locale.Value)
	}
	if r.ExpiresIn.Set {
		n.Term = k.term("/expires_in", r.ExpiresIn.Value)
	}
	return n
}

// term reads how long an invitation is valid, in seconds.
func (k *check) term(pointer string, given int64) time.Duration {
	const least, most = int64(invitation.MinTerm / time.Second), int64(invitation.MaxTerm / time.Second)
	if given < least || given > most {
		k.Beyond(pointer, fault.FieldOutOfRange, int(most))
		return 0
	}
	return time.Duration(given) * time.Second
}

// createInvitation answers POST /v1/admin/portals/{portal}/invitations.
func (s *Server) createInvitation(c echo.Context) error {
	var req inviteRequest
	if err := decode(c, &req); err != nil {
		return err
	}
	noteEmail(c, req.Email)
	var k check
	p := portalOf(c)
	wanted := req.invitation(&k, p)
	if err := k.Err(); err != nil {
		return err
	}
	i, err := s.invitations.Invite(c.Request().Context(), p, principalOf(c).inviter(), wanted)
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderLocation, s.publicPath+"/v1/admin/portals/"+p.Slug+"/invitations/"+i.ID.String())
	return s.respondInvitation(c, http.StatusCreated, i)
}

// filterOf reads the filter of a list of invitations. Errors: validation_failed.
func filterOf(c echo.Context) (f invitation.Filter, err error) {
	if f.Query, _, err = queryText(c, "q", account.MaxSearchQuery); err != nil {
		return f, err
	}
	status, given, err := queryText(c, "status", 20)
	if err != nil || !given {
		return f, err
	}
	var k check
	allowed := make([]string, 0, len(invitation.Statuses()))
	for _, known := range invitation.Statuses() {
		allowed = append(allowed, string(known))
	}
	k.OneOf("/status", status, allowed...)
	f.Status = invitation.Status(status)
	return f, k.Err()
}

// listInvitations answers GET /v1/admin/portals/{portal}/invitations.
func (s *Server) listInvitations(c echo.Context) error {
	page, err := pageOf(c)
	if err != nil {
		return err
	}
	f, err := filterOf(c)
	if err != nil {
		return err
	}
	f.Before, f.Limit = ids.Invitation{UUID: page.before}, page.limit+1
	list, err := s.invitations.List(c.Request().Context(), portalOf(c), f)
	if err != nil {
		return err
	}
	out, err := s.invitationsOut(c, list...)
	if err != nil {
		return err
	}
	return respondPage(c, page, list, out, func(i *invitation.Invitation) uuid.UUID { return i.ID.UUID })
}

// getInvitation answers GET /v1/admin/portals/{portal}/invitations/{id}.
func (s *Server) getInvitation(c echo.Context) error {
	id, err := idOf[ids.Invitation](c)
	if err != nil {
		return err
	}
	i, err := s.invitations.Get(c.Request().Context(), portalOf(c), id)
	if err != nil {
		return err
	}
	return s.respondInvitation(c, http.StatusOK, i)
}

// deleteInvitation answers DELETE /v1/admin/portals/{portal}/invitations/{id}.
func (s *Server) deleteInvitation(c echo.Context) error {
	id, err := idOf[ids.Invitation](c)
	if err != nil {
		return err
	}
	if err := noBody(c); err != nil {
		return err
	}
	if err := s.invitations.Delete(c.Request().Context(), portalOf(c), id); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// renewedBody is an invitation that got a new code, which is being mailed.
type renewedBody struct {
	invitationBody

	ResendAfterSeconds int64 `json:"resend_after_seconds"`
	ExpiresIn          int64 `json:"expires_in"`
}

// renewInvitation answers POST /v1/admin/portals/{portal}/invitations/{id}/resend.
func (s *Server) renewInvitation(c echo.Context) error {
	id, err := idOf[ids.Invitation](c)
	if err != nil {
		return err
	}
	if err := noBody(c); err != nil {
		return err
	}
	i, issued, err := s.invitations.Resend(c.Request().Context(), portalOf(c), id)
	if err != nil {
		return err
	}
	out, err := s.invitationsOut(c, i)
	if err != nil {
		return err
	}
	return respond(c, http.StatusAccepted, renewedBody{
		out(i), seconds(issued.ResendAfter), seconds(issued.ExpiresIn),
	})
}
