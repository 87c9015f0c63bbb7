package email

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"
)

func TestParseGivesOneCanonicalFormToEverySpelling(t *testing.T) {
	t.Parallel()
	tests := []struct {
		canonical string
		spellings []string
	}{
		{"anna@example.com", []string{
			"anna@example.com", "ANNA@EXAMPLE.COM", "Anna@Example.Com", "  anna@example.com\t", "\u00a0anna@example.com\u3000",
			"anna@example.com\r\n", "ａｎｎａ＠ｅｘａｍｐｌｅ．ｃｏｍ", "ANNA＠example.com", "anna﹫example.com", "anna@example。com",
			"anna@example｡com", "𝐚𝐧𝐧𝐚@example.com", "ⓐnna@ⓔxample.com",
		}},
		{"kim@kelvin.example", []string{"kim@kelvin.example", "\u212aim@kelvin.example", "kim@\u212aelvin.example", "KIM@KELVIN.EXAMPLE"}},
		{"josé@example.com", []string{"josé@example.com", "jose\u0301@example.com", "JOSÉ@example.com", "JOSE\u0301@EXAMPLE.COM"}},
		{"a@xn--bcher-kva.example", []string{
			"a@bücher.example", "a@BÜCHER.example", "a@bu\u0308cher.example", "a@BU\u0308CHER.Example",
			"a@xn--bcher-kva.example", "A@XN--BCHER-KVA.EXAMPLE", "a@ｂüｃｈｅｒ.example",
		}},
		{"a@xn--strae-oqa.de", []string{"a@straße.de", "a@STRAẞE.DE", "a@Straße.DE", "a@xn--strae-oqa.de"}},
		{"a@strasse.de", []string{"a@strasse.de", "A@STRASSE.DE"}},
		{"strasse@example.com", []string{"straße@example.com", "STRASSE@example.com", "STRAẞE@example.com"}},
		{"οδοσ@example.com", []string{"οδος@example.com", "ΟΔΟΣ@example.com"}},
		{"i\u0307@example.com", []string{"İ@example.com", "i\u0307@example.com", "I\u0307@example.com"}},
		{"fin@example.com", []string{"ﬁn@example.com", "FIN@example.com"}},
		{"άι@example.com", []string{"α\u0301\u0345@example.com", "α\u0345\u0301@example.com", "ᾴ@example.com"}},
		{"ǰ@example.com", []string{"ǰ@example.com", "J\u030c@example.com", "j\u030c@example.com"}},
		{"анна@xn--e1afmkfd.xn--p1ai", []string{"анна@пример.рф", "АННА@ПРИМЕР.РФ"}},
		{"a@xn--mgba3gch31f060k.example", []string{"a@نامه\u200cای.example"}},
		{"a.b+c_d-e@sub.example.co.uk", []string{"A.b+c_d-e@sub.example.co.uk"}},
		{"!#$%&'*+-/=?^_`{|}~@example.com", []string{"!#$%&'*+-/=?^_`{|}~@example.com"}},
		{"用户@xn--fsqu00a.xn--0zwm56d", []string{"用户@例子.测试"}},
		{"หมู@example.com", []string{"หมู@example.com"}},
		{"1@2.3com.a4", []string{"1@2.3com.a4"}},
	}
	for _, tt := range tests {
		for _, spelling := range tt.spellings {
			t.Run(fmt.Sprintf("%s/%+q", tt.canonical, spelling), func(t *testing.T) {
				t.Parallel()
				address, err := Parse(spelling)
				require.NoError(t, err)
				require.Equal(t, tt.canonical, address.Canonical())
				require.Equal(t, strings.TrimSpace(spelling), address.Typed())
			})
		}
	}
}

