// Package audit records events at a portal: the type, the person or thing, the actor, the network, and the code that
// the person saw.
package audit

import (
	"context"

	"github.com/google/uuid"

	"github.com/latchkey-auth/latchkey/pkg/clock"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// Type is the kind of an event.
type Type string

// The kinds of events.
const (
	Login                 Type = "login"
	Logout                Type = "logout"
	Refresh               Type = "session.refresh"
	SessionEnded          Type = "session.ended"
	SessionsEnded         Type = "sessions.ended"
	OwnPassword           Type = "password.changed"
	AccountUnlocked       Type = "account.unlocked"
	KeyRotated            Type = "signing_key.rotated"
	KeyWithdrawn          Type = "signing_key.withdrawn"
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
	NetworkLimited        Type = "network.limited"
)

// Installation takes the place of the portal in events about portals and signing keys, which belong to none.
var Installation ids.Portal

// Recorder writes events.
type Recorder struct {
	db    *database.DB
	clock clock.Clock
}

// NewRecorder writes events to db.
func NewRecorder(db *database.DB, now clock.Clock) *Recorder { return &Recorder{db, now} }

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
	caller, now := CallerOf(ctx), r.clock.Now().UnixMilli()
	for _, event := range events {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		rows = append(rows, row{event, id, now, caller})
	}
	return r.insert(ctx, rows)
}
