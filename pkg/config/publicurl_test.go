package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPublicURLIsTakenInOneForm(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct{ url, host, path string }{
		"https://id.example.com":               {"https://id.example.com", "id.example.com", ""},
		"https://id.example.com/":              {"https://id.example.com", "id.example.com", ""},
		"HTTPS://id.example.com:8443//":        {"https://id.example.com:8443", "id.example.com", ""},
		"https://example.com/auth":             {"https://example.com/auth", "example.com", "/auth"},
		"https://example.com/a/b/ \n":          {"https://example.com/a/b", "example.com", "/a/b"},
		"https://example.com/größe/":           {"https://example.com/gr%C3%B6%C3%9Fe", "example.com", "/gr%C3%B6%C3%9Fe"},
		"https://example.com/a%2Fb":            {"https://example.com/a%2Fb", "example.com", "/a%2Fb"},
		"https://bücher.example":               {"https://xn--bcher-kva.example", "xn--bcher-kva.example", ""},
		"https://BÜCHER.Example:8443/Auth/":    {"https://xn--bcher-kva.example:8443/Auth", "xn--bcher-kva.example", "/Auth"},
		"https://b%C3%BCcher.example":          {"https://xn--bcher-kva.example", "xn--bcher-kva.example", ""},
		"https://bu\u0308cher.example":         {"https://xn--bcher-kva.example", "xn--bcher-kva.example", ""},
		"https://straße.example":               {"https://xn--strae-oqa.example", "xn--strae-oqa.example", ""},
		"https://例え。テスト":                       {"https://xn--r8jz45g.xn--zckzah", "xn--r8jz45g.xn--zckzah", ""},
		"https://ｅｘａｍｐｌｅ.com":                  {"https://example.com", "example.com", ""},
		"https://xn--bcher-kva.example":        {"https://xn--bcher-kva.example", "xn--bcher-kva.example", ""},
		"http://[2001:db8::1]:8080/auth":       {"http://[2001:db8::1]:8080/auth", "2001:db8::1", "/auth"},
		"http://my_service:8080":               {"http://my_service:8080", "my_service", ""},
		"http://192.0.2.7":                     {"http://192.0.2.7", "192.0.2.7", ""},
		"http://localhost:8080/.well-known/x/": {"http://localhost:8080/.well-known/x", "localhost", "/.well-known/x"},
	} {
		c := parse(t, "--public-url="+text)
		require.NoError(t, c.Check(), text)
		require.Equal(t, want.url, c.PublicURL.String())
		require.Equal(t, want.host, c.PublicURL.Hostname())
		require.Equal(t, want.path, c.PublicURL.Path())
	}
}

func TestPublicURLRefuses(t *testing.T) {
	t.Parallel()
	for text, why := range map[string]string{
		"id.example.com":                     "other scheme",
		"ftp://id.example.com":               "other scheme",
		"javascript:alert(1)":                "other scheme",
		"//id.example.com":                   "other scheme",
		"https://":                           "host is missing",
		"https:///auth":                      "host is missing",
		"https://:8443":                      "host is missing",
		"https:id.example.com":               "host is missing",
		"https://example.com?":               "without a query",
		"https://example.com/auth?a=b":       "without a query",
		"https://example.com/#top":           "without a fragment",
		"https://example.com#":               "without a fragment",
		"https://ops@example.com":            "without a user name",
		"https://ops:hunter22@example.com":   "without a user name",
		"https://ops:hunter22@example.com:x": "want http(s)://",
		"https://exam ple.com":               "want http(s)://",
		"https://bücher..example":            "no ASCII form",
		"https://-ü-.example/":               "no ASCII form",
	} {
		err := parse(t, "--public-url="+text).Check()
		require.ErrorContains(t, err, "LATCHKEY_PUBLIC_URL: want http(s)://host[:port][/path]", text)
		require.ErrorContains(t, err, why, text)
		require.NotContains(t, err.Error(), "hunter22")
	}
}
