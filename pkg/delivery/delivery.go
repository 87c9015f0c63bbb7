// Package delivery queues messages to people and reports their status. A message is a row and a job, written in the
// transaction of the change that causes it. Neither holds a secret or an address: package dispatch derives the secret
// and looks up the address when it sends.
//
// Delivery is at least once: a process that is killed between sending a message and noting it may send the message
// again, under the same Message-ID. No message is lost.
package delivery

import (
	"time"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// Kind says what a message is about.
type Kind string

// The kinds of messages.
const (
	Confirm         Kind = "confirm"
	ResetPassword   Kind = "reset_password"
	SetPassword     Kind = "set_password"
	PasswordChanged Kind = "password_changed"
	EmailChanged    Kind = "email_changed"
	AccountDeleted  Kind = "account_deleted"
	// ConfirmationChanged tells that an administrator marked the address as confirmed, or as unconfirmed.
	ConfirmationChanged Kind = "confirmation_changed"
	AlreadyRegistered   Kind = "already_registered"
	Invited             Kind = "invitation"
)

// CarriesSecret reports whether a message of the kind is useless without a current secret.
func (k Kind) CarriesSecret() bool {
	return k == Confirm || k == ResetPassword || k == SetPassword || k == Invited
}

// Status is the status of a message.
type Status string

// The statuses. Queued and Delayed messages are still to be sent. The other statuses are final.
const (
	Queued     Status = "queued"
	Delayed    Status = "delayed" // refused for now; it will be tried again
	Sent       Status = "sent"
	Failed     Status = "failed"
	Suppressed Status = "suppressed" // the recipient got too many messages today
)

// Email is the channel of messages that are mailed.
const Email = "email"

// onItsWay are the statuses of messages that are still to be sent.
var onItsWay = []Status{Queued, Delayed}

// Message is a message to be queued.
type Message struct {
	ID   ids.Delivery // a UUIDv7, the caller's
	Kind Kind
	// Account is the recipient: the message goes to the address that the account has when it is sent. A message with
	// neither an account nor an invitation goes to nobody: its row and job are the same, and nothing is sent.
	Account *account.Account
	// Invitation is the other kind of recipient. The message carries its code, and Purpose and Generation are ignored.
	Invitation *Invitation
	// Address is the address that the message is for, whether or not an account has it. It is counted in a pot if the
	// message is of a kind that strangers can cause.
	Address email.Address
	// Typed is the address as the request named it, "" for none. Only its mask is kept.
	Typed string
	// Purpose, EmailDigest and Generation name the secret that the message carries, if any.
	Purpose     string
	EmailDigest digest.Digest
	Generation  int64
	Locale      string
	// ByAdministrator says that no person waits for the message.
	ByAdministrator bool
	Network         string // where the request came from, shown in the message; "" shows nothing

	recipient []byte // of a security notice: its address, sealed
}

// Invitation names an invitation and one of its codes.
type Invitation struct {
	ID      ids.Invitation
	Counter int64
}

// Job sends a message. Package dispatch works on it.
type Job struct {
	PortalID ids.Portal   `json:"portal_id"`
	ID       ids.Delivery `json:"id"`
}

// JobKind is what Job.Kind returns.
const JobKind = "delivery"

// Kind names the kind of job in the queue's table.
func (Job) Kind() string { return JobKind }

// Delivery is a message in the table.
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
	Attempts       int64  // tries so far
	Recipient      []byte // of a security notice: its address, sealed
	CreatedAt      time.Time
	// HeldUntil is until when the message is held for a worker, by the database's clock; nil for no lease.
	HeldUntil *time.Time
}

// OnItsWay reports whether the message is still to be sent.
func (d *Delivery) OnItsWay() bool { return d.Status == Queued || d.Status == Delayed }

// ToNobody reports whether the message has no recipient, or its recipient was deleted.
func (d *Delivery) ToNobody() bool {
	return d.AccountID.IsZero() && d.InvitationID.IsZero() && len(d.Recipient) == 0
}

// Receipt is what the caller who asked for a message sees of it.
type Receipt struct {
	ID        ids.Delivery
	Channel   string
	To        *string // the masked address that the request named
	Sender    string  // the address that the message comes from
	Status    Status
	CreatedAt time.Time
}
