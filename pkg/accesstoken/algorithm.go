package accesstoken

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math/big"

	"github.com/golang-jwt/jwt/v5"
)

// Algorithm is a JWS algorithm (RFC 7518, RFC 8037).
type Algorithm string

// The algorithms that access tokens can be signed with. Every JWT library knows RS256, nearly every one ES256, and many do
// not know EdDSA.
const (
	ES256 Algorithm = "ES256"
	RS256 Algorithm = "RS256"
	EdDSA Algorithm = "EdDSA"
)

const rsaBits = 2048

// algorithmNames are all algorithms as a token's header names them.
var algorithmNames = []string{string(ES256), string(RS256), string(EdDSA)}

func (a Algorithm) method() jwt.SigningMethod { return jwt.GetSigningMethod(string(a)) }

// generate makes a private key.
func (a Algorithm) generate() (crypto.Signer, error) {
	switch a {
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RS256:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	case EdDSA:
		_, private, err := ed25519.GenerateKey(nil)
		return private, err
	}
	return nil, fmt.Errorf("signing key: no algorithm %q", string(a))
}

// encode is a key as the tables keep it, the private half before it is sealed: an Ed25519 seed and public key as they are,
// others as PKCS #8 and PKIX.
func (a Algorithm) encode(key crypto.Signer) (private, public []byte, err error) {
	if ed, ok := key.(ed25519.PrivateKey); ok {
		return ed.Seed(), ed.Public().(ed25519.PublicKey), nil
	}
	if private, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		return nil, nil, err
	}
	public, err = x509.MarshalPKIXPublicKey(key.Public())
	return private, public, err
}

// decode reads a private key that encode wrote.
func (a Algorithm) decode(private []byte) (crypto.Signer, error) {
	if a == EdDSA {
		if len(private) != ed25519.SeedSize {
			return nil, fmt.Errorf("an Ed25519 seed of %d bytes", len(private))
		}
		return ed25519.NewKeyFromSeed(private), nil
	}
	key, err := x509.ParsePKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		if a == ES256 && key.Curve == elliptic.P256() {
			return key, nil
		}
	case *rsa.PrivateKey:
		if a == RS256 {
			return key, nil
		}
	}
	return nil, fmt.Errorf("a key of another algorithm than %s", a)
}

// Of r, s and r, n-s both are ECDSA signatures of the same text. Of the two only the one with the lower s is made and taken
// here, so that a token has one spelling.
var (
	order     = elliptic.P256().Params().N
	halfOrder = new(big.Int).Rsh(order, 1)
)

const coordinate = 32 // octets of r, and of s

// canonical is a signature in the form that isCanonical takes.
func (a Algorithm) canonical(signature []byte) []byte {
	if !a.isCanonical(signature) {
		s := new(big.Int).SetBytes(signature[coordinate:])
		s.Sub(order, s).FillBytes(signature[coordinate:])
	}
	return signature
}

// isCanonical reports whether a verified signature is the one form of itself that is taken.
func (a Algorithm) isCanonical(signature []byte) bool {
	return a != ES256 || new(big.Int).SetBytes(signature[coordinate:]).Cmp(halfOrder) <= 0
}
