package mail

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"net/url"
	"os"
	"slices"
	"strconv"

	gomail "github.com/wneessen/go-mail"
)

// SMTP sends mail through a relay. Connections are kept for a while between mails.
type SMTP struct {
	host     string
	port     int
	user     string
	password string
	implicit bool // TLS from the first byte (RFC 8314 §3.3)
	helo     string
	tls      *tls.Config
	tcp      func(ctx context.Context, network, address string) (net.Conn, error)
	idle     idle
}

// NewSMTP makes a sender from LATCHKEY_SMTP_URL: smtp://[user:password@]host[:587], or smtps://…[:465]. STARTTLS is
// used where it is offered, and insisted on where there are credentials and the host is not this machine. helo is the
// host name for EHLO: that of the public URL.
//
// Errors say what is wrong without the URL, which holds a password.
func NewSMTP(rawURL, helo string) (*SMTP, error) {
	u, err := url.Parse(rawURL)
	if err != nil || (u.Scheme != "smtp" && u.Scheme != "smtps") || u.Hostname() == "" || u.Opaque != "" ||
		(u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("want smtp://user:password@host:587 or smtps://user:password@host:465; " +
			"are special characters in the password percent-encoded")
	}
	s := &SMTP{
		host: u.Hostname(), port: 587, implicit: u.Scheme == "smtps", helo: HostLiteral(cmp.Or(helo, "localhost")),
		tcp: new(net.Dialer).DialContext,
	}
	if s.implicit {
		s.port = 465
	}
	if u.Port() != "" {
		if s.port, err = strconv.Atoi(u.Port()); err != nil || s.port < 1 || s.port > 65535 {
			return nil, errors.New("the port is not one")
		}
	}
	if u.User != nil {
		s.user = u.User.Username()
		s.password, _ = u.User.Password()
		if s.user == "" || s.password == "" {
			return nil, errors.New("there is a user without a password, or a password without a user")
		}
	}
	s.tls = &tls.Config{ServerName: s.host, MinVersion: tls.VersionTLS12}
	return s, nil
}

// Send hands a mail to the relay, in at most the time that ctx gives.
//
// Errors: *Failure.
func (s *SMTP) Send(ctx context.Context, m *Message) (string, error) {
	message, err := build(m)
	if err != nil {
		return "", &Failure{RefusedForGood, "the mail could not be written"}
	}
	c, err := s.connection(ctx)
	if err != nil {
		return "", failure(ctx, err)
	}
	answer, err := c.send(ctx, m, message)
	if err != nil {
		err = failure(ctx, err)
	}
	if err == nil || c.forget(ctx, err) {
		s.idle.put(c)
	} else {
		c.close()
	}
	return answer, err
}

// Close closes the connections that are kept.
func (s *SMTP) Close() error {
	s.idle.drain()
	return nil
}

// build writes the mail in the format of RFC 5322 with both parts. Headers are encoded words where they hold anything
// but printable ASCII, so no name and no subject can end a line.
func build(m *Message) (*gomail.Msg, error) {
	message := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	message.FromMailAddress(&m.From)
	message.ToMailAddress(&Address{Address: m.To})
	if m.ReplyTo != "" {
		if err := message.ReplyTo(m.ReplyTo); err != nil {
			return nil, err
		}
	}
	message.Subject(m.Subject)
	message.SetMessageIDWithValue(m.MessageID)
	message.SetDateWithValue(m.Date)
	message.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834 §5
	message.SetBodyString(gomail.TypeTextPlain, m.Text)
	message.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	return message, nil
}

// errNoUTF8 means that the relay lacks SMTPUTF8 (RFC 6531), which the recipient's address needs.
var errNoUTF8 = errors.New("the relay does not take addresses beyond ASCII")

// authenticationCodes are the answers that are about our credentials, not about the mail (RFC 4954 §6).
var authenticationCodes = []int{530, 534, 535, 538}

// failure tells apart what the relay said of a mail, from what it said of itself, from silence.
func failure(ctx context.Context, err error) *Failure {
	var said *textproto.Error
	var network *net.OpError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, errNoUTF8):
		return &Failure{RefusedForGood, err.Error()}
	case errors.As(err, &said):
		answer := fmt.Sprintf("%d %s", said.Code, said.Msg)
		switch {
		case !errors.Is(err, errOfMail), said.Code == 421, slices.Contains(authenticationCodes, said.Code):
			return &Failure{Unreached, answer}
		case said.Code >= 500:
			return &Failure{RefusedForGood, answer}
		}
		return &Failure{RefusedForNow, answer}
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return &Failure{Unreached, "the relay did not answer in time"}
	case errors.As(err, &certificate):
		return &Failure{Unreached, "the relay's certificate is not good"}
	case errors.As(err, &network):
		return &Failure{Unreached, "the relay cannot be reached: " + network.Err.Error()}
	}
	return &Failure{Unreached, "the relay cannot be spoken to: " + err.Error()}
}
