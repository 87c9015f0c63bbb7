package session

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// accessTokenType is the header's typ (RFC 9068 §2.1): an ID token or another JWT of ours is no access token.
const accessTokenType = "at+jwt"

// clockSkew is how far the clock of the instance that signed may be ahead.
const clockSkew = 10 * time.Second

// claims are what an access token says (RFC 9068).
type claims struct {
	jwt.RegisteredClaims
	Portal       string   `json:"aud"` // the slug: one string, not a list of one
	SessionID    string   `json:"sid"`
	Roles        []string `json:"roles"`
	Entitlements []string `json:"entitlements"`
}

// GetAudience gives the parser what is in Portal.
func (c claims) GetAudience() (jwt.ClaimStrings, error) { return jwt.ClaimStrings{c.Portal}, nil }

// Identity is what a verified access token says, read.
type Identity struct {
	AccountID uuid.UUID
	SessionID uuid.UUID
}

// AccessTokens signs and verifies access tokens (JWT, RFC 7519; EdDSA, RFC 8037).
type AccessTokens struct {
	keys      *Keys
	publicURL string
	now       func() time.Time
}

// NewAccessTokens signs with keys; publicURL is where callers reach this server, without a slash at its end.
func NewAccessTokens(keys *Keys, publicURL string, now func() time.Time) *AccessTokens {
	return &AccessTokens{keys, publicURL, now}
}

// Issuer is the iss of a portal's tokens, under which its discovery document stands.
func (t *AccessTokens) Issuer(p *portal.Portal) string {
	return t.publicURL + "/v1/portals/" + p.Slug
}

func (t *AccessTokens) sign(ctx context.Context, p *portal.Portal, sessionID uuid.UUID, a *account.Account) (string, error) {
	key, err := t.keys.signing(ctx)
	if err != nil {
		return "", err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return "", err
	}
	now := t.now()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: t.Issuer(p), Subject: a.ID.String(), ID: id.String(),
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(p.AccessTokenTTL.Duration())),
		},
		Portal: p.Slug, SessionID: sessionID.String(), Roles: a.Roles, Entitlements: a.Entitlements,
	})
	token.Header["typ"], token.Header["kid"] = accessTokenType, key.ID
	return token.SignedString(key.private)
}

// Verify reads an access token of the portal. Whether its session still lives is for the caller to ask.
//
// Errors: access_token_invalid; unavailable where the keys cannot be read.
func (t *AccessTokens) Verify(ctx context.Context, p *portal.Portal, text string) (Identity, error) {
	if strings.ContainsAny(text, "\r\n") { // Go's base64 reads over them: a token would have a second spelling
		return Identity{}, fault.New(fault.AccessTokenInvalid)
	}
	var said claims
	token, err := jwt.ParseWithClaims(text, &said,
		func(token *jwt.Token) (any, error) {
			kid, _ := token.Header["kid"].(string)
			return t.keys.verifying(ctx, kid)
		},
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithStrictDecoding(),
		jwt.WithIssuer(t.Issuer(p)), jwt.WithAudience(p.Slug), jwt.WithExpirationRequired(),
		jwt.WithTimeFunc(t.now))
	var f *fault.Error
	if errors.As(err, &f) {
		return Identity{}, f // the keys could not be read: that says nothing about the token
	}
	if err != nil || token.Header["typ"] != accessTokenType || token.Header["crit"] != nil ||
		(said.IssuedAt != nil && said.IssuedAt.After(t.now().Add(clockSkew))) {
		return Identity{}, fault.New(fault.AccessTokenInvalid)
	}
	account, accountErr := uuid.Parse(said.Subject)
	session, sessionErr := uuid.Parse(said.SessionID)
	if accountErr != nil || sessionErr != nil {
		return Identity{}, fault.New(fault.AccessTokenInvalid)
	}
	return Identity{AccountID: account, SessionID: session}, nil
}

// ClaimedPortal is the slug of the portal that an access token says it is for, before anything of it is believed.
//
// Errors: access_token_invalid.
func ClaimedPortal(text string) (string, error) {
	var said claims
	if _, _, err := jwt.NewParser(jwt.WithStrictDecoding()).ParseUnverified(text, &said); err != nil {
		return "", fault.New(fault.AccessTokenInvalid)
	}
	return said.Portal, nil
}
