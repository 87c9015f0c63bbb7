// Package audit records what happened at a portal: to whom, by whom, from where, and the code that the person saw.
package audit

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/fault"
)

// Type says what was tried.
type Type string

// What is recorded.
const (
	Login                 Type = "login"
	Logout                Type = "logout"
	Refresh               Type = "session.refresh"
	SessionEnded          Type = "session.ended"
	SessionsEnded         Type = "sessions.ended"
	OwnPassword           Type = "password.changed"
	AccountUnlocked       Type = "account.unlocked"
	KeyRotated            Type = "signing_key.rotated"
	APIKeyCreated         Type = "api_key.created"
	APIKeyRevoked         Type = "api_key.revoked"
	Registration          Type = "registration"
	ConfirmationRequested Type = "confirmation.requested"
	Confirmation          Type = "confirmation"
	ResetRequested        Type = "password_reset.requested"
	ResetRedeemed         Type = "password_reset"
	InvitationCreated     Type = "invitation.created"
	InvitationResent      Type = "invitation.resent"
	InvitationRequested   Type = "invitation.requested"
	InvitationDeleted     Type = "invitation.deleted"
	InvitationRedeemed    Type = "invitation"
	InvitationsExported   Type = "invitations.exported"
	ProfileChanged        Type = "profile.changed"
	AccountCreated        Type = "account.created"
	AccountChanged        Type = "account.changed"
	AccountDeleted        Type = "account.deleted"
	PortalCreated         Type = "portal.created"
	PortalChanged         Type = "portal.changed"
	PortalDeleted         Type = "portal.deleted"
)

// Installation stands for the portal of events that belong to none: portals and keys themselves.
var Installation = uuid.Nil

// Event is one thing that happened. A person is named by the account's id and a digest of the address, so that
// deleting the person leaves the event without the person.
type Event struct {
	PortalID    uuid.UUID
	Type        Type
	Err         error // why not; nil is success. Its code alone is kept.
	EmailDigest []byte
	AccountID   uuid.NullUUID
	Hints       []string // what the typed password looked like, in the contract's words
}

// Caller is who asked, and from where.
type Caller struct {
	Actor     string // "operator", "account:<id>", or "" for a stranger
	Network   string // an IP address
	UserAgent string
	RequestID string
}

type callerKey struct{}

// WithCaller notes the caller of a request in its context.
func WithCaller(ctx context.Context, caller *Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, caller)
}

// CallerOf is the caller noted in ctx; one without members where there is none.
func CallerOf(ctx context.Context) *Caller {
	if caller, ok := ctx.Value(callerKey{}).(*Caller); ok {
		return caller
	}
	return &Caller{}
}

// Recorder writes events.
type Recorder struct {
	db  *database.DB
	now func() time.Time
}

// NewRecorder writes events to db.
func NewRecorder(db *database.DB, now func() time.Time) *Recorder { return &Recorder{db, now} }

// Record writes an event, in the transaction of ctx if there is one.
func (r *Recorder) Record(ctx context.Context, event Event) error {
	return r.RecordAll(ctx, []Event{event})
}

// RecordAll writes events in one statement, a few hundred at most.
func (r *Recorder) RecordAll(ctx context.Context, events []Event) error {
	if len(events) == 0 {
		return nil
	}
	rows := make([]row, 0, len(events))
	caller, now := CallerOf(ctx), r.now().UnixMilli()
	for _, event := range events {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		outcome := "success"
		if event.Err != nil {
			outcome = "failure"
		}
		rows = append(rows, row{
			portalID: event.PortalID, id: id, at: now, kind: event.Type, outcome: outcome,
			code: string(fault.CodeOf(event.Err)), emailDigest: event.EmailDigest, accountID: event.AccountID,
			caller: caller, hints: strings.Join(event.Hints, ","),
		})
	}
	return r.insert(ctx, rows)
}
