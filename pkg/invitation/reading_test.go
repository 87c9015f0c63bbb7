package invitation

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/typedcode"
)

func TestReadingForgives(t *testing.T) {
	t.Parallel()
	const plain = "0123456789ABCDEFGHJK"
	for name, typed := range map[string]string{
		"groups":                "01234-56789-ABCDE-FGHJK",
		"no groups":             plain,
		"lower case":            "01234-56789-abcde-fghjk",
		"mixed case":            "01234-56789-AbCdE-fGhJk",
		"spaces":                "01234 56789 ABCDE FGHJK",
		"lower case and spaces": "  01234 56789 abcde fghjk ",
		"each one apart":        strings.Join(strings.Split(plain, ""), " - "),
		"tabs and line breaks":  "01234\t56789\r\nABCDE\nFGHJK\n",
		"no-break spaces":       "01234\u00a056789\u202fABCDE\u2007FGHJK",
		"en dash":               "01234\u201356789\u2013ABCDE\u2013FGHJK",
		"em dash, minus":        "01234\u201456789\u2212ABCDE\u2010FGHJK",
		"no-break hyphen":       "01234\u201156789\u2011ABCDE\u2011FGHJK",
		"soft hyphens":          "01234\u00ad56789\u00adABCDE\u00adFGHJK",
		"zero width":            "\ufeff01234\u200b56789\u200dABCDE\u2060FGHJK",
		"marks of direction":    "\u200e01234-56789-ABCDE-FGHJK\u200f",
		"full width":            "０１２３４－５６７８９－ＡＢＣＤＥ－ＦＧＨＪＫ",
		"O for 0":               "O1234-56789-ABCDE-FGHJK",
		"o for 0":               "o1234-56789-ABCDE-FGHJK",
		"I for 1":               "0I234-56789-ABCDE-FGHJK",
		"i for 1":               "0i234-56789-ABCDE-FGHJK",
		"L for 1":               "0L234-56789-ABCDE-FGHJK",
		"l for 1":               "0l234-56789-ABCDE-FGHJK",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			read, ok := typedcode.Read(typed, codeLength)
			require.True(t, ok)
			require.Equal(t, plain, read)
		})
	}
}

func TestReadingRefuses(t *testing.T) {
	t.Parallel()
	c := codesOf(t, 1)
	code := c.must(t, here, serial{1, 0, c.ring.Primary()})
	for name, typed := range map[string]string{
		"nothing":             "",
		"spaces alone":        "   ",
		"dashes alone":        "--------------------",
		"one too few":         code[:len(code)-1],
		"one too many":        code + "0",
		"twice":               code + code,
		"U":                   "U" + code[1:],
		"u":                   "u" + code[1:],
		"a dot":               strings.ReplaceAll(code, "-", "."),
		"an underscore":       strings.ReplaceAll(code, "-", "_"),
		"quotes":              `"` + code + `"`,
		"a null":              code + "\x00",
		"broken UTF-8":        code + "\xff",
		"a Cyrillic letter":   "А" + code[1:],
		"a link":              "https://login.acme.example/invitation?code=" + code,
		"a combining mark":    code + "\u0301",
		"a digit of Arabia":   "٠" + code[1:],
		"a letter of 2 bytes": strings.Repeat("é", 10),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := c.read(here, typed)
			requireCode(t, fault.TokenInvalid, err)
		})
	}
}

// FuzzRead checks that a code that is read derives to itself, and that reading fails with token_invalid alone.
func FuzzRead(f *testing.F) {
	c := codesOf(f, 2, 1)
	for _, key := range c.ring.IDs() {
		for _, of := range []serial{{1, 0, key}, {maxNumber, maxCounter, key}, {1 << 20, 77, key}} {
			code := c.must(f, here, of)
			f.Add(code)
			f.Add(strings.ToLower(strings.ReplaceAll(code, "-", " ")))
			f.Add(strings.NewReplacer("0", "o", "1", "L", "-", "\u2013").Replace(code))
			f.Add(c.must(f, there, of))
			f.Add(code[:len(code)-1] + "0")
		}
	}
	for _, typed := range []string{"", "0", strings.Repeat("0", 20), strings.Repeat("Z", 20), strings.Repeat("U", 20),
		"\xff\xfe", "ﬀ", "\u0130", "\u2126", strings.Repeat("\u00ad", 100)} {
		f.Add(typed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		read, err := c.read(here, typed)
		if err != nil {
			require.Equal(t, fault.TokenInvalid, fault.CodeOf(err))
			require.Zero(t, read)
			return
		}
		require.True(t, read.number >= 0 && read.number <= maxNumber && read.counter >= 0 && read.counter <= maxCounter)
		code := c.must(t, here, read)
		plain, ok := typedcode.Read(typed, codeLength)
		require.True(t, ok)
		require.Equal(t, plain, strings.ReplaceAll(code, "-", ""))
		again, err := c.read(here, code)
		require.NoError(t, err)
		require.Equal(t, read, again)
	})
}

// forgiven may appear between the characters of a code.
var forgiven = []string{"-", " ", " - ", "\t", "\r\n", "\u00ad", "\u2212", "\u2013", "\ufeff", "\u200b"}

// FuzzSpelling types genuine codes in forgiven ways: three bits of how choose the change at each character.
func FuzzSpelling(f *testing.F) {
	for between := range forgiven {
		f.Add(uint32(1), uint16(0), uint64(0x0123456789abcdef), uint8(between))
		f.Add(uint32(maxNumber), uint16(maxCounter), ^uint64(0), uint8(between))
	}
	f.Add(uint32(4711), uint16(1), uint64(0), uint8(0))
	c := codesOf(f, 1)
	f.Fuzz(func(t *testing.T, number uint32, counter uint16, how uint64, between uint8) {
		of := serial{int64(number & maxNumber), int64(counter & maxCounter), c.ring.Primary()}
		plain, err := c.plain(here, of)
		require.NoError(t, err)
		var typed strings.Builder
		for i, r := range plain {
			character, done := string(r), how>>(3*i)
			if done&1 != 0 {
				character = strings.ToLower(character)
			}
			if done&2 != 0 {
				character = strings.NewReplacer("0", "o", "1", "l").Replace(character)
			}
			if done&4 != 0 {
				character += forgiven[int(between)%len(forgiven)]
			}
			typed.WriteString(character)
		}
		read, err := c.read(here, typed.String())
		require.NoError(t, err, "%q", typed.String())
		require.Equal(t, of, read)
	})
}

// TestReadingIsOfOnePortal reads one code at many portals: it is good at its own alone.
func TestReadingIsOfOnePortal(t *testing.T) {
	t.Parallel()
	c := codesOf(t, 1)
	code := c.must(t, here, serial{1, 0, c.ring.Primary()})
	for range 1000 {
		_, err := c.read(ids.Portal{UUID: uuid.New()}, code)
		requireCode(t, fault.TokenInvalid, err)
	}
}
