package api

import (
	"net/http"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// accountBody is an account as its owner sees it.
type accountBody struct {
	ID           ids.Account    `json:"id"`
	Email        string         `json:"email"`
	Phone        *string        `json:"phone"`
	GivenName    *string        `json:"given_name"`
	FamilyName   *string        `json:"family_name"`
	Locale       string         `json:"locale"`
	Roles        []string       `json:"roles"`
	Entitlements []string       `json:"entitlements"`
	Metadata     jsontext.Value `json:"metadata"`
	Confirmed    bool           `json:"confirmed"`
	HasPassword  bool           `json:"has_password"`
	Disabled     bool           `json:"disabled"`
	OptedOut     bool           `json:"opted_out"`
	CreatedAt    timestamp      `json:"created_at"`
	LastLoginAt  *timestamp     `json:"last_login_at"`
}

func accountOut(a *account.Account) accountBody {
	return accountBody{
		ID: a.ID, Email: a.Email.Typed(), Phone: a.Phone, GivenName: a.GivenName, FamilyName: a.FamilyName,
		Locale: a.Locale, Roles: a.Roles, Entitlements: a.Entitlements, Metadata: jsontext.Value(a.Metadata),
		Confirmed: a.Confirmed != nil, HasPassword: a.HasPassword(), Disabled: a.Disabled != nil, OptedOut: a.OptedOut,
		CreatedAt: timestamp(a.CreatedAt), LastLoginAt: (*timestamp)(a.LastLoginAt),
	}
}

// adminAccountBody is an account as administrators see it.
type adminAccountBody struct {
	accountBody
	LockedUntil *timestamp `json:"locked_until"`
}

// respondAccount answers with an account as administrators see it.
func (s *Server) respondAccount(c echo.Context, status int, a *account.Account) error {
	out, err := s.adminAccounts(c, a)
	if err != nil {
		return err
	}
	return respond(c, status, out(a))
}

// adminAccounts reads the locks of accounts, and gives a function that makes their bodies.
func (s *Server) adminAccounts(
	c echo.Context, accounts ...*account.Account,
) (func(*account.Account) adminAccountBody, error) {
	locked, err := s.login.LockedUntil(c.Request().Context(), portalOf(c), accounts...)
	if err != nil {
		return nil, err
	}
	return func(a *account.Account) adminAccountBody {
		body := adminAccountBody{accountBody: accountOut(a)}
		if until, ok := locked[a.ID]; ok {
			body.LockedUntil = (*timestamp)(&until)
		}
		return body
	}, nil
}

func accountID(a *account.Account) uuid.UUID { return a.ID.UUID }

// accountRequest holds an administrator's values for a new account, or for changes to one.
type accountRequest struct {
	Email        optional[string]         `json:"email"`
	Password     optional[string]         `json:"password"`
	Confirmed    optional[bool]           `json:"confirmed"`
	Phone        optional[*string]        `json:"phone"`
	Roles        optional[[]string]       `json:"roles"`
	Entitlements optional[[]string]       `json:"entitlements"`
	Locale       optional[string]         `json:"locale"`
	GivenName    optional[*string]        `json:"given_name"`
	FamilyName   optional[*string]        `json:"family_name"`
	Metadata     optional[jsontext.Value] `json:"metadata"`
	Disabled     optional[bool]           `json:"disabled"`
	OptedOut     optional[bool]           `json:"opted_out"`
}

// changes checks the request. Errors: validation_failed.
func (r *accountRequest) changes(isNew bool) (account.Changes, error) {
	var k check
	changes := account.Changes{
		Password: r.Password.pointer(), Confirmed: r.Confirmed.pointer(), Locale: r.Locale.pointer(),
		GivenName: k.nameChange("/given_name", r.GivenName), FamilyName: k.nameChange("/family_name", r.FamilyName),
		Disabled: r.Disabled.pointer(), OptedOut: r.OptedOut.pointer(),
	}
	if isNew || r.Email.Set {
		address := k.email(r.Email.Value)
		changes.Email = &address
	}
	if r.Password.Set {
		k.password("/password", r.Password.Value)
	}
	if r.Phone.Set {
		if isNew && r.Phone.Value == nil {
			k.Wrong("/phone", fault.FieldNull) // a new account has no number to clear
		}
		number := k.phone("/phone", r.Phone.Value)
		changes.Phone = &number
	}
	if r.Roles.Set {
		roles := k.names("/roles", r.Roles.Value)
		changes.Roles = &roles
	}
	if r.Entitlements.Set {
		entitlements := k.names("/entitlements", r.Entitlements.Value)
		changes.Entitlements = &entitlements
	}
	if r.Locale.Set {
		k.locale(r.Locale.Value)
	}
	if r.Metadata.Set {
		metadata := k.metadata("/metadata", r.Metadata.Value)
		changes.Metadata = &metadata
	}
	return changes, k.Err()
}

// limitAdministrator limits how many passwords an administrator sets, because hashing them slows all logins. Operators
// have no limit. Errors: rate_limited.
func (s *Server) limitAdministrator(c echo.Context, changes account.Changes) error {
	who := principalOf(c)
	if changes.Password == nil || who.operates() {
		return nil
	}
	return s.limitPasswords(who.actor.String(), s.limits.Passwords)
}

// createAccount answers POST /v1/admin/portals/{portal}/accounts.
func (s *Server) createAccount(c echo.Context) error {
	var req accountRequest
	if err := decode(c, &req); err != nil {
		return err
	}
	noteEmail(c, req.Email.Value)
	changes, err := req.changes(true)
	if err != nil {
		return err
	}
	if err := s.limitAdministrator(c, changes); err != nil {
		return err
	}
	p := portalOf(c)
	a, err := s.accounts.Create(c.Request().Context(), p, changes)
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderLocation, s.publicPath+"/v1/admin/portals/"+p.Slug+"/accounts/"+a.ID.String())
	return s.respondAccount(c, http.StatusCreated, a)
}

