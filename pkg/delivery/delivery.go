// Package delivery brings messages to people. A message is a row and a job, written in the transaction of the change
// that causes them; a worker derives its secret when it sends, and only if it is still the current one. What is queued
// holds neither secret nor address.
//
// Delivery is at least once: a process that is killed between sending and noting may send a message again, under the
// same Message-ID, but never loses one.
package delivery

import (
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/email"
)

// Kind says what a message is about.
type Kind string

// The kinds of messages.
const (
	Confirm           Kind = "confirm"
	ResetPassword     Kind = "reset_password"
	SetPassword       Kind = "set_password"
	PasswordChanged   Kind = "password_changed"
	AlreadyRegistered Kind = "already_registered"
	Invited           Kind = "invitation"
)

// carriesSecret reports whether a message of the kind is worth nothing without a current secret.
func (k Kind) carriesSecret() bool {
	return k == Confirm || k == ResetPassword || k == SetPassword || k == Invited
}

// Status says how far a message has come.
type Status string

// The statuses. Queued and Delayed are on their way; the others are final.
const (
	Queued     Status = "queued"
	Delayed    Status = "delayed" // refused for now; tried again for giveUpAfter
	Sent       Status = "sent"
	Failed     Status = "failed"
	Suppressed Status = "suppressed" // the recipient got too many messages today
)

// Email is the channel of messages that are mailed.
const Email = "email"

const (
	// giveUpAfter is how long a message that is refused for now is tried again.
	giveUpAfter = 24 * time.Hour
	// DailyMessages is how many messages one recipient gets in 24 hours, over the whole installation (contract §2).
	DailyMessages = 50
	// Kept is how long a row is kept (design §1.2).
	Kept = 30 * 24 * time.Hour
)

// Message is something to be told to a person.
type Message struct {
	ID   uuid.UUID // a UUIDv7, the caller's
	Kind Kind
	// Account is whom it goes to: to the address that the account has when it is sent. Without an account and an
	// invitation it goes to nobody: the same row and a job that sends nothing.
	Account *account.Account
	// Invitation is what else it may go to, with the code of that counter; Purpose, Subject and Generation stand back.
	Invitation *Invitation
	// Typed is the address as the request named it; only its mask is kept. "" where the request named none.
	Typed string
	// Purpose, Subject and Generation name the secret that the message carries, if it does.
	Purpose    string
	Subject    []byte
	Generation int64
	Locale     string
	Network    string // where the request came from, for the message to say; "" for nowhere
}

// Invitation names an invitation, and which of its codes.
type Invitation struct {
	ID      uuid.UUID
	Counter int64
}

// Invitee is whom an invitation goes to, and what it says.
type Invitee struct {
	Address email.Address
	Inviter string // a person's name, for the message to say; "" for none
	Secret  Secret
}

// Receipt is what whoever asked for a message may follow.
type Receipt struct {
	ID        uuid.UUID
	Channel   string
	To        *string // the masked address that the request named
	Sender    string  // the address that the message comes from
	Status    Status
	CreatedAt time.Time
}

// Secret is what a message carries: two faces of one secret.
type Secret struct {
	Token     string
	Code      string
	ExpiresAt time.Time
}

// String keeps a secret out of logs.
func (Secret) String() string { return "secret" }

// GoString keeps a secret out of logs.
func (Secret) GoString() string { return "secret" }
