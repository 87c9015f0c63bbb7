package password

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/ids"
)

const typed = "correct horse battery staple"

// TestVerifyEqual holds that every kind of stored hash, or none, costs the same, and is verified right.
func TestVerifyEqual(t *testing.T) {
	t.Parallel()
	pool := NewPool(1, time.Minute, Cheapest)
	hashOf := func(p *Pool, secret string) string {
		hash, err := p.For(ids.Portal{}).Hash(context.Background(), secret)
		require.NoError(t, err)
		return hash
	}
	older := NewPool(1, time.Minute, Params{MemoryKiB: 16, Iterations: 2, Parallelism: 1})
	bcrypt := "$2a$04$abcdefghijklmnopqrstuu5LDJMeQnZFaa3DGdZyoaSbA1O9GLW7S"
	kinds := []string{hashOf(older, "another person's"), bcrypt}
	for name, tt := range map[string]struct {
		stored          string
		match, outdated bool
	}{
		"none":             {"", false, true},
		"own":              {hashOf(pool, typed), true, false},
		"own, wrong":       {hashOf(pool, "wrong"), false, false},
		"older":            {hashOf(older, typed), true, true},
		"older, wrong":     {hashOf(older, "wrong"), false, true},
		"bcrypt, wrong":    {bcrypt, false, true},
		"unreadable":       {"$argon2id$nonsense", false, true},
		"unreadable, like": {kinds[0][:len(kinds[0])-1] + "!", false, true},
	} {
		before := pool.Stats().Hashed
		result, fresh, err := pool.For(ids.Portal{}).VerifyEqual(context.Background(), Equal{Password: typed, Stored: tt.stored, Kinds: kinds})
		require.EqualValues(t, 3, pool.Stats().Hashed-before, name)
		require.Equal(t, tt.match, result.Match, name)
		if tt.match {
			require.NoError(t, err)
			require.Equal(t, tt.outdated, result.Outdated, name)
		}
		require.Equal(t, tt.match && tt.outdated, fresh != "", name)
		if fresh != "" {
			again, err := pool.For(ids.Portal{}).Verify(context.Background(), typed, fresh)
			require.NoError(t, err)
			require.Equal(t, Result{Match: true}, again, name)
		}
	}

	// A hash of a kind that came after the kinds were read is verified all the same.
	result, _, err := pool.For(ids.Portal{}).VerifyEqual(context.Background(), Equal{Password: typed, Stored: hashOf(older, typed)})
	require.NoError(t, err)
	require.True(t, result.Match)
	// Nothing longer than the limit matches.
	long := make([]rune, MaxLength+1)
	for i := range long {
		long[i] = 'a'
	}
	result, _, err = pool.For(ids.Portal{}).VerifyEqual(context.Background(), Equal{Password: string(long), Stored: hashOf(pool, "")})
	require.NoError(t, err)
	require.False(t, result.Match)
}

func TestKindOf(t *testing.T) {
	t.Parallel()
	for hash, kind := range map[string]string{
		"": "0", "nonsense": "8", "$2b$12$abcdefgh": "$2b$12$15", "$2b": "3",
		"$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$a2V5": "$argon2id$v=19$m=19456,t=2,p=1$42",
		"$pbkdf2-sha256$29000$salt$key":              "$pbkdf2-sha256$29000$29",
		"pbkdf2_sha256$870000$salt$key=":             "pbkdf2_sha256$870000$30",
	} {
		require.Equal(t, kind, kindOf(hash), hash)
	}
}
