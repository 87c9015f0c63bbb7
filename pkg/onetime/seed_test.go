package onetime

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// Codes are read as pkg/typedcode reads them. What is left must be 6 digits, or 8 characters.
func TestReadCode(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]typedCode{
		"123456": {"123456", false}, " 12-34 56\n": {"123456", false}, "１２３４５６": {"123456", false},
		"l2345O": {"123450", false}, "12ー34ー56": {"123456", false}, strings.Repeat(" ", 1000) + "123456": {"123456", false},
		"04HM-ASW9": {"04HMASW9", true}, "o4hm asw9": {"04HMASW9", true}, "０４ＨＭ－ＡＳＷ９": {"04HMASW9", true},
		"1234-5678": {"12345678", true},
		"":          {}, " - ": {}, "12345": {}, "1234567": {}, "123456789": {}, "12345x": {}, "ABCDEF": {}, "04HMASWU": {},
		"123.456": {}, "123_456": {}, "+123456": {}, "123456\x00": {}, "\xff123456": {}, "١٢٣٤٥٦": {}, "1e5": {},
	} {
		code, ok := readCode(typed)
		require.Equal(t, want, code, "%q", typed)
		require.Equal(t, want != typedCode{}, ok, "%q", typed)
	}
}

func portalOf(n byte) ids.Portal { return ids.Portal{UUID: uuid.UUID{n}} }

func subjectOf(n byte) digest.Digest { return digest.Digest(bytes.Repeat([]byte{n}, digest.Size)) }

func seedForTests(t testing.TB) seed {
	t.Helper()
	return seed{portalOf(1), Confirmation, subjectOf(7), 1_772_355_600_000, ringOf(t, 1).Primary()}
}

// TestSecretsDependOnEveryFact holds that no two secrets are alike that differ in what they are for, whose, or when.
func TestSecretsDependOnEveryFact(t *testing.T) {
	t.Parallel()
	ring := ringOf(t, 1, 2)
	first := seedForTests(t)
	seeds := []seed{first, first, first, first, first, first}
	seeds[1].portalID = portalOf(2)
	seeds[2].purpose = LoginCode
	seeds[3].emailDigest = subjectOf(8)
	seeds[4].generation++
	seeds[5].key = ringOf(t, 2).Primary()

	codes, longCodes, tokens := make(map[string]bool), make(map[string]bool), make(map[string]bool)
	for _, s := range seeds {
		code, err := s.shortCode(ring)
		require.NoError(t, err)
		long, err := s.longCode(ring)
		require.NoError(t, err)
		longCodes[long] = true
		require.True(t, s.hasCode(ring, typedCode{code, false}))
		token, err := s.token(ring)
		require.NoError(t, err)
		codes[code], tokens[token] = true, true
	}
	require.Len(t, codes, len(seeds))
	require.Len(t, longCodes, len(seeds))
	require.Len(t, tokens, len(seeds))
}

// TestCodesAreSpread holds that codes are of one length and that their first digit is no likelier to be low.
func TestCodesAreSpread(t *testing.T) {
	t.Parallel()
	const n = 10_000
	ring, s := ringOf(t, 1), seedForTests(t)
	var first [10]int
	for range n {
		s.generation++
		code, err := s.shortCode(ring)
		require.NoError(t, err)
		require.Len(t, code, shortLength)
		first[code[0]-'0']++
	}
	for digit, times := range first {
		require.InDelta(t, n/10, times, 200, "codes that begin with %d", digit) // 6.6 standard deviations
	}
}

// TestLongCodesAreSpread checks that each of the 8 characters takes each of its 32 values, and that a short code tells
// nothing of the long one.
func TestLongCodesAreSpread(t *testing.T) {
	t.Parallel()
	ring, s := ringOf(t, 1), seedForTests(t)
	seen := make([]map[byte]bool, longLength)
	for range 1000 {
		s.generation++
		code, err := s.longCode(ring)
		require.NoError(t, err)
		require.Regexp(t, `^[0-9A-HJKMNP-TV-Z]{8}$`, code)
		for i := range seen {
			if seen[i] == nil {
				seen[i] = make(map[byte]bool)
			}
			seen[i][code[i]] = true
		}
		require.True(t, s.hasCode(ring, typedCode{code, true}))
		require.False(t, s.hasCode(ring, typedCode{code[:shortLength], false}))
	}
	for i := range seen {
		require.Len(t, seen[i], 32, "character %d", i)
	}
}

func FuzzReadCode(f *testing.F) {
	for _, typed := range []string{"123456", " 123-456 ", "１２３４５６", "04HM-ASW9", "12345", "", "\xff", "1234567"} {
		f.Add(typed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		code, ok := readCode(typed)
		if !ok {
			require.Zero(t, code)
			return
		}
		again, ok := readCode(code.show())
		require.True(t, ok)
		require.Equal(t, code, again)
		require.Len(t, code.plain, map[bool]int{false: shortLength, true: longLength}[code.long])
	})
}

func FuzzReadToken(f *testing.F) {
	ring, s := ringOf(f, 1), seedForTests(f)
	token, err := s.token(ring)
	require.NoError(f, err)
	for _, text := range []string{token, "", token[1:], token + "=", token[:40] + "\n" + token[40:], strings.Repeat("A", 82)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		read, err := readToken(ring, s.portalID, s.purpose, text)
		switch {
		case text == token:
			require.NoError(t, err)
			require.Equal(t, s, read)
		case fault.CodeOf(err) != fault.TokenInvalid:
			t.Fatalf("%q: %v", text, err)
		}
	})
}
