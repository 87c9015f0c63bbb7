package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/account"
)

// getMe answers GET /v1/portals/{portal}/me.
func (s *Server) getMe(c echo.Context) error {
	return respond(c, http.StatusOK, accountOut(accountOf(c)))
}

type patchMeRequest struct {
	GivenName  optional[*string] `json:"given_name"`
	FamilyName optional[*string] `json:"family_name"`
	Locale     optional[string]  `json:"locale"`
	OptedOut   optional[bool]    `json:"opted_out"`
}

// changes checks the request. Errors: validation_failed.
func (r *patchMeRequest) changes() (account.Changes, error) {
	var k check
	changes := account.Changes{
		GivenName: k.nameChange("/given_name", r.GivenName), FamilyName: k.nameChange("/family_name", r.FamilyName),
		Locale: r.Locale.pointer(), OptedOut: r.OptedOut.pointer(),
	}
	if r.Locale.Set {
		k.locale(r.Locale.Value)
	}
	return changes, k.Err()
}

// patchMe answers PATCH /v1/portals/{portal}/me.
func (s *Server) patchMe(c echo.Context) error {
	var req patchMeRequest
	if err := decode(c, &req); err != nil {
		return err
	}
	changes, err := req.changes()
	if err != nil {
		return err
	}
	changed, err := s.accounts.ChangeOwn(c.Request().Context(), portalOf(c), accountOf(c).ID, changes)
	if err != nil {
		return err
	}
	return respond(c, http.StatusOK, accountOut(changed))
}
