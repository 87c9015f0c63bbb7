// Package smtptest is a mail relay for tests. It keeps the mail that it takes, and can be told to misbehave.
package smtptest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/url"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// Options are the kind of relay. The zero value takes mail from anyone, unencrypted.
type Options struct {
	// User and Password must be given to log in, if they are set.
	User, Password string
	// StartTLS offers STARTTLS; Implicit speaks TLS from the first byte. The certificate is for localhost and signed by
	// Server.CA.
	StartTLS, Implicit bool
	// NoUTF8 leaves out SMTPUTF8.
	NoUTF8 bool
}

// Server is a relay. It is safe for concurrent use.
type Server struct {
	CA *x509.CertPool

	options     Options
	certificate tls.Certificate
	address     string

	mu          sync.Mutex
	server      *smtp.Server // nil while down
	listener    net.Listener
	messages    []Message
	connections int
	judge       func(recipient string) error
	hang        func(recipient string) bool
	hangAll     bool
	released    chan struct{} // closed to let go of what hangs
}

// Refusals that a judge may answer.
var (
	ForNow  = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "try again later"}
	ForGood = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user here"}
)

// New starts a relay that ends with the test.
func New(tb testing.TB, o Options) *Server {
	tb.Helper()
	s := &Server{options: o, address: "127.0.0.1:0", released: make(chan struct{})}
	switch {
	case o.StartTLS || o.Implicit:
		s.certificate, s.CA = certify(tb)
	case runtime.GOOS == "linux":
		// An address of its own: nobody takes the port of a relay that is down.
		var n [3]byte
		_, _ = rand.Read(n[:]) // never fails
		s.address = net.JoinHostPort(net.IPv4(127, n[0], n[1], n[2]|2).String(), "0")
	}
	s.Up(tb)
	tb.Cleanup(func() { s.Down(tb) })
	return s
}

// Up makes the relay listen, on the same port as before.
func (s *Server) Up(tb testing.TB) {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", s.address)
	if err != nil {
		tb.Fatalf("smtptest: %v", err)
	}
	s.address = listener.Addr().String()
	server := smtp.NewServer(smtp.BackendFunc(s.newSession))
	server.Domain, server.AllowInsecureAuth, server.EnableSMTPUTF8 = "relay.example", true, !s.options.NoUTF8
	server.ErrorLog = log.New(io.Discard, "", 0)
	config := &tls.Config{Certificates: []tls.Certificate{s.certificate}, MinVersion: tls.VersionTLS12}
	switch {
	case s.options.Implicit:
		listener = tls.NewListener(listener, config)
	case s.options.StartTLS:
		server.TLSConfig = config
	}
	s.mu.Lock()
	s.server, s.listener = server, listener
	s.mu.Unlock()
	go func() { _ = server.Serve(listener) }() // ends with an error when it is closed
}

// Down ends every connection and refuses new ones.
func (s *Server) Down(tb testing.TB) {
	tb.Helper()
	s.mu.Lock()
	server, listener := s.server, s.listener
	s.server = nil
	s.letGo()
	s.mu.Unlock()
	if server == nil {
		return
	}
	_ = listener.Close() // a server that has not begun to serve does not know it yet
	_ = server.Close()   // it closes the listener again, and fails
}

// URL is the relay's address as LATCHKEY_SMTP_URL has it, with its user.
func (s *Server) URL() string {
	u := url.URL{Scheme: "smtp", Host: s.address}
	if s.options.StartTLS || s.options.Implicit {
		_, port, _ := net.SplitHostPort(s.address)
		u.Host = net.JoinHostPort("localhost", port) // the name in the certificate
	}
	if s.options.Implicit {
		u.Scheme = "smtps"
	}
	if s.options.User != "" {
		u.User = url.UserPassword(s.options.User, s.options.Password)
	}
	return u.String()
}

// Judge has each recipient judged: nil takes the mail, an error is answered.
func (s *Server) Judge(judge func(recipient string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.judge = judge
}

// Hang makes new connections fall silent after EHLO, until Hang(false).
func (s *Server) Hang(hang bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hangAll = hang
	if !hang {
		s.letGo()
	}
}

// HangOn makes a connection fall silent when a recipient is named for which hang returns true.
func (s *Server) HangOn(hang func(recipient string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hang = hang
}

// letGo ends the silence of all connections. The caller holds s.mu.
func (s *Server) letGo() {
	close(s.released)
	s.released = make(chan struct{})
}

// Connections is the number of EHLOs so far.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections
}

// Messages are the mails taken so far, in order.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.messages...)
}

// Wait gives the messages once there are n of them, and fails the test if that takes too long.
func (s *Server) Wait(tb testing.TB, n int, patience time.Duration) []Message {
	tb.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		messages := s.Messages()
		if len(messages) >= n {
			return messages
		}
		if time.Now().After(deadline) {
			tb.Fatalf("smtptest: %d messages after %v, want %d", len(messages), patience, n)
		}
	}
}

func (s *Server) newSession(c *smtp.Conn) (smtp.Session, error) {
	s.mu.Lock()
	s.connections++
	hang, released := s.hangAll, s.released
	s.mu.Unlock()
	if hang {
		<-released
	}
	_, encrypted := c.TLSConnectionState()
	return &session{server: s, encrypted: encrypted}, nil
}

func (s *Server) judged(recipient string) error {
	s.mu.Lock()
	judge, hang, released := s.judge, s.hang, s.released
	s.mu.Unlock()
	if hang != nil && hang(recipient) {
		<-released
		return ForNow
	}
	if judge == nil {
		return nil
	}
	return judge(recipient)
}

func (s *Server) take(m Message, body io.Reader) error {
	raw, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	m.Raw = raw
	if err := m.parse(bytes.NewReader(raw)); err != nil {
		return &smtp.SMTPError{
			Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: fmt.Sprintf("not a mail: %v", err),
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, m)
	return nil
}
