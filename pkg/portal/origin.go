package portal

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// opaqueSchemes are those whose pages have no origin of their own, or that no page is loaded by.
var opaqueSchemes = []string{
	"about", "blob", "data", "file", "filesystem", "ftp", "javascript", "mailto", "null", "view-source", "ws", "wss",
}

// appHost is the host of an app shell's origin, capacitor://localhost say: it is a name within the app, not in DNS.
var appHost = regexp.MustCompile(`^[a-z0-9._-]+(:[0-9]{1,5})?$`)

// canonicalOrigin is an origin as browsers and app shells send it (RFC 6454 §6.2): lower case, no path, no default port.
func canonicalOrigin(text string) (string, bool) {
	u, err := url.Parse(text)
	if err != nil || len(text) > maxOrigin || u.Hostname() == "" || u.User != nil || (u.Path != "" && u.Path != "/") ||
		u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(text, "#") {
		return "", false
	}
	switch {
	case u.Scheme == "http" || u.Scheme == "https":
		return webOrigin(u)
	case u.Scheme == "" || slices.Contains(opaqueSchemes, u.Scheme):
		return "", false
	}
	host := strings.ToLower(u.Host)
	if !appHost.MatchString(host) {
		return "", false
	}
	return u.Scheme + "://" + host, true
}

func webOrigin(u *url.URL) (string, bool) {
	if strings.ContainsAny(u.Host, "*\\ ") {
		return "", false
	}
	host := strings.ToLower(u.Host)
	if ascii, err := hostNames.ToASCII(u.Hostname()); err == nil && !strings.Contains(u.Host, "[") {
		host = ascii
		if u.Port() != "" {
			host += ":" + u.Port()
		}
	}
	if u.Scheme == "http" {
		host = strings.TrimSuffix(host, ":80")
	} else {
		host = strings.TrimSuffix(host, ":443")
	}
	return u.Scheme + "://" + strings.TrimSuffix(host, ":"), true
}
