// Package delivery queues messages to people and tells how far each has come. A message is a row and a job, written in the
// transaction of the change that causes it. What is queued holds neither secret nor address: package dispatch derives the
// one and looks up the other when it sends.
//
// Delivery is at least once: a process that is killed between sending and noting may send a message again, under the
// same Message-ID, but never loses one.
package delivery

import (
	"time"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/ids"
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

// CarriesSecret reports whether a message of the kind is worth nothing without a current secret.
func (k Kind) CarriesSecret() bool {
	return k == Confirm || k == ResetPassword || k == SetPassword || k == Invited
}

// Status says how far a message has come.
type Status string

// The statuses. Queued and Delayed are on their way; the others are final.
const (
	Queued     Status = "queued"
	Delayed    Status = "delayed" // refused for now, and tried again
	Sent       Status = "sent"
	Failed     Status = "failed"
	Suppressed Status = "suppressed" // the recipient got too many messages today
)

// Email is the channel of messages that are mailed.
const Email = "email"

const (
	// DailyMessages is how many messages one recipient gets in 24 hours, over the whole installation.
	DailyMessages = 50
	// Kept is how long a row is kept.
	Kept = 30 * 24 * time.Hour
)

// Message is something to be told to a person.
type Message struct {
	ID   ids.Delivery // a UUIDv7, the caller's
	Kind Kind
	// Account is the recipient: the message goes to the address that the account has when it is sent. Without an account
	// and an invitation it goes to nobody: the same row and a job that sends nothing.
	Account *account.Account
	// Invitation is the other kind of recipient, with the code of that counter; Purpose and Generation are ignored then.
	Invitation *Invitation
	// Typed is the address as the request named it; only its mask is kept. "" where the request named none.
	Typed string
	// Purpose, Subject and Generation name the secret that the message carries, if it does.
	Purpose     string
	EmailDigest digest.Digest
	Generation  int64
	Locale      string
	Network     string // where the request came from, for the message to say; "" for nowhere
}

// Invitation names an invitation, and which of its codes.
type Invitation struct {
	ID      ids.Invitation
	Counter int64
}

// Job has a message sent: the kind of job that package dispatch works on.
type Job struct {
	PortalID ids.Portal   `json:"portal_id"`
	ID       ids.Delivery `json:"id"`
}

// JobKind is the kind of a Job in the queue's table.
const JobKind = "delivery"

// Kind names the kind of job in the queue's table.
func (Job) Kind() string { return JobKind }

// Delivery is a message as the table has it.
type Delivery struct {
	PortalID       ids.Portal
	ID             ids.Delivery
	Kind           Kind
	Channel        string
	Masked         string // the address as the request named it, masked; "" for none
	AccountID      ids.Account
	InvitationID   ids.Invitation
	Purpose        string
	EmailDigest    digest.Digest
	Generation     int64 // of the secret, or the counter of the invitation's code
	Locale         string
	Network        string
	Status         Status
	ProviderAnswer string
	CreatedAt      time.Time
}

// OnItsWay reports whether the message is still to be sent.
func (d *Delivery) OnItsWay() bool { return d.Status == Queued || d.Status == Delayed }

// ToNobody reports whether the message never had a recipient, or the recipient was deleted.
func (d *Delivery) ToNobody() bool { return d.AccountID.IsZero() && d.InvitationID.IsZero() }

// Receipt is what the caller who asked for a message may follow.
type Receipt struct {
	ID        ids.Delivery
	Channel   string
	To        *string // the masked address that the request named
	Sender    string  // the address that the message comes from
	Status    Status
	CreatedAt time.Time
}
