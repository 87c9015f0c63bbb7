package mail

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

// Times are how long the relay may take for each step of sending a mail.
type Times struct {
	Connect  time.Duration // for TCP, and for a TLS handshake
	Greeting time.Duration
	Setup    time.Duration // for the answer to EHLO, STARTTLS and AUTH
	Command  time.Duration // for the answer to MAIL and RCPT
	Data     time.Duration // for the answer to DATA
	Block    time.Duration // for taking a part of the mail
	Taken    time.Duration // for the answer after the final dot: many relays scan the mail before they answer
}

// standardTimes are those of RFC 5321 §4.5.3.2, which leaves Connect and Setup to the client.
var standardTimes = Times{
	Connect: 30 * time.Second, Greeting: 5 * time.Minute, Setup: 25 * time.Second, Command: 5 * time.Minute,
	Data: 2 * time.Minute, Block: 3 * time.Minute, Taken: 10 * time.Minute,
}

// client speaks SMTP over one connection (RFC 5321).
type client struct {
	socket net.Conn
	text   *textproto.Conn
	times  Times
	helo   string
	// extensions are the relay's, with the keyword in upper case: relays write it in either case (RFC 5321 §2.4).
	extensions map[string]string
	encrypted  bool
}

func newClient(socket net.Conn, times Times, helo string) *client {
	return &client{socket: socket, text: textproto.NewConn(socket), times: times, helo: helo}
}

// greet reads the greeting and says EHLO.
func (c *client) greet() error {
	c.within(c.times.Greeting)
	if _, _, err := c.text.ReadResponse(220); err != nil {
		return err
	}
	return c.hello()
}

// within sets how long the next step may take. A socket that is closed shows at the next use.
func (c *client) within(limit time.Duration) { _ = c.socket.SetDeadline(time.Now().Add(limit)) }

// say sends a command and reads the answer. Errors: *textproto.Error for an answer with another code than want, of
// which any number of leading digits may be given.
func (c *client) say(limit time.Duration, want int, command string) (code int, answer string, err error) {
	if strings.ContainsAny(command, "\r\n") {
		return 0, "", errors.New("a line break in an SMTP command")
	}
	c.within(limit)
	if err := c.text.PrintfLine("%s", command); err != nil {
		return 0, "", err
	}
	return c.text.ReadResponse(want)
}

// hello says EHLO, or HELO to a relay that does not know EHLO (RFC 5321 §3.2).
func (c *client) hello() error {
	_, answer, err := c.say(c.times.Setup, 250, "EHLO "+c.helo)
	var refused *textproto.Error
	if errors.As(err, &refused) && slices.Contains([]int{500, 502, 504}, refused.Code) {
		_, answer, err = c.say(c.times.Setup, 250, "HELO "+c.helo)
		answer, _, _ = strings.Cut(answer, "\n")
	}
	if err != nil {
		return err
	}
	c.extensions = make(map[string]string)
	for _, line := range strings.Split(answer, "\n")[1:] {
		keyword, parameters, _ := strings.Cut(strings.TrimSpace(line), " ")
		c.extensions[strings.ToUpper(keyword)] = parameters
	}
	return nil
}

func (c *client) offers(extension string) bool {
	_, offered := c.extensions[extension]
	return offered
}

// errStartTLS marks the failure of a STARTTLS that the relay offered.
var errStartTLS = errors.New("STARTTLS failed")

// startTLS encrypts the connection (RFC 3207). Errors: errStartTLS.
func (c *client) startTLS(ctx context.Context, config *tls.Config) error {
	if _, _, err := c.say(c.times.Setup, 220, "STARTTLS"); err != nil {
		return fmt.Errorf("%w: %w", errStartTLS, err)
	}
	encrypted := tls.Client(c.socket, config)
	c.within(c.times.Connect)
	if err := encrypted.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("%w: %w", errStartTLS, err)
	}
	// A new reader: anything that came before the handshake was not encrypted, and is dropped.
	c.socket, c.text, c.encrypted = encrypted, textproto.NewConn(encrypted), true
	return c.hello()
}

// logIn logs in with the first of the ways that the relay offers (RFC 4954).
func (c *client) logIn(host string, ways []smtp.Auth) error {
	info := &smtp.ServerInfo{Name: host, TLS: c.encrypted, Auth: strings.Fields(strings.ToUpper(c.extensions["AUTH"]))}
	for _, way := range ways {
		mechanism, initial, err := way.Start(info)
		if err != nil {
			return err
		}
		if slices.Contains(info.Auth, mechanism) {
			return c.authenticate(way, mechanism, initial)
		}
	}
	return errors.New("the relay offers no way to log in that is known here")
}

func (c *client) authenticate(way smtp.Auth, mechanism string, initial []byte) error {
	command := "AUTH " + mechanism
	if initial != nil {
		command += " " + base64.StdEncoding.EncodeToString(initial)
	}
	for {
		code, answer, err := c.say(c.times.Setup, 0, command)
		switch {
		case err != nil:
			return err
		case code != 334 && code != 235:
			return &textproto.Error{Code: code, Msg: answer}
		}
		challenge := []byte(answer)
		if code == 334 {
			if challenge, err = base64.StdEncoding.DecodeString(answer); err != nil {
				return errors.New("the relay's challenge is not base64")
			}
		}
		response, err := way.Next(challenge, code == 334)
		if err != nil || code == 235 {
			return err
		}
		command = base64.StdEncoding.EncodeToString(response)
	}
}

// envelope is what MAIL and RCPT say.
type envelope struct {
	from, to string
	utf8     bool
}

// errOfMail marks an answer about the mail, not about the relay.
var errOfMail = errors.New("of the mail")

// errNoAnswer means that the whole mail was sent and no answer came: the relay may have taken it.
var errNoAnswer = errors.New("no answer after the final dot")

// deliver sends a mail (RFC 5321 §3.3), and returns the answer of a relay that took it. dotted is called before the
// final dot: from then on the relay may take the mail. Errors: errOfMail, errNoAnswer.
func (c *client) deliver(e envelope, write func(io.Writer) error, dotted func()) (string, error) {
	from := "MAIL FROM:<" + e.from + ">"
	if c.offers("8BITMIME") {
		from += " BODY=8BITMIME"
	}
	if e.utf8 {
		from += " SMTPUTF8"
	}
	for _, step := range []struct {
		limit   time.Duration
		want    int
		command string
	}{{c.times.Command, 250, from}, {c.times.Command, 25, "RCPT TO:<" + e.to + ">"}, {c.times.Data, 354, "DATA"}} {
		if _, _, err := c.say(step.limit, step.want, step.command); err != nil {
			return "", fmt.Errorf("%w: %w", errOfMail, err)
		}
	}
	body := c.text.DotWriter()
	whole := bufio.NewWriter(patient{body, c})
	if err := write(whole); err != nil {
		return "", err // without the dot the relay drops the mail
	}
	if err := whole.Flush(); err != nil {
		return "", err
	}
	dotted()
	c.within(c.times.Block)
	if err := body.Close(); err != nil {
		return "", fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	c.within(c.times.Taken)
	_, answer, err := c.text.ReadResponse(250)
	var said *textproto.Error
	switch {
	case errors.As(err, &said):
		return "", fmt.Errorf("%w: %w", errOfMail, err)
	case err != nil:
		return "", fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	return answer, nil
}

// patient gives each write the time of a block.
type patient struct {
	io.Writer

	client *client
}

func (p patient) Write(block []byte) (int, error) {
	p.client.within(p.client.times.Block)
	return p.Writer.Write(block)
}
