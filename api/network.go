package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// callerAddress is the address that a request comes from: the socket's, unless the socket is a trusted proxy's. Then it
// is the rightmost entry of X-Forwarded-For that is not a trusted proxy's. Callers can forge the entries left of it.
func callerAddress(r *http.Request, proxies []netip.Prefix) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return ""
	}
	address = address.Unmap()
	entries := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(entries) - 1; i >= 0 && trusted(address, proxies); i-- {
		next, ok := forwardedAddress(entries[i])
		if !ok {
			break // a trusted proxy wrote nonsense, so its own address is the last known one
		}
		address = next
	}
	return address.WithZone("").String()
}

// forwardedAddress reads an entry of X-Forwarded-For, which some proxies write with a port.
func forwardedAddress(entry string) (netip.Addr, bool) {
	entry = strings.TrimSpace(entry)
	if withPort, err := netip.ParseAddrPort(entry); err == nil {
		return withPort.Addr().Unmap(), true
	}
	address, err := netip.ParseAddr(strings.Trim(entry, "[]"))
	return address.Unmap(), err == nil
}

// trusted reports whether an address is in one of the networks.
func trusted(address netip.Addr, networks []netip.Prefix) bool {
	for _, network := range networks {
		if network.Contains(address) {
			return true
		}
	}
	return false
}

// contains reports whether an address in text form is in one of the networks.
func contains(networks []netip.Prefix, text string) bool {
	address, err := netip.ParseAddr(text)
	return err == nil && trusted(address.Unmap().WithZone(""), networks)
}

// warnOfForwarded logs once that an address which is not trusted sends X-Forwarded-For. Behind a proxy that is not
// configured, all people share one address, and so its limits.
func (s *Server) warnOfForwarded(r *http.Request) {
	if r.Header.Get("X-Forwarded-For") == "" {
		return
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil || contains(s.proxies, host) {
		return
	}
	s.forwarded.Do(func() {
		s.log.WarnContext(r.Context(), "X-Forwarded-For comes from an address that is not trusted, and is ignored. "+
			"If Latchkey runs behind a proxy, name its network in LATCHKEY_TRUSTED_PROXIES: until then all callers count as "+
			"one network, and share its limits")
	})
}
