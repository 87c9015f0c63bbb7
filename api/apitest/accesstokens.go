package apitest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// Forge makes access tokens from a real one, with the key of the installation or with others.
type Forge struct {
	t              testing.TB
	Real           string
	header, claims Object
	key            crypto.Signer // the installation's own
}

// NewForge makes a forge from the access token of a login.
func NewForge(t testing.TB, h *Harness, in Tokens) *Forge {
	t.Helper()
	f := &Forge{t: t, Real: in.Access}
	f.header, f.claims = DecodeToken(t, in.Access)
	kid, table := f.header["kid"].(string), "other_signing_keys"
	if f.algorithm() == "EdDSA" {
		table = "signing_keys"
	}
	sealed := h.QueryValue(t, "SELECT private_key FROM "+table+" WHERE id = ?", kid)
	secret, err := h.ring.Open("signing-key", []byte(sealed), kid)
	require.NoError(t, err)
	if f.algorithm() == "EdDSA" {
		f.key = ed25519.NewKeyFromSeed(secret)
		return f
	}
	key, err := x509.ParsePKCS8PrivateKey(secret)
	require.NoError(t, err)
	f.key = key.(crypto.Signer)
	return f
}

// algorithm is the JWS algorithm of the real token.
func (f *Forge) algorithm() string { return f.header["alg"].(string) }

// stranger is a key of the same algorithm that the installation does not know.
func (f *Forge) stranger() crypto.Signer {
	f.t.Helper()
	var key crypto.Signer
	var err error
	switch f.key.(type) {
	case *ecdsa.PrivateKey:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case *rsa.PrivateKey:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		_, key, err = ed25519.GenerateKey(nil)
	}
	require.NoError(f.t, err)
	return key
}

// signWith signs as a JWT library does, and gives the lower s of an ECDSA signature.
func (f *Forge) signWith(key crypto.Signer) func(input []byte) []byte {
	return func(input []byte) []byte {
		signature, err := jwt.GetSigningMethod(f.algorithm()).Sign(string(input), key)
		require.NoError(f.t, err)
		if _, ok := key.(*ecdsa.PrivateKey); ok && lowerS(signature) {
			otherS(signature)
		}
		return signature
	}
}

// lowerS reports whether the other s of an ECDSA signature is lower.
func lowerS(signature []byte) bool {
	other := slices.Clone(signature)
	otherS(other)
	return bytes.Compare(other, signature) < 0
}

// otherS puts n-s in the place of s: that is a signature of the same text too.
func otherS(signature []byte) {
	s := new(big.Int).SetBytes(signature[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(signature[32:])
}

// DecodeToken gives the header and the claims of an access token, unverified.
func DecodeToken(t testing.TB, token string) (header, claims Object) {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	for i, into := range []*Object{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, into))
	}
	return header, claims
}

// Base64URL encodes without padding.
func Base64URL(text []byte) string { return base64.RawURLEncoding.EncodeToString(text) }

// Merge is a copy of members with some changed; one that is nil goes.
func Merge(members Object, changes Object) Object {
	changed := maps.Clone(members)
	maps.Copy(changed, changes)
	maps.DeleteFunc(changed, func(_ string, value any) bool { return value == nil })
	return changed
}

// Signed puts a token together, with a right signature unless sign is another's.
func (f *Forge) Signed(header, claims Object, sign func(input []byte) []byte) string {
	f.t.Helper()
	input := Base64URL(Encode(f.t, Merge(f.header, header))) + "." + Base64URL(Encode(f.t, Merge(f.claims, claims)))
	return input + "." + Base64URL(sign([]byte(input)))
}

// SignAsServer signs with the key of the installation.
func (f *Forge) SignAsServer(input []byte) []byte { return f.signWith(f.key)(input) }

func macWith(key []byte) func([]byte) []byte {
	return func(input []byte) []byte {
		mac := hmac.New(sha256.New, key)
		mac.Write(input)
		return mac.Sum(nil)
	}
}

