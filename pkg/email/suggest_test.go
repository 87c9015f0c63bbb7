package email

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/publicsuffix"
)

func TestSuggest(t *testing.T) {
	t.Parallel()
	tests := []struct {
		domain string
		known  []string
		want   []string
	}{
		// One slip.
		{domain: "gmial.com", want: []string{"gmail.com"}},
		{domain: "gmal.com", want: []string{"gmail.com"}},
		{domain: "gmaill.com", want: []string{"gmail.com"}},
		{domain: "gnail.com", want: []string{"gmail.com"}},
		{domain: "hotmial.com", want: []string{"hotmail.com"}},
		{domain: "outlok.com", want: []string{"outlook.com"}},
		{domain: "yaho.com", want: []string{"yahoo.com"}},
		{domain: "iclod.com", want: []string{"icloud.com"}},
		{domain: "wbe.de", want: []string{"web.de"}},
		{domain: "gmx.dee", want: []string{"gmx.de"}},
		{domain: "t-onlin.de", want: []string{"t-online.de"}},
		{domain: "tonline.de", want: []string{"t-online.de", "online.de"}},
		{domain: "wanado.fr", want: []string{"wanadoo.fr"}},
		{domain: "lapost.net", want: []string{"laposte.net"}},
		{domain: "zigo.nl", want: []string{"ziggo.nl"}},
		{domain: "teleneet.be", want: []string{"telenet.be"}},
		{domain: "bluwin.ch", want: []string{"bluewin.ch"}},
		{domain: "jubi.dk", want: []string{"jubii.dk"}},
		{domain: "protonmial.com", want: []string{"protonmail.com"}},
		// Two slips in a long domain; not when the first letter is one of them.
		{domain: "gmaal.con", want: []string{"gmail.com"}},
		{domain: "hotmaiil.cmo", want: []string{"hotmail.com"}},
		{domain: "snail.com"},
		{domain: "wb.dd"},
		// Top-level slips, of any domain.
		{domain: "gmail.con", want: []string{"gmail.com"}},
		{domain: "gmail.co", want: []string{"gmail.com"}},
		{domain: "hotmail.co", want: []string{"hotmail.com"}},
		{domain: "gxm.con", want: []string{"gmx.com"}},
		{domain: "mail.con", want: []string{"mail.com"}},
		{domain: "me.con", want: []string{"me.com"}},
		{domain: "acme-widgets.con", want: []string{"acme-widgets.com"}},
		{domain: "acme-widgets.cmo", want: []string{"acme-widgets.com"}},
		{domain: "acme-widgets.co", want: []string{"acme-widgets.com"}},
		{domain: "acme-widgets.dee", want: []string{"acme-widgets.de"}},
		{domain: "acme-widgets.ftr", want: []string{"acme-widgets.fr"}},
		{domain: "yahoo.couk", want: []string{"yahoo.co.uk"}},
		{domain: "yahoo.co.ku", want: []string{"yahoo.co.uk"}},
		// Domains of the portal.
		{domain: "acme-widgts.example", known: []string{"acme-widgets.example"}, want: []string{"acme-widgets.example"}},
		{domain: "acme-widgets.example", known: []string{"acme-widgets.example"}},
		{domain: "acme-widgets.co", known: []string{"acme-widgets.co"}},
		{domain: "gmaill.com", known: []string{"gmail.com"}, want: []string{"gmail.com"}},
		{domain: "gmbil.com", known: []string{"gmbill.com"}, want: []string{"gmbill.com", "gmail.com"}},
		{domain: "gmxx.de", known: []string{"gmxa.de", "gmxb.de", "gmxc.de"}, want: []string{"gmxa.de", "gmxb.de", "gmxc.de"}},
		// Unlike anything.
		{domain: "example.com"},
		{domain: "acme.example"},
		{domain: "xn--bcher-kva.example"},
		{domain: "db.com"},
		{domain: "qqq.de"},
	}
	for _, tt := range tests {
		t.Run(tt.domain, func(t *testing.T) {
			t.Parallel()
			var want []string
			for _, domain := range tt.want {
				want = append(want, "anna.s@"+domain)
			}
			got := Suggest("anna.s@"+tt.domain, tt.known)
			if len(want) == 0 {
				require.Empty(t, got)
				return
			}
			require.Equal(t, want, got)
		})
	}
}

func TestSuggestLeavesRealDomainsAlone(t *testing.T) {
	t.Parallel()
	named := []string{"gmx.de", "gmx.net", "gmx.at", "gmx.ch", "live.nl", "mail.com", "ymail.com", "yahoo.fr", "mail.dk", "aok.de"}
	for _, domain := range slices.Concat(named, providers, neighbours) {
		require.Empty(t, Suggest("a@"+domain, nil), domain)
	}
}

func TestSuggestKeepsToTheLongestAddress(t *testing.T) {
	t.Parallel()
	const rest = "@example.ln"
	canonical := string(slices.Repeat([]byte("a"), MaxLength-len(rest))) + rest
	require.Len(t, Suggest(canonical, nil), 1)
	require.Empty(t, Suggest(canonical[:len(canonical)-2]+"couk", nil))
	require.Empty(t, Suggest("no address", nil))
}

func TestListsAreCanonical(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, domain := range slices.Concat(providers, neighbours) {
		address, err := Parse("a@" + domain)
		require.NoError(t, err, domain)
		require.Equal(t, "a@"+domain, address.Canonical())
		require.False(t, seen[domain], "%s is listed twice", domain)
		seen[domain] = true
	}
}

func TestTopLevelSlipsDoNotExist(t *testing.T) {
	t.Parallel()
	for _, slip := range topLevelSlips {
		_, typedExists := publicsuffix.PublicSuffix(slip.typed)
		require.Equal(t, slip.typed == "co" || slip.typed == "ftr", typedExists, slip.typed)
		_, meantExists := publicsuffix.PublicSuffix(slip.meant)
		require.True(t, meantExists, slip.meant)
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	tests := []struct {
		a, b  string
		limit int
		want  int
	}{
		{"", "", 1, 0},
		{"gmail", "gmail", 0, 0},
		{"gmail", "gmal", 2, 1},
		{"gmail", "gmaiil", 2, 1},
		{"gmail", "gnail", 2, 1},
		{"gmail", "gmial", 2, 1},
		{"gmail", "mgali", 3, 2},
		{"ca", "abc", 3, 3}, // unrestricted, this would be two
		{"kitten", "sitting", 3, 3},
		{"kitten", "sitting", 1, 2},
		{"abcd", "badc", 2, 2},
		{"müller", "muller", 2, 1},
		{"", "abc", 5, 3},
		{"gmial.com", "somewhere-else.example", 1, 2},
		{"gmial.com", "gmail.com", 2, 1},
		{"gmial.com", "hotmail.com", 2, 3},
		{"gmial.com", "gmial.com", 2, 0},
	}
	for _, tt := range tests {
		t.Run(tt.a+"/"+tt.b, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, distance(tt.a, tt.b, tt.limit))
			require.Equal(t, tt.want, distance(tt.b, tt.a, tt.limit))
		})
	}
}

func BenchmarkSuggest(b *testing.B) {
	for _, domain := range []string{"example.com", "gmial.com"} {
		b.Run(domain, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Suggest("anna@"+domain, nil)
			}
		})
	}
}
