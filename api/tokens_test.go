package api_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// forge is a workshop for access tokens: a real one, taken apart, and the keys that it can be put together with.
type forge struct {
	t              testing.TB
	real           string
	header, claims object
	key            ed25519.PrivateKey // the installation's own
}

func newForge(t testing.TB, h *harness, in tokens) *forge {
	t.Helper()
	f := &forge{t: t, real: in.access}
	f.header, f.claims = takenApart(t, in.access)
	kid := f.header["kid"].(string)
	sealed := h.sql(t, "SELECT private_key FROM signing_keys WHERE id = ?", kid)
	seed, err := h.ring.Open("signing-key", []byte(sealed), kid)
	require.NoError(t, err)
	f.key = ed25519.NewKeyFromSeed(seed)
	return f
}

// takenApart are the header and the claims of an access token, unverified.
func takenApart(t testing.TB, token string) (header, claims object) {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	for i, into := range []*object{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, into))
	}
	return header, claims
}

func encode(text []byte) string { return base64.RawURLEncoding.EncodeToString(text) }

// with is a copy of members with some changed; one that is nil goes.
func with(members object, changes object) object {
	changed := maps.Clone(members)
	maps.Copy(changed, changes)
	maps.DeleteFunc(changed, func(_ string, value any) bool { return value == nil })
	return changed
}

// signed puts a token together, with a right signature unless sign is another's.
func (f *forge) signed(header, claims object, sign func(input []byte) []byte) string {
	f.t.Helper()
	input := encode(encoded(f.t, with(f.header, header))) + "." + encode(encoded(f.t, with(f.claims, claims)))
	return input + "." + encode(sign([]byte(input)))
}

func (f *forge) own(input []byte) []byte { return ed25519.Sign(f.key, input) }

func macWith(key []byte) func([]byte) []byte {
	return func(input []byte) []byte {
		mac := hmac.New(sha256.New, key)
		mac.Write(input)
		return mac.Sum(nil)
	}
}

// forged are tokens that nobody may get in with, by what is wrong with them.
func (f *forge) forged(at time.Time) map[string]string {
	f.t.Helper()
	public := f.key.Public().(ed25519.PublicKey)
	der, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(f.t, err)
	_, stranger, err := ed25519.GenerateKey(nil)
	require.NoError(f.t, err)
	strangers := func(input []byte) []byte { return ed25519.Sign(stranger, input) }
	strangersJWK := object{"kty": "OKP", "crv": "Ed25519", "x": encode(stranger.Public().(ed25519.PublicKey))}
	none := func([]byte) []byte { return nil }

	list := map[string]string{}
	add := func(name string, header, claims object, sign func([]byte) []byte) {
		list[name] = f.signed(header, claims, sign)
	}
	for _, alg := range []any{"none", "None", "NONE", "", "EdDSA"} {
		add("unsigned: "+alg.(string), object{"alg": alg}, nil, none)
	}
	for _, alg := range []any{"none", "RS256", "ES256", "PS512", "HS512", "Ed25519", "eddsa", nil, 1, []string{"EdDSA"}} {
		add("another algorithm: "+string(encoded(f.t, []any{alg})), object{"alg": alg}, nil, f.own)
	}
	for name, key := range map[string][]byte{
		"octets": public, "text": []byte(encode(public)), "DER": der, "empty": nil, "kid": []byte(f.header["kid"].(string)),
		"PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
	} {
		add("HS256 with the public key as "+name, object{"alg": "HS256"}, nil, macWith(key))
	}
	add("another's signature", nil, nil, strangers)
	for name, header := range map[string]object{
		"jwk": {"jwk": strangersJWK}, "jku": {"jku": "https://evil.example/jwks.json"}, "x5u": {"x5u": "https://evil.example/cert.pem"},
		"x5c": {"x5c": []string{base64.StdEncoding.EncodeToString(der)}}, "jwk without kid": {"jwk": strangersJWK, "kid": nil},
	} {
		add("another's key by "+name, header, nil, strangers)
	}
	for name, kid := range map[string]any{
		"none": nil, "empty": "", "path": "../../../../dev/null", "SQL": "' OR '1'='1' --", "URL": "https://evil.example/key",
		"long": strings.Repeat("k", 10_000), "number": 1, "list": []any{f.header["kid"]}, "object": object{}, "NUL": "\x00", "null": json.RawMessage("null"),
	} {
		add("kid: "+name, object{"kid": kid}, nil, f.own)
	}
	for name, header := range map[string]object{
		"no typ": {"typ": nil}, "JWT": {"typ": "JWT"}, "case": {"typ": "AT+JWT"}, "media type": {"typ": "application/at+jwt"},
		"typ list": {"typ": []string{"at+jwt"}}, "crit": {"crit": []string{"exp"}}, "b64": {"b64": false, "crit": []string{"b64"}},
		"empty crit": {"crit": []string{}},
	} {
		add("header: "+name, header, nil, f.own)
	}
	other := uuid.Must(uuid.NewV7()).String()
	for name, claims := range map[string]object{
		"expired": {"exp": at.Unix() - 1}, "expires now": {"exp": at.Unix()}, "no exp": {"exp": nil},
		"from the future": {"iat": at.Unix() + 60}, "not yet": {"nbf": at.Unix() + 60}, "no iss": {"iss": nil},
		"iss": {"iss": "https://evil.example/v1/portals/acme"}, "iss of another portal": {"iss": publicURL + "/v1/portals/other"},
		"aud": {"aud": "other"}, "no aud": {"aud": nil}, "aud list": {"aud": []string{"acme"}}, "aud case": {"aud": "ACME"},
		"no sub": {"sub": nil}, "sub": {"sub": other}, "sub text": {"sub": "ada@example.com"}, "no sid": {"sid": nil},
		"sid": {"sid": other}, "sid SQL": {"sid": "' OR 1=1 --"}, "sid list": {"sid": []any{f.claims["sid"]}},
	} {
		add("signed well: "+name, nil, claims, f.own)
		list["changed: "+name] = f.changed(claims)
	}
	list["changed: roles"] = f.changed(object{"roles": []string{"admin"}})
	maps.Copy(list, f.misspelled())
	return list
}

