package accesstoken

import (
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/fault"
)

func FuzzClaimedPortal(f *testing.F) {
	encode := base64.RawURLEncoding.EncodeToString
	good := encode([]byte(`{"alg":"EdDSA"}`)) + "." + encode([]byte(`{"aud":"acme"}`)) + "." + encode([]byte("x"))
	for _, seed := range []string{"", "..", "a.b.c", good, good + "=", encode([]byte("{}")) + ".." + encode([]byte("{}"))} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if slug, err := ClaimedPortal(text); err != nil {
			require.ErrorIs(t, err, fault.New(fault.AccessTokenInvalid))
			require.Empty(t, slug)
		}
	})
}
