package accesstoken

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
)

// JWK is a public key as a JSON Web Key (RFC 7517; RFC 7518 §6, RFC 8037 §2). Values are unpadded base64url.
type JWK struct {
	Kty string `json:"kty"`
	Crv string `json:"crv,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
	Kid string `json:"kid"`
	Use string `json:"use"`
	Alg string `json:"alg"`
}

// JWK is the key as verifiers read it.
func (k Key) JWK() JWK {
	public, _ := jwkOf(k.Public) // a Key has a public key that jwkOf has read before
	public.Kid, public.Use, public.Alg = k.ID, "sig", string(k.Algorithm)
	return public
}

// jwkOf gives the members of a public key, without its name and use.
func jwkOf(public crypto.PublicKey) (JWK, error) {
	switch public := public.(type) {
	case ed25519.PublicKey:
		return JWK{Kty: "OKP", Crv: "Ed25519", X: base64URL(public)}, nil
	case *ecdsa.PublicKey:
		point, err := public.Bytes() // 4, x, y
		if err != nil || len(point) != 1+2*coordinate {
			return JWK{}, fmt.Errorf("signing key: a point of %d bytes: %w", len(point), err)
		}
		return JWK{Kty: "EC", Crv: "P-256", X: base64URL(point[1 : 1+coordinate]), Y: base64URL(point[1+coordinate:])}, nil
	case *rsa.PublicKey:
		exponent := big.NewInt(int64(public.E)).Bytes()
		return JWK{Kty: "RSA", N: base64URL(public.N.Bytes()), E: base64URL(exponent)}, nil
	}
	return JWK{}, fmt.Errorf("signing key: a public key of type %T", public)
}

// thumbprint is the JWK thumbprint (RFC 7638 §3.2, RFC 8037 §2): the required members in the order of their names.
func thumbprint(public crypto.PublicKey) (string, error) {
	k, err := jwkOf(public)
	if err != nil {
		return "", err
	}
	var text string
	switch k.Kty {
	case "OKP":
		text = `{"crv":"` + k.Crv + `","kty":"OKP","x":"` + k.X + `"}`
	case "EC":
		text = `{"crv":"` + k.Crv + `","kty":"EC","x":"` + k.X + `","y":"` + k.Y + `"}`
	default:
		text = `{"e":"` + k.E + `","kty":"RSA","n":"` + k.N + `"}`
	}
	sum := sha256.Sum256([]byte(text))
	return base64URL(sum[:]), nil
}

// base64URL is the unpadded base64url of RFC 7515 §2.
func base64URL(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
