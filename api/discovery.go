package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/accesstoken"
)

// discoveryBody holds the members of OpenID Connect Discovery 1.0 §3, and of RFC 8414 §2, that are true here.
type discoveryBody struct {
	Issuer             string                  `json:"issuer"`
	JWKSURI            string                  `json:"jwks_uri"`
	ResponseTypes      []string                `json:"response_types_supported"`
	SubjectTypes       []string                `json:"subject_types_supported"`
	IDTokenSigningAlgs []accesstoken.Algorithm `json:"id_token_signing_alg_values_supported"`
}

// discovery answers GET /v1/portals/{portal}/.well-known/openid-configuration and
// GET /.well-known/oauth-authorization-server/v1/portals/{portal}, where libraries find the keys of an issuer. It lists the
// algorithm of a key that does not sign yet too, because libraries keep the answer for minutes.
func (s *Server) discovery(c echo.Context) error {
	algorithms, err := s.keys.Algorithms(c.Request().Context())
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderCacheControl, publicCache)
	return respond(c, http.StatusOK, discoveryBody{
		Issuer: s.tokens.Issuer(portalOf(c)), JWKSURI: s.publicURL + "/.well-known/jwks.json",
		ResponseTypes: []string{}, SubjectTypes: []string{"public"}, IDTokenSigningAlgs: algorithms,
	})
}

type jwksBody struct {
	Keys []accesstoken.JWK `json:"keys"`
}

// jwks answers GET /.well-known/jwks.json.
func (s *Server) jwks(c echo.Context) error {
	keys, err := s.keys.Public(c.Request().Context())
	if err != nil {
		return err
	}
	body := jwksBody{Keys: make([]accesstoken.JWK, len(keys))}
	for i, key := range keys {
		body.Keys[i] = key.JWK()
	}
	c.Response().Header().Set(echo.HeaderCacheControl, publicCache)
	return respond(c, http.StatusOK, body)
}