func TestParseKeepsDifferentAddressesApart(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, one, other string }{
		{"Latin and Cyrillic a", "anna@example.com", "аnna@example.com"},
		{"Latin and Cyrillic domain", "a@apple.example", "a@аpple.example"},
		{"sharp s in a domain", "a@straße.de", "a@strasse.de"},
		{"umlaut and its spelling", "müller@example.com", "mueller@example.com"},
		{"accent", "josé@example.com", "jose@example.com"},
		{"dotless i", "ı@example.com", "i@example.com"},
		{"plus", "a+b@example.com", "a@example.com"},
		{"dots", "a.b@gmail.com", "ab@gmail.com"},
		{"domain", "a@example.com", "a@example.org"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			one, err := Parse(tt.one)
			require.NoError(t, err)
			other, err := Parse(tt.other)
			require.NoError(t, err)
			require.NotEqual(t, one.Canonical(), other.Canonical())
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{
		"nothing":           {"", " ", "@", "a", "a@", "@example.com", "a@.", "a@."},
		"no dot":            {"a@example", "a@localhost"},
		"several":           {"a@b@example.com", "a@example.com,b@example.com", "a@example.com;b@example.com", "a@example.com b@example.com", "a＠b@example.com"},
		"names, comments":   {"Anna <a@example.com>", "<a@example.com>", "a(comment)@example.com", "a@example.com (Anna)", "mailto:a@example.com"},
		"quotes":            {`"a b"@example.com`, `"a"@example.com`, `a\b@example.com`, `a"b@example.com`},
		"specials":          {"a,b@example.com", "a:b@example.com", "a;b@example.com", "a[b@example.com", "a]b@example.com", "a<b@example.com", "a，b@example.com"},
		"dots":              {".a@example.com", "a.@example.com", "a..b@example.com", "…a@example.com", "a@.example.com", "a@example..com", "a@example.com.", "a@example.com..", "a@example.com。"},
		"white space":       {"a b@example.com", "a @example.com", "a@ example.com", "a@exam ple.com", "a\u00a0b@example.com", "a@exam\u3000ple.com", "a\nb@example.com", "a\u2028b@example.com"},
		"control":           {"a\x00b@example.com", "a@exa\x00mple.com", "a\x7f@example.com", "a\u0085b@example.com"},
		"invalid UTF-8":     {"a\xff@example.com", "a@exa\xffmple.com", "\xed\xa0\x80@example.com", "\ufffd@example.com"},
		"zero width":        {"a\u200bb@example.com", "a@exa\u200bmple.com", "\ufeffa@example.com", "a@example.com\ufeff", "a\u2060@example.com", "a@example\u2060.com", "a\u200d@example.com", "a\u200cb@example.com"},
		"joiner misplaced":  {"a@exa\u200cmple.com", "a@exa\u200dmple.com"},
		"direction":         {"a\u202eb@example.com", "a@exa\u202emple.com", "\u200ea@example.com", "a\u2066b@example.com"},
		"soft hyphen":       {"a\u00adb@example.com", "a@exam\u00adple.com"},
		"fillers":           {"\u3164@example.com", "\uffa0@example.com", "\u115f@example.com", "\u1160a@example.com", "a@\u3164b.com", "a\u034fb@example.com", "a@b\u034fc.com", "\u2800@example.com", "a@b\u2800c.com"},
		"variation":         {"a\ufe0f@example.com", "a@b\ufe0fc.com", "a\U000e0100@example.com", "a\u180b@example.com", "a@b\u180bc.com"},
		"tags":              {"a\U000e0061@example.com", "a@b\U000e0061c.com"},
		"private use":       {"\ue000@example.com", "a@\ue000b.com", "\U0010fffd@example.com"},
		"unassigned":        {"\u0378@example.com", "a@x\u0378y.com", "\U000e0fff@example.com"},
		"symbols":           {"a☃@example.com", "€@example.com", "💌@example.com"},
		"mark first":        {"\u0301a@example.com", "a.\u0301b@example.com", "a@\u0301b.com"},
		"hyphens":           {"a@-example.com", "a@example-.com", "a@example.-com", "a@ab--cd.com"},
		"not LDH":           {"a@exam_ple.com", "a@exam!ple.com", "a@example.com/x", "a@exa%6dple.com", "a@℀.com"},
		"network addresses": {"a@127.0.0.1", "a@[127.0.0.1]", "a@[IPv6:::1]", "a@1.2.3.4", "a@１２７.0.0.1", "a@0x7f.0x1", "a@example.123"},
		"punycode": {
			"a@xn--.com", "a@xn--a.com", "a@xn--abc-.com", "a@xn--bcher-kv.example", "a@xn--\u00fc.com",
			"a@xn--ss-.de", "a@xn--xy-vld.example", "a@ℵx.example", "a@xn--0.pt", "a@xn--example-.com",
		},
		"bidi":        {"a@aא.example", "a@א1b.example"},
		"long parts":  {strings.Repeat("a", 65) + "@example.com", strings.Repeat("é", 33) + "@example.com", "a@" + strings.Repeat("b", 64) + ".com", "a@" + strings.Repeat("ü", 60) + strings.Repeat("日", 20) + ".com"},
		"at in words": {"a at example.com", "a(at)example.com"},
	}
	for name, inputs := range tests {
		for _, typed := range inputs {
			t.Run(fmt.Sprintf("%s/%+q", name, typed), func(t *testing.T) {
				t.Parallel()
				address, err := Parse(typed)
				require.ErrorIs(t, err, ErrInvalid)
				require.Zero(t, address)
			})
		}
	}
}

func TestParseBoundsLength(t *testing.T) {
	t.Parallel()
	local := strings.Repeat("a", 64)
	label := strings.Repeat("b", 61)
	longest := local + "@" + label + "." + label + "." + label + ".com" // 64+1+3*62+3

	require.Len(t, longest, MaxLength)
	tests := []struct {
		name, typed string
		want        error
	}{
		{"longest", longest, nil},
		{"longest in white space", strings.Repeat(" ", 5000) + longest + strings.Repeat("\n", 5000), nil},
		{"one more", longest + "m", ErrTooLong},
		{"one more in another script", "ａ" + longest, ErrTooLong},
		{"longest in three octets a letter", strings.Repeat("ａ", 64) + longest[64:], nil},
		{"longer in ASCII than as typed", "a@" + strings.Repeat("日本語.", 60) + "com", ErrTooLong},
		{"huge", strings.Repeat("x", 1<<20), ErrTooLong},
		{"huge and broken", strings.Repeat("\xff", 1<<20), ErrTooLong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse(tt.typed)
			require.ErrorIs(t, err, tt.want)
		})
	}
}

