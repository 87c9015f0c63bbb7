package dispatch

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/locale"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

func letterPortal() *portal.Portal {
	p := &portal.Portal{Settings: portal.Defaults()}
	confirm, reset := "https://acme.example/c?x=1&t={token}", "https://acme.example/r/{token}"
	login, support := "https://acme.example/login", "https://acme.example/help"
	invitation := "https://acme.example/invite?code={token}"
	p.Name = "Acme & Söhne"
	p.Links = portal.Links{Confirm: &confirm, Reset: &reset, Login: &login, Invitation: &invitation}
	p.Support.URL = &support
	return p
}

var holes = regexp.MustCompile(`[{}]|mail\.[a-z]|duration\.|<no value>|ZgotmplZ`)

func TestLettersInEveryLanguage(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 6, 30, 0, 0, time.UTC)
	name := "Anna"
	carried := secret{token: "a+b/c", code: "012345", expiresAt: now.Add(15 * time.Minute)}
	links := map[delivery.Kind]string{
		delivery.Confirm: "https://acme.example/c?x=1&t=a%2Bb%2Fc", delivery.ResetPassword: "https://acme.example/r/a%2Bb%2Fc",
		delivery.SetPassword: "https://acme.example/r/a%2Bb%2Fc", delivery.PasswordChanged: "", delivery.AlreadyRegistered: "https://acme.example/login",
		delivery.Invited: "https://acme.example/invite?code=a%2Bb%2Fc",
	}
	for _, language := range locale.Languages() {
		seen := map[string]delivery.Kind{}
		for kind, link := range links {
			d := &delivery.Delivery{Kind: kind, Locale: string(language)}
			to := recipient{givenName: name, network: "2001:db8::7", askedAt: now}
			if kind.CarriesSecret() {
				to.secret = carried
			}
			l := compose(letterPortal(), d, to, now)
			page, err := l.html()
			require.NoError(t, err)
			text := l.text()
			require.Equal(t, link, l.Link)
			require.Contains(t, l.Subject, "Acme & Söhne", "%s %s", language, kind)
			require.NotContains(t, seen, l.Subject)
			seen[l.Subject] = kind

			require.Empty(t, holes.FindAllString(text, -1), text)
			require.Empty(t, holes.FindAllString(page, -1), page)
			require.Contains(t, page, `<html lang="`+string(language)+`">`)
			for _, part := range []string{text, strings.ReplaceAll(page, "&#43;", "+")} {
				require.Contains(t, part, "Anna")
				require.Contains(t, part, "2026-11-22, 06:30 UTC")
				require.Contains(t, part, "2001:db8::7")
				require.Contains(t, part, "https://acme.example/help")
				require.Equal(t, kind.CarriesSecret(), strings.Contains(part, "012345"))
				require.Equal(t, kind.CarriesSecret(), strings.Contains(part, locale.Validity(language, 15*time.Minute)))
			}
			require.Contains(t, page, "Acme &amp; Söhne")
			if link != "" {
				require.Contains(t, page, `href="`+strings.ReplaceAll(link, "&", "&amp;")+`"`)
				require.Contains(t, text, "\n"+link+"\n")
			}
		}
	}
}

func TestAnInvitationNamesItsInviter(t *testing.T) {
	t.Parallel()
	now := time.Now()
	d := &delivery.Delivery{Kind: delivery.Invited, Locale: "en", CreatedAt: now}
	code := secret{token: "00001-00ABC-DEFGH-JKMNP", code: "00001-00ABC-DEFGH-JKMNP", expiresAt: now.Add(7 * 24 * time.Hour)}
	for inviter, named := range map[string]bool{"Grace Hopper": true, "": false, "https://evil.example": false} {
		l := compose(letterPortal(), d, recipient{inviter: inviter, secret: code}, now)
		page, err := l.html()
		require.NoError(t, err)
		for _, part := range []string{l.text(), page} {
			require.Equal(t, named, strings.Contains(part, "Grace Hopper"))
			require.Contains(t, part, code.code)
			require.NotContains(t, part, "evil")
		}
	}
}

func TestALetterNeedsNothingOptional(t *testing.T) {
	t.Parallel()
	p := &portal.Portal{Settings: portal.Defaults()}
	p.Name = "Acme"
	d := &delivery.Delivery{Kind: delivery.AlreadyRegistered, Locale: "tlh", CreatedAt: time.Now()}
	l := compose(p, d, recipient{}, time.Now())
	require.Equal(t, locale.English, l.Language)
	text := l.text()
	require.True(t, strings.HasPrefix(text, "Hello,\n\n"))
	require.NotContains(t, text, "http")
	require.NotContains(t, text, "network")
	page, err := l.html()
	require.NoError(t, err)
	require.NotContains(t, page, "href")
}

func TestPlainName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"Anna": true, "Jean-Luc": true, "D’Arcy O'Neil": true, "Ñandú Ço\u0327": true, "张伟": true, "علي": true, "अनिता": true,
		"": false, "evil.example": false, "a@b": false, "http:": false, "a/b": false, "Anna2": false, "A_B": false, "<b>": false,
		"ｅ．ｘ": false, "e。x": false, "1⒈example": false,
	} {
		require.Equal(t, want, plainName(name), "%q", name)
	}
}

func FuzzLetter(f *testing.F) {
	for _, name := range []string{"Anna", "<script>alert(1)</script>", "a.example", "\r\nBcc: x", "{{.}}", "{portal}", "\xff", "\u202ex"} {
		f.Add(name, name)
	}
	now := time.Now()
	f.Fuzz(func(t *testing.T, person, portalName string) {
		p := letterPortal()
		p.Name = portalName
		d := &delivery.Delivery{Kind: delivery.Confirm, Locale: "en", CreatedAt: now}
		l := compose(p, d, recipient{givenName: person, secret: secret{"t", "123456", now.Add(time.Hour)}}, now)
		page, err := l.html()
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(page, "<a "), page)
		require.NotContains(t, page, "<script")
		require.NotContains(t, l.Subject, "\n")
		require.NotContains(t, l.Hello, "\n")
		if hello := strings.TrimSuffix(strings.TrimPrefix(l.Hello, "Hello "), ","); hello != "Hello" {
			require.NotContains(t, hello, ".")
			require.NotContains(t, hello, "@")
		}
	})
}

func TestCleanHidesWhatMustNotBeKept(t *testing.T) {
	t.Parallel()
	m := &outgoing{token: "tok", code: "123456", link: "https://acme.example/r/tok"}
	require.Equal(t, "550 <…>: no such user", clean("550 <Anna@Example.com>: no such user", m))
	require.Equal(t, "554 … and … and … blocked", clean("554 https://acme.example/r/tok and tok and\r\n123456 blocked", m))
	require.LessOrEqual(t, len([]rune(clean(strings.Repeat("é", 2000), m))), 500)
	require.Equal(t, "a b", clean("a\x00\xff b", m))
}

func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	s := secret{token: "a token", code: "123456"}
	printed := fmt.Sprintf("%v %+v %#v %s", s, s, s, s)
	require.NotContains(t, printed, "1234")
	require.NotContains(t, printed, "token")
}
