package delivery

import (
	"context"
	"log/slog"
	"net/mail"
	"time"

	"github.com/google/uuid"
)

// Mail is a message ready to be sent. It holds secrets: nothing of it but what String tells may be logged.
type Mail struct {
	ID      uuid.UUID // of the delivery
	Kind    Kind
	Portal  string // its slug
	From    mail.Address
	ReplyTo string // an address, or ""
	To      string // an address
	Subject string
	Text    string
	HTML    string
	Date    time.Time
	// MessageID is the same at every try, so that a message that came twice is recognised (RFC 5322 §3.6.4); without
	// its angle brackets.
	MessageID string

	// Token, Code and Link stand in the text too; a developer's inbox shows them apart.
	Token string
	Code  string
	Link  string
}

// String names the mail by what is neither secret nor personal.
func (m *Mail) String() string { return string(m.Kind) + " " + m.ID.String() }

// GoString is String.
func (m *Mail) GoString() string { return m.String() }

// LogValue is String.
func (m *Mail) LogValue() slog.Value { return slog.StringValue(m.String()) }

// Sender hands mail to whoever brings it on. A Sender that is an io.Closer is closed when the Service stops.
type Sender interface {
	// Send answers what the provider said on accepting the mail.
	//
	// Errors: *Failure; any other counts as Unreached.
	Send(ctx context.Context, m *Mail) (answer string, err error)
}

// Reach says how far a try to send came before it failed.
type Reach int

// How far a try came.
const (
	// Unreached means that the provider could not be spoken to: no other mail would fare better now.
	Unreached Reach = iota
	// RefusedForNow means that the provider may take this mail later.
	RefusedForNow
	// RefusedForGood means that the provider will never take it.
	RefusedForGood
)

// Failure is why a mail was not sent.
type Failure struct {
	Reach  Reach
	Answer string // what the provider said, or what went wrong on the way to it
}

func (f *Failure) Error() string { return "mail not sent: " + f.Answer }

// logSender notes that there was a mail, where none is configured.
type logSender struct {
	log     *slog.Logger
	inboxed bool // whether a developer finds it elsewhere
}

func (l logSender) Send(ctx context.Context, m *Mail) (string, error) {
	text := "mail is not configured: a message was not sent"
	if l.inboxed {
		text = "mail is not configured: a message is in the developer's inbox"
	}
	l.log.InfoContext(ctx, text, slog.String("kind", string(m.Kind)),
		slog.String("portal", m.Portal), slog.String("delivery", m.ID.String()))
	return "noted in the log", nil
}