// Forged are tokens that must be refused, by the fault that each has.
func (f *Forge) Forged(at time.Time) map[string]string {
	f.t.Helper()
	der, err := x509.MarshalPKIXPublicKey(f.key.Public())
	require.NoError(f.t, err)
	octets := der[len(der)-32:]
	stranger := f.stranger()
	strangers := f.signWith(stranger)
	strangersJWK := jose.JSONWebKey{Key: stranger.Public()}
	none := func([]byte) []byte { return nil }

	list := map[string]string{}
	add := func(name string, header, claims Object, sign func([]byte) []byte) {
		list[name] = f.Signed(header, claims, sign)
	}
	for _, alg := range []any{"none", "None", "NONE", "", f.algorithm()} {
		add("unsigned: "+alg.(string), Object{"alg": alg}, nil, none)
	}
	own := f.algorithm()
	for _, alg := range []any{
		"none", "RS256", "ES256", "EdDSA", "PS256", "PS512", "ES384", "HS512", "Ed25519", strings.ToLower(own), nil, 1, []string{own},
	} {
		if alg == own {
			continue
		}
		add("another algorithm: "+string(Encode(f.t, []any{alg})), Object{"alg": alg}, nil, f.SignAsServer)
	}
	for name, key := range map[string][]byte{
		"octets": octets, "text": []byte(Base64URL(octets)), "DER": der, "empty": nil, "kid": []byte(f.header["kid"].(string)),
		"PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
	} {
		add("HS256 with the public key as "+name, Object{"alg": "HS256"}, nil, macWith(key))
	}
	add("another's signature", nil, nil, strangers)
	for name, header := range map[string]Object{
		"jwk": {"jwk": strangersJWK}, "jku": {"jku": "https://evil.example/jwks.json"}, "x5u": {"x5u": "https://evil.example/cert.pem"},
		"x5c": {"x5c": []string{base64.StdEncoding.EncodeToString(der)}}, "jwk without kid": {"jwk": strangersJWK, "kid": nil},
	} {
		add("another's key by "+name, header, nil, strangers)
	}
	for name, kid := range map[string]any{
		"none": nil, "empty": "", "path": "../../../../dev/null", "SQL": "' OR '1'='1' --", "URL": "https://evil.example/key",
		"long": strings.Repeat("k", 10_000), "number": 1, "list": []any{f.header["kid"]}, "object": Object{}, "NUL": "\x00", "null": json.RawMessage("null"),
	} {
		add("kid: "+name, Object{"kid": kid}, nil, f.SignAsServer)
	}
	for name, header := range map[string]Object{
		"no typ": {"typ": nil}, "JWT": {"typ": "JWT"}, "case": {"typ": "AT+JWT"}, "media type": {"typ": "application/at+jwt"},
		"typ list": {"typ": []string{"at+jwt"}}, "crit": {"crit": []string{"exp"}}, "b64": {"b64": false, "crit": []string{"b64"}},
		"empty crit": {"crit": []string{}},
	} {
		add("header: "+name, header, nil, f.SignAsServer)
	}
	other := uuid.Must(uuid.NewV7()).String()
	for name, claims := range map[string]Object{
		"expired": {"exp": at.Unix() - 1}, "expires now": {"exp": at.Unix()}, "no exp": {"exp": nil},
		"from the future": {"iat": at.Unix() + 60}, "not yet": {"nbf": at.Unix() + 60}, "no iss": {"iss": nil},
		"iss": {"iss": "https://evil.example/v1/portals/acme"}, "iss of another portal": {"iss": PublicURL + "/v1/portals/other"},
		"aud": {"aud": "other"}, "no aud": {"aud": nil}, "aud list": {"aud": []string{"acme"}}, "aud case": {"aud": "ACME"},
		"no sub": {"sub": nil}, "sub": {"sub": other}, "sub text": {"sub": "ada@example.com"}, "no sid": {"sid": nil},
		"sid": {"sid": other}, "sid SQL": {"sid": "' OR 1=1 --"}, "sid list": {"sid": []any{f.claims["sid"]}},
	} {
		add("signed well: "+name, nil, claims, f.SignAsServer)
		list["changed: "+name] = f.changed(claims)
	}
	list["changed: roles"] = f.changed(Object{"roles": []string{"admin"}})
	maps.Copy(list, f.misspelled())
	if own == "ES256" {
		add("the other s", nil, nil, func(input []byte) []byte {
			signature := f.SignAsServer(input)
			otherS(signature)
			return signature
		})
	}
	return list
}

// changed is the real token with other claims under its own signature.
func (f *Forge) changed(claims Object) string {
	parts := strings.Split(f.Real, ".")
	return parts[0] + "." + Base64URL(Encode(f.t, Merge(f.claims, claims))) + "." + parts[2]
}

// misspelled are other spellings of the real token.
func (f *Forge) misspelled() map[string]string {
	parts := strings.Split(f.Real, ".")
	list := map[string]string{
		"two parts": parts[0] + "." + parts[1], "four parts": f.Real + "." + parts[2], "no parts": "x", "dots": "..",
		"no signature": parts[0] + "." + parts[1] + ".", "leading dot": "." + f.Real, "trailing dot": f.Real + ".",
		"standard base64": parts[0] + "." + parts[1] + "." + base64.StdEncoding.EncodeToString(f.SignAsServer([]byte(parts[0]+"."+parts[1]))),
		"short":           f.Real[:len(f.Real)-1], "long": f.Real + "A", "unused bits": f.Real[:len(f.Real)-1] + OtherBase64URL(f.Real[len(f.Real)-1]),
		"huge": strings.Repeat("A", 100_000) + "." + parts[1] + "." + parts[2], "upper case": strings.ToUpper(f.Real),
	}
	for name, blank := range map[string]string{"space": " ", "newline": "\n", "tab": "\t", "padding": "=", "NUL": "\x00", "two": "=="} {
		list[name+" behind the header"] = parts[0] + blank + "." + parts[1] + "." + parts[2]
		list[name+" in the claims"] = parts[0] + "." + parts[1][:4] + blank + parts[1][4:] + "." + parts[2]
		list[name+" before the signature"] = parts[0] + "." + parts[1] + "." + blank + parts[2]
		list[name+" in the signature"] = f.Real[:len(f.Real)-4] + blank + f.Real[len(f.Real)-4:]
	}
	list["padding at the end"], list["much padding at the end"] = f.Real+"=", f.Real+"=="
	return list
}

// OtherBase64URL is a character of base64url that differs in its last bit alone.
func OtherBase64URL(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)^1])
}
