package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/accesstoken"
	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/apikey"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/invitation"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

const (
	accountKey   = "account"
	identityKey  = "identity"
	principalKey = "principal"
)

// asPerson wants an access token of the portal whose session has not ended. Handlers get its account by accountOf.
//
// Errors: authentication_required, access_token_invalid.
func (s *Server) asPerson(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		text, err := bearer(c)
		if err != nil {
			return err
		}
		a, identity, err := s.personBehind(c, portalOf(c), text)
		if err != nil {
			return err
		}
		c.Set(identityKey, identity)
		c.Set(accountKey, a)
		audit.CallerOf(c.Request().Context()).Actor = audit.Person(a.ID)
		return next(c)
	}
}

// personBehind is the account of an access token whose session has not ended. Errors: access_token_invalid.
func (s *Server) personBehind(
	c echo.Context, p *portal.Portal, token string,
) (*account.Account, accesstoken.Identity, error) {
	ctx := c.Request().Context()
	identity, err := s.tokens.Verify(ctx, p, token)
	if err != nil {
		return nil, identity, err
	}
	a, err := s.accounts.InSession(ctx, p, identity.AccountID, identity.SessionID)
	return a, identity, err
}

// accountOf is the account of the caller.
func accountOf(c echo.Context) *account.Account { return c.Get(accountKey).(*account.Account) }

// identityOf holds the claims of the caller's access token.
func identityOf(c echo.Context) accesstoken.Identity {
	return c.Get(identityKey).(accesstoken.Identity)
}

// principal is an authenticated administrator: an operator for all portals, any other for one.
type principal struct {
	scopes    []apikey.Scope
	portalID  ids.Portal
	actor     audit.Actor
	accountID ids.Account // of a person
	makerID   ids.Account // the person, or the person behind the key
	name      string      // of a key
}

func (p principal) has(scope apikey.Scope) bool { return slices.Contains(p.scopes, scope) }

// operates reports whether the principal is an operator.
func (p principal) operates() bool { return p.has(apikey.Operator) }

// administers reports whether the principal is an operator, or an administrator of some portal.
func (p principal) administers() bool { return p.operates() || p.has(apikey.Admin) }

// exports reports whether the principal may read the codes of invitations.
func (p principal) exports() bool { return p.operates() || p.has(apikey.InvitationsExport) }

// scrapes reports whether the principal may read the metrics.
func (p principal) scrapes() bool { return p.operates() || p.has("metrics") }

// inviter is the principal as the sender of an invitation.
func (p principal) inviter() invitation.Inviter {
	return invitation.Inviter{AccountID: p.accountID, Name: p.name}
}

// reach is the principal's only portal; nil for an operator, who has all.
func (p principal) reach() *ids.Portal {
	if p.operates() {
		return nil
	}
	return &p.portalID
}

func principalOf(c echo.Context) principal { return c.Get(principalKey).(principal) }

// authorized wants a principal for whom may is true.
//
// Errors: authentication_required, access_token_invalid, permission_denied.
func (s *Server) authorized(may func(principal) bool, next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		who, err := s.authenticate(c)
		if err != nil {
			return err
		}
		audit.CallerOf(c.Request().Context()).Actor = who.actor
		if !may(who) {
			return fault.New(fault.PermissionDenied)
		}
		c.Set(principalKey, who)
		return next(c)
	}
}

// atOwnPortal wants the portal in the path to be within the caller's reach. The portal may be disabled.
//
// Errors: organization_not_found, also for an administrator of another portal.
func (s *Server) atOwnPortal(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		p, err := s.portals.Find(c.Request().Context(), c.Param("portal"))
		if err != nil {
			return err
		}
		if who := principalOf(c); !who.operates() && who.portalID != p.ID {
			return fault.New(fault.OrganizationNotFound)
		}
		c.Set(portalKey, p)
		return next(c)
	}
}

// authenticate reads the bearer token: the operator key, an API key, or a person's access token.
func (s *Server) authenticate(c echo.Context) (principal, error) {
	text, err := bearer(c)
	if err != nil {
		return principal{}, err
	}
	given, want := sha256.Sum256([]byte(text)), sha256.Sum256([]byte(s.operatorKey))
	if s.operatorKey != "" && subtle.ConstantTimeCompare(given[:], want[:]) == 1 {
		return principal{scopes: []apikey.Scope{apikey.Operator}, actor: audit.Operator(), name: "operator"}, nil
	}
	if strings.HasPrefix(text, apikey.Prefix) {
		key, err := s.apiKeys.Authenticate(c.Request().Context(), text)
		if err != nil {
			return principal{}, err
		}
		return principal{
			scopes: key.Scopes, portalID: key.PortalID, actor: audit.APIKey(key.ID), makerID: key.MakerID, name: key.Name,
		}, nil
	}
	return s.administratorBehind(c, text)
}

// administratorBehind is the person of an access token. Whether they have the role admin is read from the account, as
// the token may be older than a change of roles.
func (s *Server) administratorBehind(c echo.Context, token string) (principal, error) {
	slug, err := accesstoken.ClaimedPortal(token)
	if err != nil {
		return principal{}, err
	}
	p, err := s.portals.Enabled(c.Request().Context(), slug)
	if fault.CodeOf(err) == fault.OrganizationNotFound {
		return principal{}, fault.New(fault.AccessTokenInvalid)
	}
	if err != nil {
		return principal{}, err
	}
	a, _, err := s.personBehind(c, p, token)
	if err != nil {
		return principal{}, err
	}
	who := principal{
		portalID: p.ID, actor: audit.Person(a.ID), accountID: a.ID, makerID: a.ID,
	}
	if slices.Contains(a.Roles, account.AdminRole) {
		who.scopes = []apikey.Scope{apikey.Admin, apikey.InvitationsExport}
	}
	return who, nil
}

// bearer is the token of the Authorization header (RFC 6750 §2.1). Errors: authentication_required.
func bearer(c echo.Context) (string, error) {
	headers := c.Request().Header.Values(echo.HeaderAuthorization)
	if len(headers) != 1 {
		return "", fault.New(fault.AuthenticationRequired)
	}
	scheme, token, found := strings.Cut(headers[0], " ")
	if !found || !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(token) == "" {
		return "", fault.New(fault.AuthenticationRequired)
	}
	return strings.TrimSpace(token), nil
}
