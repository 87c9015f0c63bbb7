package locale

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/fault"
)

var placeholder = regexp.MustCompile(`\{[a-z_]+\}`)

func TestCatalogueIsWholeInEveryLanguage(t *testing.T) {
	t.Parallel()
	english := catalogues[English]()
	for _, l := range Languages() {
		texts := catalogues[l]()
		require.Len(t, texts, len(english), l)
		for key, original := range english {
			translated, ok := texts[key]
			require.True(t, ok, "%s lacks %s", l, key)
			require.Equal(t, original.one != "", translated.one != "", "%s: plural of %s", l, key)
			require.Equal(t, original.zero != "", translated.zero != "", "%s: zero of %s", l, key)
			require.NotEmpty(t, translated.other, "%s: %s", l, key)
			require.Equal(t, placeholders(original.other), placeholders(translated.other), "%s: %s", l, key)
		}
	}
}

func placeholders(text string) []string {
	found := placeholder.FindAllString(text, -1)
	slices.Sort(found)
	return slices.Compact(found)
}

func TestEveryCodeHasItsWords(t *testing.T) {
	t.Parallel()
	texts := catalogues[English]()
	for _, code := range fault.All() {
		for _, part := range []string{"title", "detail", "explain", "what_to_do", "for_developers"} {
			require.Contains(t, texts, "problem."+string(code)+"."+part)
		}
	}
	for _, code := range fault.AllFields() {
		require.Contains(t, texts, "field."+string(code))
	}
	for key, text := range texts {
		if !strings.HasSuffix(key, "_with") && !strings.HasPrefix(key, "duration.") {
			require.Empty(t, placeholders(text.other), "%s must read well without data", key)
		}
	}
}

func TestMatchPrefersWhatTheReaderDoes(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]Language{
		"": Danish, "de": German, "de-AT,en;q=0.5": German, "fr-CA;q=0.3, nl-BE;q=0.9": Dutch, "EN-us": English,
		"ja": Danish, "ja,fr;q=0.1": French, "*": Danish, "da;q=x": Danish, "\xff": Danish,
		strings.Repeat("de,", 200): Danish,
	} {
		require.Equal(t, want, Match(header, Danish), "%q", header)
	}
}

func TestTextFillsWhatItCan(t *testing.T) {
	t.Parallel()
	require.Equal(t, "no.such.key", Text(English, "no.such.key", nil))
	require.Equal(t, Text(English, "problem.email_not_found.detail", nil),
		Text(English, "problem.email_not_found.detail", Data{"other": 1}))
	require.Contains(t, Text(English, "problem.email_not_found.detail", Data{"did_you_mean": []string{"a@b.example", "c@d.example"}}),
		"a@b.example, c@d.example")
	for n, want := range map[int]string{0: "last try", 1: "1 try left", 4: "4 tries left"} {
		require.Contains(t, Text(English, "problem.incorrect_credentials.detail", Data{"attempts_remaining": n}), want)
	}
	require.Equal(t, Text(English, "remedy.log_in", nil), Text("xx", "remedy.log_in", nil))
}

func TestWaitRoundsUp(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		time.Second: "1 second", 1500 * time.Millisecond: "2 seconds", 2 * time.Minute: "120 seconds",
		14*time.Minute + time.Second: "15 minutes", 3 * time.Hour: "3 hours",
	} {
		require.Equal(t, want, Wait(English, d))
	}
}

func TestValidityPromisesNoMoreThanThereIs(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		59_950 * time.Millisecond: "60 seconds", 59_600 * time.Millisecond: "59 seconds", 2*time.Minute - time.Millisecond: "2 minutes",
		15*time.Minute - time.Second: "15 minutes", 2*time.Hour - time.Second: "2 hours", 24*time.Hour - time.Second: "24 hours",
		48*time.Hour - time.Second: "2 days", 7*24*time.Hour - time.Minute: "7 days",
		60 * time.Hour: "2 days", 2*time.Hour + 50*time.Minute: "2 hours",
	} {
		require.Equal(t, want, Validity(English, d))
	}
}

func FuzzMatch(f *testing.F) {
	for _, header := range []string{"", "de", "en-GB,en;q=0.9", "*;q=0", "x-private", "de;q=1;q=2", "\x00"} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if l := Match(header, English); !slices.Contains(Languages(), l) {
			t.Fatalf("%q gave %q", header, l)
		}
	})
}