// listAccounts answers GET /v1/admin/portals/{portal}/accounts.
func (s *Server) listAccounts(c echo.Context) error {
	page, err := pageOf(c)
	if err != nil {
		return err
	}
	q, _, err := queryText(c, "q", account.MaxSearchQuery)
	if err != nil {
		return err
	}
	accounts, err := s.accounts.Search(c.Request().Context(), portalOf(c), q, ids.Account{UUID: page.before}, page.limit+1)
	if err != nil {
		return err
	}
	out, err := s.adminAccounts(c, accounts...)
	if err != nil {
		return err
	}
	return respondPage(c, page, accounts, out, accountID)
}

// getAccount answers GET /v1/admin/portals/{portal}/accounts/{id}.
func (s *Server) getAccount(c echo.Context) error {
	id, err := idOf[ids.Account](c)
	if err != nil {
		return err
	}
	a, err := s.accounts.Get(c.Request().Context(), portalOf(c), id)
	if err != nil {
		return err
	}
	return s.respondAccount(c, http.StatusOK, a)
}

// patchAccount answers PATCH /v1/admin/portals/{portal}/accounts/{id}.
func (s *Server) patchAccount(c echo.Context) error {
	id, err := idOf[ids.Account](c)
	if err != nil {
		return err
	}
	var req accountRequest
	if err := decode(c, &req); err != nil {
		return err
	}
	changes, err := req.changes(false)
	if err != nil {
		return err
	}
	if err := s.limitAdministrator(c, changes); err != nil {
		return err
	}
	a, err := s.administration.Change(c.Request().Context(), portalOf(c), id, changes)
	if err != nil {
		return err
	}
	return s.respondAccount(c, http.StatusOK, a)
}

// deleteAccount answers DELETE /v1/admin/portals/{portal}/accounts/{id}.
func (s *Server) deleteAccount(c echo.Context) error {
	id, err := idOf[ids.Account](c)
	if err != nil {
		return err
	}
	if err := noBody(c); err != nil {
		return err
	}
	if err := s.erasure.Account(c.Request().Context(), portalOf(c), id); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// idOf is the id in the path. Errors: not_found, also for an id that is not spelled as ours are.
func idOf[ID ~struct{ uuid.UUID }](c echo.Context) (ID, error) {
	text := c.Param("id")
	id, err := uuid.Parse(text)
	if err != nil || id.String() != text {
		return ID{}, fault.New(fault.NotFound)
	}
	return ID{id}, nil
}
