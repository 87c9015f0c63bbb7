package session

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

const (
	firstKey  = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	secondKey = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="
)

func ring(t testing.TB, keys string) *keyring.Ring {
	t.Helper()
	r, err := keyring.Parse(keys)
	require.NoError(t, err)
	return r
}

func token(t testing.TB, r *keyring.Ring, portalID ids.Portal, s *Session) string {
	t.Helper()
	text, err := refreshToken(r, portalID, s)
	require.NoError(t, err)
	return text
}

func TestARefreshTokenNamesItsSession(t *testing.T) {
	t.Parallel()
	r, portalID := ring(t, firstKey), ids.Portal{UUID: uuid.Must(uuid.NewV7())}
	s := &Session{ID: ids.Session{UUID: uuid.Must(uuid.NewV7())}, Generation: 7, KeyID: r.Primary()}
	text := token(t, r, portalID, s)
	read, err := readRefreshToken(r, portalID, text)
	require.NoError(t, err)
	require.Equal(t, s.ID, read.session)
	require.EqualValues(t, 7, read.generation)
	require.Equal(t, r.Primary(), read.key)
	require.Equal(t, text, token(t, r, portalID, s), "derived, not random: a retry gets the very token of the first try")
	s.Generation++
	require.NotEqual(t, text, token(t, r, portalID, s))

	// After a rotation of the secret key it is read under the older one, until that is taken out.
	read, err = readRefreshToken(ring(t, secondKey+","+firstKey), portalID, text)
	require.NoError(t, err)
	require.Equal(t, s.ID, read.session)
	require.Equal(t, r.Primary(), read.key)
	forged := func(r *keyring.Ring, portalID ids.Portal, text string) {
		t.Helper()
		read, err := readRefreshToken(r, portalID, text)
		require.ErrorIs(t, err, keyring.ErrForged)
		require.Zero(t, read)
	}
	forged(ring(t, secondKey), portalID, text)
	forged(r, ids.Portal{}, text)
	forged(r, ids.Portal{UUID: uuid.Must(uuid.NewV7())}, text)

	payload := bytes.Repeat([]byte{1}, refreshSize)
	for _, purpose := range []keyring.Purpose{"device-token", "refresh-tokens", ""} {
		other, err := r.Token(r.Primary(), purpose, portalID.UUID[:], payload)
		require.NoError(t, err)
		forged(r, portalID, other)
	}
}

// Of all texts near a token only the token itself is one.
func TestARefreshTokenHasOneSpelling(t *testing.T) {
	t.Parallel()
	r, portalID := ring(t, firstKey), ids.Portal{UUID: uuid.Must(uuid.NewV7())}
	text := token(t, r, portalID, &Session{ID: ids.Session{UUID: uuid.Must(uuid.NewV7())}, Generation: 1, KeyID: r.Primary()})
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/= \n\r\t\x00."
	for i := range text {
		for _, c := range alphabet {
			if other := text[:i] + string(c) + text[i+1:]; other != text {
				_, err := readRefreshToken(r, portalID, other)
				require.ErrorIs(t, err, keyring.ErrForged, "%q at %d", c, i)
			}
		}
	}
	for _, other := range []string{"", text + "A", text + "=", text + "\n", "\n" + text, text[1:], text[:len(text)-1], text + text, strings.ToUpper(text)} {
		_, err := readRefreshToken(r, portalID, other)
		require.ErrorIs(t, err, keyring.ErrForged, "%q", other)
	}
}

func FuzzRefreshToken(f *testing.F) {
	r, portalID := ring(f, firstKey), ids.Portal{UUID: uuid.MustParse("018f0000-0000-7000-8000-000000000001")}
	sessionID := ids.Session{UUID: uuid.MustParse("018f0000-0000-7000-8000-000000000002")}
	text := token(f, r, portalID, &Session{ID: sessionID, Generation: 1, KeyID: r.Primary()})
	for _, seed := range []string{"", text, text[1:], text + "A", strings.Repeat("A", len(text)), strings.Repeat("A", 1<<12)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		read, err := readRefreshToken(r, portalID, typed)
		if err != nil {
			require.ErrorIs(t, err, keyring.ErrForged)
			return
		}
		require.Equal(t, typed, token(t, r, portalID, &Session{ID: read.session, Generation: read.generation, KeyID: r.Primary()}))
	})
}

func TestASessionEndsByTheSoonerEnd(t *testing.T) {
	t.Parallel()
	begun := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	s := &Session{CreatedAt: begun, ExpiresAt: begun.Add(time.Hour), EndsAt: begun.Add(2 * time.Hour)}
	require.Equal(t, begun.Add(time.Hour), s.End())
	require.Equal(t, begun, s.LastUsedAt())
	rotated := begun.Add(90 * time.Minute)
	s.ExpiresAt, s.RefreshedAt = begun.Add(150*time.Minute), &rotated
	require.Equal(t, begun.Add(2*time.Hour), s.End())
	require.Equal(t, rotated, s.LastUsedAt())
}