func TestParseErrorsHoldNoAddress(t *testing.T) {
	t.Parallel()
	for _, typed := range []string{"secretname", "secretname@xn--secretname-.com", strings.Repeat("secretname", 100)} {
		_, err := Parse(typed)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "secretname")
	}
}

func TestAddressPrintsMasked(t *testing.T) {
	t.Parallel()
	address, err := Parse("Somebody@example.com")
	require.NoError(t, err)
	require.Equal(t, "S•••@example.com S•••@example.com", fmt.Sprintf("%v %+v", address, &address))
}

// FuzzParse holds Parse to what callers build on: a canonical form is one, in every normal form and however often
// it is taken; and the short way for plain addresses gives what the long way gives.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"anna@example.com", " Anna@EXAMPLE.com ", "josé@bücher.example", "a@straße.de", "a@STRAẞE.de", "ａ＠ｂ．ｃｏｍ",
		"a@xn--bcher-kva.example", "a@ℵ.example", "a@xϲy.example", "a@نامه\u200cای.example", "ΟΔΟΣ@οδος.gr", "İ@ıİ.com",
		"a@ab--cd.com", "a@xn--a-ecp.com", "a@1.2.3.4", "a@x\u0378.com", "ᾳ\u0345@example.com", "a․b@x․com", "a@⒈com", "\xff@\xff",
		"a@b..com", "a@b.com.", "a@faß.xn--fa-hia", "ŉ@example.com", "ꭰᏸ@example.com", "a@☃.example", "a@❤️.ws",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		address, err := Parse(typed)
		if trimmed := strings.TrimSpace(typed); len(trimmed) <= MaxLength {
			slow, slowErr := canonicalize(trimmed)
			require.Equal(t, slowErr, err)
			require.Equal(t, slow, address.Canonical())
		}
		if err != nil {
			require.Zero(t, address)
			return
		}
		canonical := address.Canonical()
		again, err := Parse(canonical)
		require.NoError(t, err)
		require.Equal(t, canonical, again.Canonical())
		require.Equal(t, canonical, again.Typed())

		require.LessOrEqual(t, len(canonical), MaxLength)
		require.Equal(t, 1, strings.Count(canonical, "@"))
		local, domain, _ := strings.Cut(canonical, "@")
		require.NotEmpty(t, local)
		require.LessOrEqual(t, len(local), maxLocal)
		require.Regexp(t, `^[a-z0-9-]+(\.[a-z0-9-]+)+$`, domain)

		for _, form := range []norm.Form{norm.NFC, norm.NFD, norm.NFKC, norm.NFKD} {
			// A normal form may be longer than is heard.
			if other, err := Parse(form.String(typed)); err == nil {
				require.Equal(t, canonical, other.Canonical())
			} else {
				require.ErrorIs(t, err, ErrTooLong)
			}
		}
		masked := Mask(address.Typed())
		require.Contains(t, masked, veil+"@")
		Suggest(canonical, nil)
	})
}

func BenchmarkParse(b *testing.B) {
	for name, typed := range map[string]string{
		"plain":   "anna.schmidt@example.com",
		"capital": "Anna.Schmidt@example.com",
		"unicode": "jörg@bücher.example",
		"worst":   strings.Repeat("㌖", 60) + "@" + strings.Repeat("㌖", 193),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = Parse(typed)
			}
		})
	}
}
