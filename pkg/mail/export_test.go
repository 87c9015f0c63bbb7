package mail

import (
	"context"
	"crypto/x509"
	"net"
)

// Trust makes a sender trust the authorities of a test's relay.
func Trust(s *SMTP, authorities *x509.CertPool) { s.tls.RootCAs = authorities }

// Redirect makes a sender connect to another place than its name says.
func Redirect(s *SMTP, address string) {
	s.tcp = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
}

// Remembered is how many domains are remembered.
func Remembered(d *Domains) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.of)
}
