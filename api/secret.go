package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/challenge"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// maxCode is the longest typed code that is read, in code points: its characters and separators between them.
const maxCode = 128

// issueRequest asks for a secret, by an address or by an older token that was mailed there.
type issueRequest struct {
	Email optional[string] `json:"email"`
	Token optional[string] `json:"token"`
}

// decodeIssue reads an issueRequest. It gives the address or the token.
//
// Errors: decode's; validation_failed for neither or both.
func decodeIssue(c echo.Context) (address email.Address, token string, err error) {
	var req issueRequest
	if err := decode(c, &req); err != nil {
		return address, "", err
	}
	noteEmail(c, req.Email.Value)
	noteToken(c, req.Token.Value)
	var k check
	switch {
	case req.Email.Set && req.Token.Set:
		k.Wrong("/token", fault.FieldConflict)
	case req.Token.Set:
		k.token("/token", req.Token.Value)
	default:
		address = k.email(req.Email.Value)
	}
	return address, req.Token.Value, k.Err()
}

// issueSecret answers a call that mails a secret, for the address or for the older token in the request.
func issueSecret(c echo.Context,
	byAddress func(context.Context, *portal.Portal, email.Address) (challenge.Issued, error),
	byToken func(context.Context, *portal.Portal, string) (challenge.Issued, error)) error {
	address, token, err := decodeIssue(c)
	if err != nil {
		return err
	}
	var issued challenge.Issued
	if token != "" {
		issued, err = byToken(c.Request().Context(), portalOf(c), token)
	} else {
		issued, err = byAddress(c.Request().Context(), portalOf(c), address)
	}
	if err != nil {
		return err
	}
	return respondIssued(c, issued)
}

// secretRequest holds a secret: the token of a link, or a typed code with the address it was mailed to.
type secretRequest struct {
	Token optional[string] `json:"token"`
	Email optional[string] `json:"email"`
	Code  optional[string] `json:"code"`
}

// credential checks the request. Errors: validation_failed.
func (r *secretRequest) credential(c echo.Context, k *check) challenge.Credential {
	noteEmail(c, r.Email.Value)
	noteToken(c, r.Token.Value)
	if r.Token.Set {
		if r.Email.Set || r.Code.Set {
			k.Wrong("/token", fault.FieldConflict)
		}
		k.token("/token", r.Token.Value)
		return challenge.Credential{Token: r.Token.Value}
	}
	if !r.Email.Set && !r.Code.Set {
		k.Wrong("/token", fault.FieldRequired)
		return challenge.Credential{}
	}
	address := k.email(r.Email.Value)
	if strings.TrimSpace(r.Code.Value) == "" {
		k.Wrong("/code", fault.FieldRequired)
	}
	k.Longest("/code", r.Code.Value, maxCode)
	return challenge.Credential{Email: address, Code: r.Code.Value}
}

// decodeSecret reads a body that has only a secret. Errors: decode's.
func decodeSecret(c echo.Context) (challenge.Credential, error) {
	var req secretRequest
	if err := decode(c, &req); err != nil {
		return challenge.Credential{}, err
	}
	var k check
	credential := req.credential(c, &k)
	return credential, k.Err()
}

func (k *check) token(pointer, text string) {
	if text == "" {
		k.Wrong(pointer, fault.FieldRequired)
	}
	k.Longest(pointer, text, maxToken)
}

// receiptBody is the state of a message, for the person who asked for it.
type receiptBody struct {
	ID      string          `json:"id"`
	Channel string          `json:"channel"`
	To      *string         `json:"to"`
	Sender  string          `json:"sender"`
	Status  delivery.Status `json:"status"`
}

func receiptOut(r delivery.Receipt) receiptBody {
	return receiptBody{ID: r.ID.String(), Channel: r.Channel, To: r.To, Sender: r.Sender, Status: r.Status}
}

// issuedBody answers a call that mailed a secret.
type issuedBody struct {
	Delivery           receiptBody `json:"delivery"`
	ResendAfterSeconds int64       `json:"resend_after_seconds"`
	ExpiresIn          int64       `json:"expires_in"`
}

func respondIssued(c echo.Context, issued challenge.Issued) error {
	return respond(c, http.StatusAccepted, issuedBody{
		Delivery: receiptOut(issued.Receipt), ExpiresIn: seconds(issued.ExpiresIn),
		ResendAfterSeconds: seconds(issued.ResendAfter),
	})
}

// showDelivery answers GET /v1/portals/{portal}/deliveries/{id}.
func (s *Server) showDelivery(c echo.Context) error {
	id, err := idOf[ids.Delivery](c)
	if err != nil {
		return err
	}
	receipt, err := s.messages.Receipt(c.Request().Context(), portalOf(c), id)
	if err != nil {
		return err
	}
	return respond(c, http.StatusOK, receiptOut(receipt))
}
