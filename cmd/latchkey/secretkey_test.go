package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

// A key other than the database's stops the start, and the error repeats neither.
func TestSecretKeyThatDoesNotFit(t *testing.T) {
	t.Parallel()
	databasetest.EachBlank(t, func(t *testing.T, url string) {
		own, other := keyring.Generate(), keyring.Generate()
		serve(t, keyed(url, own)).stop(t)

		p := launch(t, t.TempDir(), keyed(url, other), "serve")
		require.Equal(t, 1, p.exitCode(t))
		require.Contains(t, p.log.String(), "LATCHKEY_SECRET_KEY does not fit this database")
		require.NotContains(t, p.log.String(), own)
		require.NotContains(t, p.log.String(), other)
		require.NotContains(t, p.log.String(), "msg=listening")

		serve(t, keyed(url, own)).stop(t) // the refusal left the database as it was
	})
}

// The key is changed in three steps, and nobody notices: every instance learns the new one, then it comes first, then
// it is alone.
func TestSecretKeyRotates(t *testing.T) {
	t.Parallel()
	databasetest.EachBlank(t, func(t *testing.T, url string) {
		before, after := keyring.Generate(), keyring.Generate()
		p := serve(t, keyed(url, before), "--dev")
		in, kids, digest := p.logIn(t), p.kids(t), digestOf(t, url, before)
		p.stop(t)

		for _, keys := range []string{before + "," + after, after + "," + before, after} {
			p = serve(t, keyed(url, keys), "--dev")
			require.Equal(t, kids, p.kids(t))
			require.Equal(t, in.Account, p.me(t, in.AccessToken), "a token from before")
			require.Equal(t, in.Account, p.me(t, p.logIn(t).AccessToken), "a new token")
			p.stop(t)
			require.Equal(t, digest, digestOf(t, url, keys))
		}

		p = launch(t, t.TempDir(), keyed(url, before), "serve")
		require.Equal(t, 1, p.exitCode(t), "the key that was replaced opens nothing any more")
	})
}

func keyed(url, keys string) []string {
	return []string{"LATCHKEY_DATABASE_URL=" + url, "LATCHKEY_SECRET_KEY=" + keys}
}

// digestOf is what an address is called in rows that must not hold it.
func digestOf(t *testing.T, url, keys string) digest.Digest {
	t.Helper()
	ring, err := keyring.Parse(keys)
	require.NoError(t, err)
	digests, err := digest.Open(t.Context(), databasetest.OpenURL(t, url), ring)
	require.NoError(t, err)
	address, err := email.Parse("ready@example.com")
	require.NoError(t, err)
	return digests.OfEmail(ids.Portal{}, address)
}
