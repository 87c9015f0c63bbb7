package api

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/accesstoken"
	"github.com/latchkey-auth/latchkey/pkg/apikey"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

type createKeyRequest struct {
	Name      string           `json:"name"`
	Scopes    []apikey.Scope   `json:"scopes"`
	Portal    optional[string] `json:"portal"`
	ExpiresIn optional[int64]  `json:"expires_in"`
}

// keyBody is an API key. Only the answer to its creation has its text.
type keyBody struct {
	ID         ids.APIKey     `json:"id"`
	Name       string         `json:"name"`
	Scopes     []apikey.Scope `json:"scopes"`
	Portal     *string        `json:"portal"`
	CreatedBy  *string        `json:"created_by"`
	CreatedAt  timestamp      `json:"created_at"`
	ExpiresAt  *timestamp     `json:"expires_at"`
	LastUsedAt *timestamp     `json:"last_used_at"`
	Key        string         `json:"key,omitempty"`
}

// maxKeyLife, in seconds, keeps a key's life from overflowing a time.Duration.
const maxKeyLife = 1 << 32

// wantedKey checks the request. The portal is the named one, or else the caller's own. A caller can only create keys
// that are allowed no more than the caller is.
//
// Errors: validation_failed, permission_denied, organization_not_found.
func (s *Server) wantedKey(c echo.Context, req *createKeyRequest) (apikey.KeyRequest, error) {
	who := principalOf(c)
	wanted := apikey.KeyRequest{Name: req.Name, Scopes: req.Scopes, PortalID: who.portalID, MakerID: who.makerID}
	if req.ExpiresIn.Set {
		life := min(max(req.ExpiresIn.Value, 1), maxKeyLife) // zero would mean no end
		wanted.ExpiresIn = time.Duration(life) * time.Second
	}
	if err := who.mayGrant(req.Scopes); err != nil {
		return wanted, err
	}
	if err := wanted.Check(req.Portal.Set || !who.operates()); err != nil {
		return wanted, err
	}
	if !req.Portal.Set {
		return wanted, nil
	}
	p, err := s.portals.Find(c.Request().Context(), req.Portal.Value)
	if err == nil && !who.operates() && who.portalID != p.ID {
		err = fault.New(fault.OrganizationNotFound)
	}
	if err != nil {
		return wanted, err
	}
	wanted.PortalID = p.ID
	return wanted, nil
}

// mayGrant wants the scopes of a new key to be the caller's own; an operator may grant all. Errors: permission_denied.
func (p principal) mayGrant(scopes []apikey.Scope) error {
	denied := fault.New(fault.PermissionDenied)
	for i, scope := range scopes {
		if !p.operates() && !p.has(scope) && slices.Contains(apikey.Scopes(), scope) {
			denied.Fields = append(denied.Fields, fault.Field{
				Pointer: "/scopes/" + strconv.Itoa(i), Code: fault.FieldNotAllowed,
			})
		}
	}
	if len(denied.Fields) > 0 {
		return denied
	}
	return nil
}

// createAPIKey answers POST /v1/admin/api-keys.
func (s *Server) createAPIKey(c echo.Context) error {
	var req createKeyRequest
	if err := decode(c, &req); err != nil {
		return err
	}
	wanted, err := s.wantedKey(c, &req)
	if err != nil {
		return err
	}
	key, text, err := s.apiKeys.Create(c.Request().Context(), wanted)
	if err != nil {
		return err
	}
	body, err := s.keyOut(c, key)
	if err != nil {
		return err
	}
	body.Key = text
	return respond(c, http.StatusCreated, body)
}