// changed is the real token with other claims under its own signature.
func (f *forge) changed(claims object) string {
	parts := strings.Split(f.real, ".")
	return parts[0] + "." + encode(encoded(f.t, with(f.claims, claims))) + "." + parts[2]
}

// misspelled are other spellings of the real token.
func (f *forge) misspelled() map[string]string {
	parts := strings.Split(f.real, ".")
	list := map[string]string{
		"two parts": parts[0] + "." + parts[1], "four parts": f.real + "." + parts[2], "no parts": "x", "dots": "..",
		"no signature": parts[0] + "." + parts[1] + ".", "leading dot": "." + f.real, "trailing dot": f.real + ".",
		"standard base64": parts[0] + "." + parts[1] + "." + base64.StdEncoding.EncodeToString(f.own([]byte(parts[0]+"."+parts[1]))),
		"short":           f.real[:len(f.real)-1], "long": f.real + "A", "unused bits": f.real[:len(f.real)-1] + next(f.real[len(f.real)-1]),
		"huge": strings.Repeat("A", 100_000) + "." + parts[1] + "." + parts[2], "upper case": strings.ToUpper(f.real),
	}
	for name, blank := range map[string]string{"space": " ", "newline": "\n", "tab": "\t", "padding": "=", "NUL": "\x00", "two": "=="} {
		list[name+" behind the header"] = parts[0] + blank + "." + parts[1] + "." + parts[2]
		list[name+" in the claims"] = parts[0] + "." + parts[1][:4] + blank + parts[1][4:] + "." + parts[2]
		list[name+" before the signature"] = parts[0] + "." + parts[1] + "." + blank + parts[2]
		list[name+" in the signature"] = f.real[:len(f.real)-4] + blank + f.real[len(f.real)-4:]
	}
	list["padding at the end"], list["much padding at the end"] = f.real+"=", f.real+"=="
	return list
}

// next is a character of base64url that differs in its last bit alone.
func next(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)^1])
}

func TestForgedAccessTokens(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		h.portal(t, object{"slug": "other"})
		f := newForge(t, h, h.logIn(t, h.account(t, p)))
		me := func(token string) *answer { t.Helper(); return h.get(t, p.front+"/me", bearer(token)) }
		me(f.real).status(http.StatusOK)
		me(f.signed(nil, nil, f.own)).status(http.StatusOK) // the workshop works
		for name, token := range f.forged(h.clock.now()) {
			require.NotEqual(t, f.real, token, name)
			a := me(token)
			require.Equal(t, http.StatusUnauthorized, a.httpStatus, name)
			a.is("code", "access_token_invalid").remedies("log_in").
				sets("WWW-Authenticate", `Bearer realm="latchkey", error="invalid_token"`)
		}
		me(f.real).status(http.StatusOK)
		h.get(t, "/v1/portals/other/me", bearer(f.real)).problem(http.StatusUnauthorized, "access_token_invalid")
		h.clock.advance(601 * time.Second)
		me(f.real).problem(http.StatusUnauthorized, "access_token_invalid")
	})
}

// Any library verifies an access token with nothing but its issuer.
func TestAnyLibraryVerifiesAnAccessToken(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := overSocket(t, db)
		ada := h.account(t, h.portal(t), object{"roles": []string{"editor"}, "entitlements": []string{"reports"}})
		in := h.logIn(t, ada)

		token, err := jwt.ParseSigned(in.access, []jose.SignatureAlgorithm{jose.EdDSA})
		require.NoError(t, err)
		var unverified jwt.Claims
		require.NoError(t, token.UnsafeClaimsWithoutVerification(&unverified))
		var discovered struct {
			Issuer  string `json:"issuer"`
			JWKSURI string `json:"jwks_uri"`
		}
		fetch(t, unverified.Issuer+"/.well-known/openid-configuration", &discovered)
		require.Equal(t, unverified.Issuer, discovered.Issuer)
		var keys jose.JSONWebKeySet
		fetch(t, discovered.JWKSURI, &keys)

		var claims jwt.Claims
		var more struct {
			SessionID    string   `json:"sid"`
			Roles        []string `json:"roles"`
			Entitlements []string `json:"entitlements"`
		}
		require.NoError(t, token.Claims(keys, &claims, &more))
		require.NoError(t, claims.ValidateWithLeeway(jwt.Expected{
			Issuer: h.base + "/v1/portals/acme", AnyAudience: jwt.Audience{"acme"}, Subject: ada.id, Time: h.clock.now(),
		}, 0))
		require.Equal(t, 600*time.Second, claims.Expiry.Time().Sub(claims.IssuedAt.Time()))
		require.NotEmpty(t, claims.ID)
		require.Equal(t, "at+jwt", token.Headers[0].ExtraHeaders[jose.HeaderType])
		require.Equal(t, []string{"editor"}, more.Roles)
		require.Equal(t, []string{"reports"}, more.Entitlements)
		require.Equal(t, h.sql(t, "SELECT id FROM sessions"), more.SessionID)
	})
}

// fetch is what a verifier does, which knows nothing of Latchkey.
func fetch(t *testing.T, url string, into any) {
	t.Helper()
	response, err := impatient.Get(url)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode, "%s", body)
	require.NoError(t, json.Unmarshal(body, into))
}
