// Package accesstoken signs and verifies access tokens (JWT, RFC 7519; RFC 9068) and keeps the signing keys, so that any
// library can verify a token with the published keys.
package accesstoken

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/latchkey-auth/latchkey/pkg/clock"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// accessTokenType is the typ of the header (RFC 9068 §2.1). It keeps other JWTs of this server, such as ID tokens, from
// passing as access tokens.
const accessTokenType = "at+jwt"

// clockSkew is how far the clock of the instance that signed may be ahead.
const clockSkew = 10 * time.Second

// claims are the members of an access token (RFC 9068 §2.2).
type claims struct {
	jwt.RegisteredClaims
	Portal       string           `json:"aud"` // the slug: one string, not a list of one
	ClientID     string           `json:"client_id"`
	SessionID    string           `json:"sid"`
	AuthTime     *jwt.NumericDate `json:"auth_time"`
	Methods      []string         `json:"amr,omitempty"`
	Roles        []string         `json:"roles"`
	Entitlements []string         `json:"entitlements"`
}

// GetAudience tells the parser that Portal is the audience.
func (c claims) GetAudience() (jwt.ClaimStrings, error) { return jwt.ClaimStrings{c.Portal}, nil }

// Subject is the account and the session that a token is signed for.
type Subject struct {
	AccountID    ids.Account
	SessionID    ids.Session
	AuthTime     time.Time // when the person was authenticated
	Methods      []string  // how: names of RFC 8176
	Roles        []string
	Entitlements []string
}

// Identity is the account and the session that a verified token names.
type Identity struct {
	AccountID ids.Account
	SessionID ids.Session
}

// Tokens signs and verifies access tokens.
type Tokens struct {
	keys      *Keys
	publicURL string
	clock     clock.Clock
}

// NewTokens signs with keys; publicURL is where callers reach this server, without a slash at its end.
func NewTokens(keys *Keys, publicURL string, now clock.Clock) *Tokens {
	return &Tokens{keys, publicURL, now}
}

// Issuer is the iss of a portal's tokens: the URL under which its discovery document is found.
func (t *Tokens) Issuer(p *portal.Portal) string {
	return t.publicURL + "/v1/portals/" + p.Slug
}

// Sign makes an access token of the portal, which expires after the portal's access_token_ttl.
func (t *Tokens) Sign(ctx context.Context, p *portal.Portal, of Subject) (string, error) {
	key, err := t.keys.signing(ctx)
	if err != nil {
		return "", err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return "", err
	}
	now := t.clock.Now()
	token := jwt.NewWithClaims(key.Algorithm.method(), claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: t.Issuer(p), Subject: of.AccountID.String(), ID: id.String(),
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(p.AccessTokenTTL.Duration())),
		},
		Portal: p.Slug, ClientID: p.Slug, SessionID: of.SessionID.String(),
		AuthTime: jwt.NewNumericDate(of.AuthTime), Methods: of.Methods, Roles: of.Roles, Entitlements: of.Entitlements,
	})
	token.Header["typ"], token.Header["kid"] = accessTokenType, key.ID
	input, err := token.SigningString()
	if err != nil {
		return "", err
	}
	signature, err := token.Method.Sign(input, key.private)
	if err != nil {
		return "", err
	}
	return input + "." + base64URL(key.Algorithm.canonical(signature)), nil
}

// Verify checks an access token of the portal. The caller checks that its session has not ended.
//
// Errors: access_token_invalid; unavailable when the keys cannot be read.
func (t *Tokens) Verify(ctx context.Context, p *portal.Portal, text string) (Identity, error) {
	if strings.ContainsAny(text, "\r\n") { // Go's base64 skips line breaks: a token would have a second spelling
		return Identity{}, fault.New(fault.AccessTokenInvalid)
	}
	var said claims
	token, err := jwt.ParseWithClaims(text, &said,
		func(token *jwt.Token) (any, error) {
			kid, _ := token.Header["kid"].(string)
			return t.keys.verifying(ctx, keyID{kid, Algorithm(token.Method.Alg())})
		},
		jwt.WithValidMethods(algorithmNames), jwt.WithStrictDecoding(),
		jwt.WithIssuer(t.Issuer(p)), jwt.WithAudience(p.Slug), jwt.WithExpirationRequired(),
		jwt.WithTimeFunc(t.clock.Now))
	var f *fault.Error
	if errors.As(err, &f) {
		return Identity{}, f // reading the keys failed, which says nothing about the token
	}
	if err != nil || token.Header["typ"] != accessTokenType || token.Header["crit"] != nil ||
		!Algorithm(token.Method.Alg()).isCanonical(token.Signature) ||
		(said.IssuedAt != nil && said.IssuedAt.After(t.clock.Now().Add(clockSkew))) {
		return Identity{}, fault.New(fault.AccessTokenInvalid)
	}
	account, accountErr := uuid.Parse(said.Subject)
	session, sessionErr := uuid.Parse(said.SessionID)
	if accountErr != nil || sessionErr != nil {
		return Identity{}, fault.New(fault.AccessTokenInvalid)
	}
	return Identity{AccountID: ids.Account{UUID: account}, SessionID: ids.Session{UUID: session}}, nil
}

// ClaimedPortal is the slug of the portal that an access token names. Nothing is verified yet: use it only to choose the
// portal to verify the token with.
//
// Errors: access_token_invalid.
func ClaimedPortal(text string) (string, error) {
	var said claims
	if _, _, err := jwt.NewParser(jwt.WithStrictDecoding()).ParseUnverified(text, &said); err != nil {
		return "", fault.New(fault.AccessTokenInvalid)
	}
	return said.Portal, nil
}
