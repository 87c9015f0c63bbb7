package mail

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/textproto"
	"net/url"
	"os"
	"slices"
	"strconv"
	"sync/atomic"

	gomail "github.com/wneessen/go-mail"
)

// SMTP sends mail through a relay. Connections are kept for a while between mails. Times and Log may be changed before
// the first mail.
type SMTP struct {
	Times Times
	Log   *slog.Logger // gets a warning when encryption fails; nil logs nothing

	host     string
	port     string
	user     string
	password string
	implicit bool // TLS from the first byte (RFC 8314 §3.3)
	required bool // no mail without TLS and a good certificate
	helo     string
	tls      *tls.Config
	tcp      func(ctx context.Context, network, address string) (net.Conn, error)
	idle     idle

	plainUntil atomic.Int64 // Unix milliseconds until when STARTTLS is not tried
}

// NewSMTP makes a sender from LATCHKEY_SMTP_URL: smtp://[user:password@]host[:587][?tls=required], or smtps://…[:465].
// STARTTLS is used where it is offered. With tls=required, and with credentials for a host that is not this machine, it
// is mandatory, and the certificate is checked. helo is the host name for EHLO: that of the public URL.
//
// Errors say what is wrong without the URL, which holds a password.
func NewSMTP(rawURL, helo string) (*SMTP, error) {
	u, err := url.Parse(rawURL)
	if err != nil || (u.Scheme != "smtp" && u.Scheme != "smtps") || u.Hostname() == "" || u.Opaque != "" ||
		(u.Path != "" && u.Path != "/") || (u.RawQuery != "" && u.RawQuery != requireTLS) || u.Fragment != "" {
		return nil, errors.New("want smtp://user:password@host:587, with ?" + requireTLS +
			" at the end if need be, or smtps://user:password@host:465; " +
			"are special characters in the password percent-encoded")
	}
	s := &SMTP{
		Times: standardTimes, host: u.Hostname(), port: "587", implicit: u.Scheme == "smtps",
		required: u.RawQuery == requireTLS, helo: HostLiteral(cmp.Or(helo, "localhost")), tcp: new(net.Dialer).DialContext,
	}
	if s.implicit {
		s.port = "465"
	}
	if u.Port() != "" {
		if number, err := strconv.Atoi(u.Port()); err != nil || number < 1 || number > 65535 {
			return nil, errors.New("the port is not a number from 1 to 65535")
		}
		s.port = u.Port()
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

// requireTLS is the query of a URL that insists on TLS.
const requireTLS = "tls=required"

// Send gives a mail to the relay, and returns the relay's answer. dotted is called when the whole mail was sent: from
// then on the relay may have taken it, even if Send fails. The end of ctx breaks off.
//
// Errors: *Failure.
func (s *SMTP) Send(ctx context.Context, m *Message, dotted func()) (string, error) {
	message, err := build(m)
	if err != nil {
		return "", &Failure{RefusedForGood, "the mail could not be written"}
	}
	c, err := s.connection(ctx)
	if err != nil {
		return "", failure(ctx, err)
	}
	answer, err := c.send(ctx, m, message, dotted)
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

// failure tells an answer about a mail from an answer about the relay, and both from silence.
func failure(ctx context.Context, err error) *Failure {
	var said *textproto.Error
	var network *net.OpError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, errNoAnswer):
		return &Failure{Unknown, "the relay did not say whether it took the mail"}
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
