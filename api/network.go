package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// callerAddress is where a request comes from: the socket's address, unless the socket is a trusted proxy's; then
// the rightmost entry of X-Forwarded-For that is not. What stands left of it anybody can write.
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
			break // a proxy that is trusted wrote nonsense: its own address is the last one known
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

func trusted(address netip.Addr, proxies []netip.Prefix) bool {
	for _, network := range proxies {
		if network.Contains(address) {
			return true
		}
	}
	return false
}
