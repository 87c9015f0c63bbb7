package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// connection is one to the relay, greeted and logged in.
type connection struct {
	smtp   *smtp.Client
	socket net.Conn
	used   time.Time
}

// connection gives one that is kept and still answers, or a new one.
func (s *SMTP) connection(ctx context.Context) (*connection, error) {
	for c := s.idle.take(); c != nil; c = s.idle.take() {
		if c.answers(ctx) {
			return c, nil
		}
		c.close()
	}
	return s.dial(ctx)
}

// dial connects, greets, encrypts and logs in.
func (s *SMTP) dial(ctx context.Context) (*connection, error) {
	c := &connection{used: time.Now()}
	release := func() {}
	options := []gomail.Option{
		gomail.WithPort(s.port), gomail.WithHELO(s.helo), gomail.WithTimeout(remaining(ctx)),
		// The socket is ours to close: the library leaves it open where greeting or logging in fails, and does not
		// heed ctx once it is connected.
		gomail.WithDialContextFunc(func(_ context.Context, network, address string) (net.Conn, error) {
			socket, err := s.open(ctx, network, address)
			if err == nil {
				c.socket = socket
				release = c.limit(ctx)
			}
			return socket, err
		}),
	}
	options = append(options, s.security()...)
	client, err := gomail.NewClient(s.host, options...)
	if err != nil {
		return nil, err
	}
	c.smtp, err = client.DialToSMTPClientWithContext(ctx)
	release()
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// security says how to encrypt and log in. Where encryption is not insisted on, the certificate is not looked at: who
// could offer a false one could as well hide that there is any, and some encryption is better than none (RFC 7435).
func (s *SMTP) security() []gomail.Option {
	if s.user == "" {
		config := s.tls
		if !s.implicit {
			config = config.Clone()
			config.InsecureSkipVerify = true
		}
		return []gomail.Option{gomail.WithTLSPolicy(gomail.TLSOpportunistic), gomail.WithTLSConfig(config)}
	}
	policy, ways := gomail.TLSMandatory, []gomail.SMTPAuthType{
		gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin,
	}
	switch {
	case isLoopback(s.host):
		policy, ways = gomail.TLSOpportunistic, []gomail.SMTPAuthType{
			gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlainNoEnc, gomail.SMTPAuthLoginNoEnc,
		}
	case s.implicit:
		policy = gomail.TLSOpportunistic // encrypted already
	}
	return []gomail.Option{
		gomail.WithTLSPolicy(policy), gomail.WithTLSConfig(s.tls), gomail.WithUsername(s.user),
		gomail.WithPassword(s.password), gomail.WithOpportunisticSMTPAuth(ways...),
	}
}

func (s *SMTP) open(ctx context.Context, network, address string) (net.Conn, error) {
	socket, err := s.tcp(ctx, network, address)
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

// limit hangs up when ctx ends, whatever is being said, until what it returns is called.
func (c *connection) limit(ctx context.Context) (release func()) {
	stop := context.AfterFunc(ctx, c.close)
	return func() { stop() }
}

// close hangs up without a word: the relay may not be listening.
func (c *connection) close() {
	if c.socket != nil {
		_ = c.socket.Close()
	}
}

// errOfMail marks what the relay said of the mail at hand, not of itself.
var errOfMail = errors.New("of the mail")

// send says MAIL, RCPT and DATA (RFC 5321 §3.3) for one mail, and gives what the relay said on taking it.
func (c *connection) send(ctx context.Context, m *Message, message *gomail.Msg) (string, error) {
	defer c.limit(ctx)()
	if err := c.smtp.UpdateDeadline(remaining(ctx)); err != nil {
		return "", err
	}
	ascii := isASCII(m.To) && isASCII(m.From.Address)
	if offered, _ := c.smtp.Extension("SMTPUTF8"); !offered && !ascii {
		return "", errNoUTF8
	}
	c.smtp.SkipSMTPUTF8(ascii) // a relay further on may refuse a mail that claims to need it
	if err := c.smtp.Mail("<" + m.From.Address + ">"); err != nil {
		return "", fmt.Errorf("%w: %w", errOfMail, err)
	}
	if err := c.smtp.Rcpt("<" + m.To + ">"); err != nil {
		return "", fmt.Errorf("%w: %w", errOfMail, err)
	}
	body, err := c.smtp.Data()
	if err != nil {
		return "", fmt.Errorf("%w: %w", errOfMail, err)
	}
	if _, err := message.WriteTo(body); err != nil {
		return "", err
	}
	if err := body.Close(); err != nil {
		return "", fmt.Errorf("%w: %w", errOfMail, err)
	}
	if said, ok := body.(*smtp.DataCloser); ok {
		return said.ServerResponse(), nil
	}
	return "", nil
}

// forget makes the relay forget a mail that it refused, and reports whether the connection is good for another.
func (c *connection) forget(ctx context.Context, failed error) bool {
	var f *Failure
	if !errors.As(failed, &f) || f.Reach == Unreached {
		return false
	}
	defer c.limit(ctx)()
	return c.smtp.UpdateDeadline(answerTime) == nil && c.smtp.Reset() == nil
}

// answerTime is how long a kept connection may take to show that it still lives.
const answerTime = 3 * time.Second

// answers asks a kept connection whether it still lives (NOOP, RFC 5321 §4.1.1.9).
func (c *connection) answers(ctx context.Context) bool {
	defer c.limit(ctx)()
	return c.smtp.UpdateDeadline(answerTime) == nil && c.smtp.Noop() == nil
}

// defaultTimeout bounds a try whose context has no deadline.
const defaultTimeout = 25 * time.Second

// remaining is how long ctx lasts; defaultTimeout where it has no end.
func remaining(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return max(time.Until(deadline), time.Millisecond)
	}
	return defaultTimeout
}
