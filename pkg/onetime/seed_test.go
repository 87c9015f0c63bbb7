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

func TestReadCode(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"123456": "123456", "000000": "000000", " 123456\n": "123456", "123 456": "123456", "123-456": "123456",
		"12 34 56": "123456", "- 1-2-3 4-5-6 -": "123456", "123\u00a0456": "123456", "123\u2011456": "123456",
		"123–456": "123456", strings.Repeat(" ", 1000) + "123456": "123456",
		"": "", " - ": "", "12345": "", "1234567": "", "12345x": "", "123.456": "", "123_456": "", "+123456": "",
		"１２３４５６": "", "١٢٣٤٥٦": "", "12345６": "", "123456\x00": "", "12345O": "", "1e5": "", "\xff123456": "",
	} {
		code, ok := readCode(typed)
		require.Equal(t, want != "", ok, "%q", typed)
		if ok {
			require.Equal(t, want, code, "%q", typed)
		}
	}
}

func portalOf(n byte) ids.Portal { return ids.Portal{UUID: uuid.UUID{n}} }

func subjectOf(n byte) digest.Digest { return digest.Digest(bytes.Repeat([]byte{n}, digest.Size)) }

func seedForTests(t testing.TB) seed {
	t.Helper()
	return seed{portalOf(1), Password, subjectOf(7), 1_772_355_600_000, ringOf(t, 1).Primary()}
}

// TestSecretsDependOnEveryFact holds that no two secrets are alike that differ in what they are for, whose, or when.
func TestSecretsDependOnEveryFact(t *testing.T) {
	t.Parallel()
	ring := ringOf(t, 1, 2)
	first := seedForTests(t)
	seeds := []seed{first, first, first, first, first, first}
	seeds[1].portalID = portalOf(2)
	seeds[2].purpose = Confirmation
	seeds[3].emailDigest = subjectOf(8)
	seeds[4].generation++
	seeds[5].key = ringOf(t, 2).Primary()

	codes, tokens := make(map[string]bool), make(map[string]bool)
	for _, s := range seeds {
		code, err := s.code(ring)
		require.NoError(t, err)
		require.True(t, s.hasCode(ring, code))
		token, err := s.token(ring)
		require.NoError(t, err)
		codes[code], tokens[token] = true, true
	}
	require.Len(t, codes, len(seeds))
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
		code, err := s.code(ring)
		require.NoError(t, err)
		require.Len(t, code, codeDigits)
		first[code[0]-'0']++
	}
	for digit, times := range first {
		require.InDelta(t, n/10, times, 200, "codes that begin with %d", digit) // 6.6 standard deviations
	}
}

func FuzzReadCode(f *testing.F) {
	for _, typed := range []string{"123456", " 123-456 ", "１２３４５６", "12345", "", "\xff", "1234567"} {
		f.Add(typed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		code, ok := readCode(typed)
		if !ok {
			return
		}
		if again, ok := readCode(code); !ok || again != code || len(code) != codeDigits {
			t.Fatalf("%q reads as %q, which reads as %q", typed, code, again)
		}
		kept := strings.Map(func(r rune) rune {
			if strings.ContainsRune("0123456789", r) {
				return r
			}
			return -1
		}, typed)
		if kept != code {
			t.Fatalf("%q reads as %q", typed, code)
		}
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
