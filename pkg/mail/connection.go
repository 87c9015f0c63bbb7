package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// connection is a connection to the relay, greeted and logged in.
type connection struct {
	*client

	used time.Time
}

// connection returns a kept connection that still answers, or a new one.
func (s *SMTP) connection(ctx context.Context) (*connection, error) {
	for c := s.idle.take(); c != nil; c = s.idle.take() {
		if c.answers(ctx) {
			return c, nil
		}
		c.close()
	}
	c, err := s.dial(ctx, s.encryption())
	if errors.Is(err, errStartTLS) && s.mayGoPlain() && ctx.Err() == nil {
		s.goPlain(ctx, err)
		return s.dial(ctx, unencrypted)
	}
	return c, err
}

// dial connects, greets, encrypts and logs in.
func (s *SMTP) dial(ctx context.Context, how encryption) (*connection, error) {
	connecting, cancel := context.WithTimeout(ctx, s.Times.Connect)
	defer cancel()
	socket, err := s.open(connecting)
	if err != nil {
		return nil, err
	}
	c := &connection{client: newClient(socket, s.Times, s.helo), used: time.Now()}
	c.encrypted = s.implicit
	defer c.limit(ctx)()
	if err := s.prepare(ctx, c, how); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (s *SMTP) prepare(ctx context.Context, c *connection, how encryption) error {
	if err := c.greet(); err != nil {
		return err
	}
	offered := c.offers("STARTTLS")
	switch {
	case c.encrypted:
	case how == mandatory && !offered:
		return errors.New("the relay does not offer STARTTLS")
	case how != unencrypted && offered:
		if err := c.startTLS(ctx, s.tlsConfig()); err != nil {
			return err
		}
	}
	if s.user == "" {
		return nil
	}
	return c.logIn(s.host, []smtp.Auth{
		smtp.ScramSHA256Auth(s.user, s.password), smtp.PlainAuth("", s.user, s.password, s.host, isLoopback(s.host)),
		smtp.LoginAuth(s.user, s.password, s.host, isLoopback(s.host)),
	})
}

// encryption is whether to use STARTTLS.
type encryption int

const (
	opportunistic encryption = iota // where it is offered
	mandatory
	unencrypted
)

func (s *SMTP) encryption() encryption {
	switch {
	case s.required, s.user != "" && !isLoopback(s.host):
		return mandatory
	case s.mayGoPlain() && time.Now().UnixMilli() < s.plainUntil.Load():
		return unencrypted
	}
	return opportunistic
}

// mayGoPlain reports whether a mail may be sent unencrypted although the relay offers STARTTLS: some encryption is
// better than none, and none is better than no mail (RFC 7435). Credentials are never sent that way.
func (s *SMTP) mayGoPlain() bool { return s.user == "" && !s.required }

// plainFor is how long a relay whose STARTTLS failed is not asked for it again.
const plainFor = 10 * time.Minute

func (s *SMTP) goPlain(ctx context.Context, why error) {
	s.plainUntil.Store(time.Now().Add(plainFor).UnixMilli())
	if s.Log != nil {
		s.Log.WarnContext(ctx, "the relay offers STARTTLS and it fails: mail goes to the relay unencrypted",
			slog.String("relay", s.host), slog.String("reason", failure(ctx, why).Answer))
	}
}

// tlsConfig is how the relay's certificate is checked. It is not checked where unencrypted mail is allowed: an attacker
// who can show a false certificate can as well hide STARTTLS (RFC 7435).
func (s *SMTP) tlsConfig() *tls.Config {
	if !s.Unverified() && (!s.mayGoPlain() || s.implicit) {
		return s.tls
	}
	config := s.tls.Clone()
	config.InsecureSkipVerify = true
	return config
}

// Unverified reports whether mail crosses a network to a relay whose certificate is not checked.
func (s *SMTP) Unverified() bool { return s.mayGoPlain() && !s.implicit && !isLoopback(s.host) }

func (s *SMTP) open(ctx context.Context) (net.Conn, error) {
	socket, err := s.tcp(ctx, "tcp", net.JoinHostPort(s.host, s.port))
	if err != nil || !s.implicit {
		return socket, err
	}
	encrypted := tls.Client(socket, s.tls)
	if err := encrypted.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	return encrypted, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// limit closes the connection when ctx ends, until the function that it returns is called.
func (c *connection) limit(ctx context.Context) (release func()) {
	socket := c.socket // STARTTLS wraps it
	stop := context.AfterFunc(ctx, func() { _ = socket.Close() })
	return func() { stop() }
}

// close closes the connection without QUIT: the relay may not be listening.
func (c *connection) close() { _ = c.socket.Close() }

// send sends a mail, and returns the answer of a relay that took it.
func (c *connection) send(ctx context.Context, m *Message, message *gomail.Msg, dotted func()) (string, error) {
	defer c.limit(ctx)()
	ascii := isASCII(m.To) && isASCII(m.From.Address)
	if !ascii && !c.offers("SMTPUTF8") {
		return "", errNoUTF8
	}
	// utf8 only where it is needed: a relay further on may refuse a mail that asks for SMTPUTF8.
	return c.deliver(envelope{m.From.Address, m.To, !ascii}, func(to io.Writer) error {
		_, err := message.WriteTo(to)
		return err
	}, dotted)
}

// answerTime is how long a kept connection may take to show that it still works.
const answerTime = 3 * time.Second

// forget makes the relay forget a mail that it refused, and reports whether the connection is good for another.
func (c *connection) forget(ctx context.Context, failed error) bool {
	var f *Failure
	if !errors.As(failed, &f) || f.Reach == Unreached || f.Reach == Unknown {
		return false
	}
	defer c.limit(ctx)()
	_, _, err := c.say(answerTime, 250, "RSET")
	return err == nil
}

// answers reports whether a kept connection still works (NOOP, RFC 5321 §4.1.1.9).
func (c *connection) answers(ctx context.Context) bool {
	defer c.limit(ctx)()
	_, _, err := c.say(answerTime, 250, "NOOP")
	return err == nil
}
