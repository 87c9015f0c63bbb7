package typedcode

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEncode(t *testing.T) {
	t.Parallel()
	require.Len(t, Alphabet, 32)
	for _, confusing := range "ILOU" {
		require.NotContains(t, Alphabet, string(confusing))
	}
	require.Equal(t, "04HMASW9", Encode([]byte{0x01, 0x23, 0x45, 0x67, 0x89}))
	bits, err := Decode("04HMASW9")
	require.NoError(t, err)
	require.Equal(t, []byte{0x01, 0x23, 0x45, 0x67, 0x89}, bits)
	_, err = Decode("04HMASWU")
	require.Error(t, err)
}

func TestGroup(t *testing.T) {
	t.Parallel()
	require.Equal(t, "04HM-ASW9", Group("04HMASW9", 4))
	require.Equal(t, "01234-56789-ABCDE-FGHJK", Group("0123456789ABCDEFGHJK", 5))
	require.Equal(t, "0123-4", Group("01234", 4))
	require.Equal(t, "0123", Group("0123", 4))
}

// Both kinds of typed code and the codes of invitations are read by this one reader.
func TestReadForgives(t *testing.T) {
	t.Parallel()
	for name, spelling := range map[string]func(code string) string{
		"as written":           func(code string) string { return code },
		"without groups":       func(code string) string { return strings.ReplaceAll(code, "-", "") },
		"lower case":           strings.ToLower,
		"mixed case":           func(code string) string { return code[:3] + strings.ToLower(code[3:]) },
		"spaces around":        func(code string) string { return "  " + code + "\n" },
		"spaces":               between(" "),
		"tabs":                 between("\t"),
		"line breaks":          between("\r\n"),
		"no-break spaces":      between("\u00a0"),
		"narrow spaces":        between("\u202f"),
		"ideographic spaces":   between("\u3000"),
		"spaced dashes":        between(" - "),
		"hyphens":              between("\u2010"),
		"no-break hyphens":     between("\u2011"),
		"en dashes":            between("\u2013"),
		"em dashes":            between("\u2014"),
		"minus signs":          between("\u2212"),
		"soft hyphens":         between("\u00ad"),
		"Japanese long vowels": between("ー"),
		"half-width vowels":    between("\uff70"),
		"wave dashes":          between("〜"),
		"zero-width spaces":    between("\u200b"),
		"zero-width joiners":   between("\u200d"),
		"word joiners":         between("\u2060"),
		"byte order marks":     between("\ufeff"),
		"marks of direction":   func(code string) string { return "\u200e" + code + "\u200f\u202c" },
		"variation selectors":  between("\ufe0f"),
		"grapheme joiners":     between("\u034f"),
		"Hangul fillers":       between("\u3164"),
		"full width":           fullWidth,
		"full width, spaced":   func(code string) string { return between("\u3000")(fullWidth(code)) },
		"letters for digits":   func(code string) string { return strings.NewReplacer("0", "O", "1", "l").Replace(code) },
		"I for 1":              func(code string) string { return strings.NewReplacer("0", "o", "1", "I").Replace(code) },
		"i for 1":              func(code string) string { return strings.ReplaceAll(code, "1", "i") },
	} {
		for _, code := range []string{"123456", "000111", "04HM-1SW9", "01234-56789-ABCDE-FGHJK"} {
			plain := strings.ReplaceAll(code, "-", "")
			read, ok := Read(spelling(code), len(plain))
			require.True(t, ok, "%s: %q", name, spelling(code))
			require.Equal(t, plain, read, name)
		}
	}
}

// between puts something between all characters of a code.
func between(them string) func(string) string {
	return func(code string) string { return strings.Join(strings.Split(code, ""), them) }
}

func fullWidth(code string) string {
	return strings.Map(func(r rune) rune { return r - '!' + '！' }, code)
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	const longest = 8
	for name, typed := range map[string]string{
		"nothing": "", "spaces": "   ", "dashes": "--------", "too long": "04HMASW90", "U": "U4HMASW9", "u": "u4hmasw9",
		"a dot": "04HM.ASW9", "an underscore": "04HM_ASW9", "quotes": `"04HMASW9"`, "a plus": "+123456", "a null": "123456\x00",
		"broken UTF-8": "123456\xff", "a Cyrillic letter": "А4HMASW9", "a combining mark": "123456\u0301", "Arabic digits": "١٢٣٤٥٦",
		"Devanagari digits": "१२३४५६", "Chinese digits": "一二三四五六", "two bytes a letter": "éééé", "a fraction": "½23456",
	} {
		read, ok := Read(typed, longest)
		require.False(t, ok, name)
		require.Empty(t, read, name)
	}
}

func FuzzRead(f *testing.F) {
	for _, typed := range []string{
		"123456", " 123-456 ", "１２３４５６", "04HM-ASW9", "o4hm asw9", "", "\xff", "1234567890", "ﬀ", "\u0130", "\u2126", "ſ",
		strings.Repeat("\u00ad", 100), "①②③", "12ー34",
	} {
		f.Add(typed, uint8(8))
	}
	f.Fuzz(func(t *testing.T, typed string, longest uint8) {
		code, ok := Read(typed, int(longest))
		if !ok {
			require.Empty(t, code)
			return
		}
		require.LessOrEqual(t, len(code), int(longest))
		again, ok := Read(code, int(longest))
		require.True(t, ok)
		require.Equal(t, code, again)
		require.Empty(t, strings.Trim(code, Alphabet))
	})
}
