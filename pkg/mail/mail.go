// Package mail sends mail through an SMTP relay and remembers whether the relay works. It does not know the purpose of a
// mail.
package mail

import (
	"fmt"
	"log/slog"
	"net"
	netmail "net/mail"
	"time"
	"unicode/utf8"
)

// Address is a mailbox with a display name.
type Address = netmail.Address

// Message is a mail ready to be sent. Its texts may hold secrets, so it prints as its Message-ID alone.
type Message struct {
	From    Address
	ReplyTo string // an address, or ""
	To      string // an address
	Subject string
	Text    string
	HTML    string
	Date    time.Time
	// MessageID is the same at every try, so that mail programs recognise a repeated message (RFC 5322 §3.6.4). It has
	// no angle brackets.
	MessageID string
}

// String names the message without its recipient and texts.
func (m *Message) String() string { return "mail " + m.MessageID }

// GoString is String.
func (m *Message) GoString() string { return m.String() }

// LogValue is String.
func (m *Message) LogValue() slog.Value { return slog.StringValue(m.String()) }

// Reach is how far a try to send came before it failed.
type Reach int

// How far a try came.
const (
	// Unreached means that the relay could not be used at all: other mail would fail now, too.
	Unreached Reach = iota
	// RefusedForNow means that the relay may take this mail later.
	RefusedForNow
	// RefusedForGood means that the relay will never take it.
	RefusedForGood
	// Unknown means that the whole mail was sent and no answer came: the relay may have taken it.
	Unknown
)

// Failure is the reason why a mail was not sent.
type Failure struct {
	Reach  Reach
	Answer string // what the relay said, or what went wrong on the way to it
}

func (f *Failure) Error() string { return "mail not sent: " + f.Answer }

// HostLiteral puts an IP address in the brackets that SMTP wants (RFC 5321 §4.1.3). A name stays as it is.
func HostLiteral(host string) string {
	ip := net.ParseIP(host)
	switch {
	case ip == nil:
		return host
	case ip.To4() == nil:
		return fmt.Sprintf("[IPv6:%s]", host)
	}
	return "[" + host + "]"
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
