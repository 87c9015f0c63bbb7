package keyring_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

const purpose keyring.Purpose = "test"

func ring(t *testing.T, keys ...string) *keyring.Ring {
	t.Helper()
	r, err := keyring.Parse(strings.Join(keys, ","))
	require.NoError(t, err)
	return r
}

func TestParseRefusesBadKeys(t *testing.T) {
	t.Parallel()
	good := keyring.Generate()
	for name, list := range map[string]string{
		"empty": "", "short": "c2hvcnQ=", "not base64": strings.Repeat("!", 44), "trailing comma": good + ",",
		"twice": good + "," + good,
	} {
		_, err := keyring.Parse(list)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), good, name)
	}
}

func TestSealedValueOpensOnlyWhereItWasSealed(t *testing.T) {
	t.Parallel()
	old, next := keyring.Generate(), keyring.Generate()
	sealed, err := ring(t, old).Seal(purpose, []byte("private"), "row 1")
	require.NoError(t, err)

	plain, err := ring(t, next, old).Open(purpose, sealed, "row 1")
	require.NoError(t, err)
	require.Equal(t, "private", string(plain))

	_, err = ring(t, next).Open(purpose, sealed, "row 1")
	require.ErrorIs(t, err, keyring.ErrUnknownKey)
	_, err = ring(t, old).Open(purpose, sealed, "row 2")
	require.ErrorIs(t, err, keyring.ErrForged)
	_, err = ring(t, old).Open("other", sealed, "row 1")
	require.ErrorIs(t, err, keyring.ErrForged)
	for i := range sealed {
		changed := append([]byte(nil), sealed...)
		changed[i] ^= 1
		_, err = ring(t, old).Open(purpose, changed, "row 1")
		require.Error(t, err, "byte %d", i)
		_, err = ring(t, old).Open(purpose, sealed[:i], "row 1")
		require.Error(t, err, "cut to %d", i)
	}
}

// The database holds values that were sealed by earlier versions: key id, nonce, ciphertext, tag.
func TestOpensWhatEarlierVersionsSealed(t *testing.T) {
	t.Parallel()
	r := ring(t, "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
	for plaintext, text := range map[string]string{
		"private": "cd2BmiGKJtHwIHikCohUgbrBFAZGP+t6cwShjzZVxMhQ+n0XLb4z",
		"":        "cd2BmlCDDZ/lDj534xeN1zcE7Qg/jK/7nfwuZIz6Vo8=",
	} {
		sealed, err := base64.StdEncoding.DecodeString(text)
		require.NoError(t, err)
		plain, err := r.Open(purpose, sealed, "row 1")
		require.NoError(t, err)
		require.Equal(t, plaintext, string(plain))

		again, err := r.Seal(purpose, []byte(plaintext), "row 1")
		require.NoError(t, err)
		require.Len(t, again, len(sealed))
		require.Equal(t, keyring.SealedUnder(sealed), keyring.SealedUnder(again))
		require.NotEqual(t, sealed, again, "the nonce is random")
	}
}

func TestTokenHasOneSpellingAndOnePlace(t *testing.T) {
	t.Parallel()
	r := ring(t, keyring.Generate())
	payload, place := []byte("0123456789"), []byte("portal")
	token, err := r.Token(r.Primary(), purpose, place, payload)
	require.NoError(t, err)

	read, id, err := r.ReadToken(purpose, place, token, len(payload))
	require.NoError(t, err)
	require.Equal(t, payload, read)
	require.Equal(t, r.Primary(), id)

	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/\n "
	for i := range token {
		for _, c := range alphabet {
			changed := token[:i] + string(c) + token[i+1:]
			if changed == token {
				continue
			}
			_, _, err := r.ReadToken(purpose, place, changed, len(payload))
			require.ErrorIs(t, err, keyring.ErrForged, "%q at %d", c, i)
		}
	}
	for name, refused := range map[string]string{
		"empty": "", "cut": token[:len(token)-1], "padded": token + "=", "line break": token + "\n", "longer": token + "AAAA",
	} {
		_, _, err := r.ReadToken(purpose, place, refused, len(payload))
		require.ErrorIs(t, err, keyring.ErrForged, name)
	}
	_, _, err = r.ReadToken(purpose, []byte("elsewhere"), token, len(payload))
	require.ErrorIs(t, err, keyring.ErrForged)
	_, _, err = ring(t, keyring.Generate()).ReadToken(purpose, place, token, len(payload))
	require.ErrorIs(t, err, keyring.ErrForged)
}

func FuzzReadToken(f *testing.F) {
	r, err := keyring.Parse(keyring.Generate())
	require.NoError(f, err)
	token, err := r.Token(r.Primary(), purpose, nil, []byte("payload"))
	require.NoError(f, err)
	f.Add(token)
	f.Add("")
	f.Add("AAAA")
	f.Add(token[:20] + "\r\n" + token[20:])
	f.Add(strings.Repeat("_", len(token)))
	f.Fuzz(func(t *testing.T, text string) {
		_, _, err := r.ReadToken(purpose, nil, text, len("payload"))
		if (err == nil) != (text == token) {
			t.Fatalf("%q: %v", text, err)
		}
	})
}