// listAPIKeys answers GET /v1/admin/api-keys: all keys for an operator, the keys of their portal for others.
func (s *Server) listAPIKeys(c echo.Context) error {
	page, err := pageOf(c)
	if err != nil {
		return err
	}
	keys, err := s.apiKeys.List(c.Request().Context(), principalOf(c).reach(), ids.APIKey{UUID: page.before}, page.limit+1)
	if err != nil {
		return err
	}
	bodies := make(map[ids.APIKey]keyBody, len(keys))
	for _, key := range keys {
		if bodies[key.ID], err = s.keyOut(c, key); err != nil {
			return err
		}
	}
	return respondPage(c, page, keys, func(key *apikey.Key) keyBody { return bodies[key.ID] },
		func(key *apikey.Key) uuid.UUID { return key.ID.UUID })
}

// keyOut is a key without its text.
func (s *Server) keyOut(c echo.Context, key *apikey.Key) (keyBody, error) {
	body := keyBody{
		ID: key.ID, Name: key.Name, Scopes: key.Scopes, CreatedAt: timestamp(key.CreatedAt),
		ExpiresAt: (*timestamp)(key.ExpiresAt), LastUsedAt: (*timestamp)(key.LastUsedAt),
	}
	if key.CreatedBy != "" {
		body.CreatedBy = &key.CreatedBy
	}
	if key.PortalID.IsZero() {
		return body, nil
	}
	p, err := s.portals.ByID(c.Request().Context(), key.PortalID)
	if fault.CodeOf(err) == fault.OrganizationNotFound {
		return body, nil // the portal is being deleted, together with its keys
	}
	if err != nil {
		return body, err
	}
	body.Portal = &p.Slug
	return body, nil
}

// revokeAPIKey answers DELETE /v1/admin/api-keys/{id}.
func (s *Server) revokeAPIKey(c echo.Context) error {
	id, err := idOf[ids.APIKey](c)
	if err != nil {
		return err
	}
	if err := noBody(c); err != nil {
		return err
	}
	if err := s.apiKeys.Revoke(c.Request().Context(), principalOf(c).reach(), id); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// signingKeyBody is a signing key without its private half.
type signingKeyBody struct {
	ID        string                `json:"id"`
	Algorithm accesstoken.Algorithm `json:"algorithm"`
	Status    string                `json:"status"`
	CreatedAt timestamp             `json:"created_at"`
	ActiveAt  timestamp             `json:"active_at"`
}

type rotateSigningKeyRequest struct {
	Now bool `json:"now"`
}

// rotateSigningKey answers POST /v1/admin/signing-keys with the key that takes over, on every instance at active_at.
func (s *Server) rotateSigningKey(c echo.Context) error {
	var req rotateSigningKeyRequest
	if err := decodeOptional(c, &req); err != nil {
		return err
	}
	rotate := s.keys.Rotate
	if req.Now {
		rotate = s.keys.RotateNow
	}
	key, err := rotate(c.Request().Context())
	if err != nil {
		return err
	}
	return respond(c, http.StatusCreated, signingKeyOut(key))
}

// withdrawSigningKey answers DELETE /v1/admin/signing-keys/{id}.
func (s *Server) withdrawSigningKey(c echo.Context) error {
	if err := noBody(c); err != nil {
		return err
	}
	if err := s.keys.Withdraw(c.Request().Context(), c.Param("id")); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// listSigningKeys answers GET /v1/admin/signing-keys: the published keys, newest first.
func (s *Server) listSigningKeys(c echo.Context) error {
	keys, err := s.keys.States(c.Request().Context())
	if err != nil {
		return err
	}
	body := pageBody[signingKeyBody]{Items: make([]signingKeyBody, 0, len(keys))}
	for _, key := range slices.Backward(keys) {
		body.Items = append(body.Items, signingKeyOut(key))
	}
	return respond(c, http.StatusOK, body)
}

func signingKeyOut(key accesstoken.KeyState) signingKeyBody {
	return signingKeyBody{
		ID: key.ID, Algorithm: key.Algorithm, Status: key.State,
		CreatedAt: timestamp(key.CreatedAt), ActiveAt: timestamp(key.ActiveAt),
	}
}
