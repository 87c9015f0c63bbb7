package sessions_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/accesstoken"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// algorithms are those that access tokens can be signed with.
var algorithms = []accesstoken.Algorithm{accesstoken.ES256, accesstoken.RS256, accesstoken.EdDSA}

func TestForgedAccessTokens(t *testing.T) {
	t.Parallel()
	for _, algorithm := range algorithms {
		databasetest.Each(t, func(t *testing.T, db *database.DB) {
			h := apitest.New(t, db, apitest.SigningWith(algorithm))
			p := h.Portal(t)
			h.Portal(t, apitest.Object{"slug": "other"})
			f := apitest.NewForge(t, h, h.LogIn(t, h.Account(t, p)))
			me := func(token string) *apitest.Answer { t.Helper(); return h.Get(t, p.Front+"/me", apitest.Bearer(token)) }
			me(f.Real).Status(http.StatusOK)
			me(f.Signed(nil, nil, f.SignAsServer)).Status(http.StatusOK) // the workshop works
			for name, token := range f.Forged(h.Clock.Now()) {
				require.NotEqual(t, f.Real, token, name)
				a := me(token)
				require.Equal(t, http.StatusUnauthorized, a.HTTPStatus, name)
				a.Is("code", "access_token_invalid").Remedies("log_in").
					HasHeader("WWW-Authenticate", `Bearer realm="latchkey", error="invalid_token"`)
			}
			me(f.Real).Status(http.StatusOK)
			h.Get(t, "/v1/portals/other/me", apitest.Bearer(f.Real)).Problem(http.StatusUnauthorized, "access_token_invalid")
			h.Clock.Advance(601 * time.Second)
			me(f.Real).Problem(http.StatusUnauthorized, "access_token_invalid")
		})
	}
}

// Any library verifies an access token with nothing but its issuer, by either kind of discovery.
func TestAccessTokenVerifiesWithLibrary(t *testing.T) {
	t.Parallel()
	for _, algorithm := range algorithms {
		databasetest.Each(t, func(t *testing.T, db *database.DB) {
			h := apitest.NewListening(t, db, apitest.SigningWith(algorithm))
			ada := h.Account(t, h.Portal(t), apitest.Object{"roles": []string{"editor"}, "entitlements": []string{"reports"}})
			in := h.LogIn(t, ada)

			token, err := jwt.ParseSigned(in.Access, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)})
			require.NoError(t, err)
			var unverified jwt.Claims
			require.NoError(t, token.UnsafeClaimsWithoutVerification(&unverified))
			keys := discover(t, unverified.Issuer, algorithm)
			var claims jwt.Claims
			var more struct {
				SessionID    string   `json:"sid"`
				ClientID     string   `json:"client_id"`
				AuthTime     int64    `json:"auth_time"`
				Methods      []string `json:"amr"`
				Roles        []string `json:"roles"`
				Entitlements []string `json:"entitlements"`
			}
			require.NoError(t, token.Claims(keys, &claims, &more))
			require.NoError(t, claims.ValidateWithLeeway(jwt.Expected{
				Issuer: h.BaseURL + "/v1/portals/acme", AnyAudience: jwt.Audience{"acme"}, Subject: ada.ID, Time: h.Clock.Now(),
			}, 0))
			require.Equal(t, 600*time.Second, claims.Expiry.Time().Sub(claims.IssuedAt.Time()))
			require.NotEmpty(t, claims.ID)
			require.Equal(t, "at+jwt", token.Headers[0].ExtraHeaders[jose.HeaderType])
			require.Equal(t, []string{"editor"}, more.Roles)
			require.Equal(t, []string{"reports"}, more.Entitlements)
			require.Equal(t, h.QueryValue(t, "SELECT id FROM sessions"), more.SessionID)
			require.Equal(t, "acme", more.ClientID)
			require.Equal(t, []string{"pwd"}, more.Methods)
			require.Equal(t, h.Clock.Now().Unix(), more.AuthTime)

			// When and how the person was authenticated goes with the session.
			h.Clock.Advance(time.Hour)
			token, err = jwt.ParseSigned(h.MustRefresh(t, ada.Portal, in.Refresh).Access, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)})
			require.NoError(t, err)
			authenticated := more.AuthTime
			require.NoError(t, token.Claims(keys, &claims, &more))
			require.Equal(t, authenticated, more.AuthTime)
			require.Equal(t, []string{"pwd"}, more.Methods)
			require.Equal(t, h.Clock.Now().Unix(), claims.IssuedAt.Time().Unix())
		})
	}
}

// TestServerMetadata holds the answer of RFC 8414 §3 to openapi.yaml.
func TestServerMetadata(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		h.Get(t, "/.well-known/oauth-authorization-server"+p.Front).Status(http.StatusOK).
			Is("issuer", apitest.PublicURL+p.Front)
	})
}

// discover finds the keys of an issuer by OpenID Connect Discovery 1.0 §4, and again by RFC 8414 §3.
func discover(t *testing.T, issuer string, algorithm accesstoken.Algorithm) jose.JSONWebKeySet {
	t.Helper()
	at, err := url.Parse(issuer)
	require.NoError(t, err)
	path := at.Path
	at.Path = ""
	var keys jose.JSONWebKeySet
	for _, where := range []string{
		issuer + "/.well-known/openid-configuration", at.String() + "/.well-known/oauth-authorization-server" + path,
	} {
		var discovered struct {
			Issuer     string   `json:"issuer"`
			JWKSURI    string   `json:"jwks_uri"`
			Algorithms []string `json:"id_token_signing_alg_values_supported"`
		}
		fetch(t, where, &discovered)
		require.Equal(t, issuer, discovered.Issuer)
		require.Equal(t, []string{string(algorithm)}, discovered.Algorithms)
		fetch(t, discovered.JWKSURI, &keys)
	}
	return keys
}

// fetch is what a verifier does, which knows nothing of Latchkey.
func fetch(t *testing.T, url string, into any) {
	t.Helper()
	response, err := apitest.Impatient.Get(url)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode, "%s", body)
	require.NoError(t, json.Unmarshal(body, into))
}
