package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/session"
)

const (
	accountKey  = "account"
	identityKey = "identity"
)

// asPerson wants an access token of the portal whose session still lives; accountOf is then the person.
//
// Errors: authentication_required, access_token_invalid.
func (s *Server) asPerson(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		text, err := bearer(c)
		if err != nil {
			return err
		}
		if strings.ContainsAny(text, "\r\n") { // Go's base64 reads over them: a token would have a second spelling
			return fault.New(fault.AccessTokenInvalid)
		}
		ctx, p := c.Request().Context(), portalOf(c)
		identity, err := s.tokens.Verify(ctx, p, text)
		if err != nil {
			return err
		}
		a, err := s.accounts.InSession(ctx, p, identity.AccountID, identity.SessionID)
		if err != nil {
			return err
		}
		c.Set(identityKey, identity)
		c.Set(accountKey, a)
		audit.CallerOf(ctx).Actor = "account:" + a.ID.String()
		return next(c)
	}
}

// accountOf is the person who calls.
func accountOf(c echo.Context) *account.Account { return c.Get(accountKey).(*account.Account) }

// identityOf is what the caller's access token says.
func identityOf(c echo.Context) session.Identity { return c.Get(identityKey).(session.Identity) }

// asOperator wants the operator's key. Errors: authentication_required.
func (s *Server) asOperator(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		text, err := bearer(c)
		if err != nil {
			return err
		}
		given, want := sha256.Sum256([]byte(text)), sha256.Sum256([]byte(s.operatorKey))
		if s.operatorKey == "" || subtle.ConstantTimeCompare(given[:], want[:]) != 1 {
			return fault.New(fault.AuthenticationRequired)
		}
		audit.CallerOf(c.Request().Context()).Actor = "operator"
		return next(c)
	}
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
