package config

import (
	"errors"
	"net/url"
	"strings"

	"golang.org/x/net/idna"
)

// PublicURL is where callers reach the server. Read from the configuration it is in the form that protocols take: the
// host in ASCII (RFC 5890 §2.3.2.1), the path without a slash at its end.
type PublicURL string

// DefaultPublicURL is where callers reach a server that says nothing else.
const DefaultPublicURL = "http://localhost:8080"

// UnmarshalText takes any text, because Check reports all wrong settings together.
func (u *PublicURL) UnmarshalText(text []byte) error {
	*u = PublicURL(text)
	if parsed, err := parsePublicURL(string(text)); err == nil {
		*u = PublicURL(parsed.String())
	}
	return nil
}

// Check returns the fault of the URL and does not repeat it, because a URL can hold a password.
func (u PublicURL) Check() error {
	_, err := parsePublicURL(string(u))
	return err
}

// String is the whole URL, without a slash at its end.
func (u PublicURL) String() string { return string(u) }

// Hostname is the host without the port.
func (u PublicURL) Hostname() string { return u.parsed().Hostname() }

// Path is the prefix of every path that callers see, percent-encoded: "" or such as "/auth".
func (u PublicURL) Path() string { return u.parsed().EscapedPath() }

// parsed is empty for a URL that Check refuses.
func (u PublicURL) parsed() *url.URL {
	parsed, err := parsePublicURL(string(u))
	if err != nil {
		return new(url.URL)
	}
	return parsed
}

// hostNames brings the host of a URL into its ASCII form, as browsers do.
var hostNames = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.BidiRule(), idna.StrictDomainName(true),
	idna.VerifyDNSLength(true))

func parsePublicURL(text string) (*url.URL, error) {
	const wanted = "want http(s)://host[:port][/path]"
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New(wanted) // the parser's error repeats the URL
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New(wanted + "; no other scheme is served")
	case u.Hostname() == "":
		return nil, errors.New(wanted + "; the host is missing")
	case u.User != nil:
		return nil, errors.New(wanted + ", without a user name or password")
	case strings.ContainsRune(text, '?'):
		return nil, errors.New(wanted + ", without a query")
	case strings.ContainsRune(text, '#'):
		return nil, errors.New(wanted + ", without a fragment")
	}
	if host := u.Hostname(); strings.ContainsFunc(host, func(r rune) bool { return r > '~' }) {
		ascii, err := hostNames.ToASCII(host)
		if err != nil {
			return nil, errors.New(wanted + "; the host has no ASCII form, so it is no host name")
		}
		u.Host = ascii + strings.TrimPrefix(u.Host, host) // the port
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	return u, nil
}
