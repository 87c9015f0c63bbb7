package delivery

import (
	"net"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// mailbox is where mail for an address goes: the local part as typed, since its server may tell cases apart (RFC 5321
// §2.4), at the canonical domain.
func mailbox(a email.Address) string {
	local, _, _ := strings.Cut(norm.NFKC.String(a.Typed()), "@")
	return local + "@" + domainOf(a.Canonical())
}

// senderAddress is the address that a portal's mail comes from: its own, or no-reply at the host of the public URL.
func (s *Service) senderAddress(p *portal.Portal) string {
	if p.Sender.Address != nil {
		if own, err := email.Parse(*p.Sender.Address); err == nil {
			return mailbox(own)
		}
	}
	return "no-reply@" + literal(s.host)
}

// literal writes a network address in the brackets that SMTP has around one (RFC 5321 §4.1.3), and leaves a name.
func literal(host string) string {
	ip := net.ParseIP(host)
	switch {
	case ip == nil:
		return host
	case ip.To4() == nil:
		return "[IPv6:" + host + "]"
	}
	return "[" + host + "]"
}

// domainOf is what stands behind the @ of an address.
func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
