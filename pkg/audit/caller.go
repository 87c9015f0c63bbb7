package audit

import (
	"context"

	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// Actor says who did something. The zero Actor is a stranger.
type Actor struct{ text string }

// Operator is whoever holds the installation's operator key.
func Operator() Actor { return Actor{"operator"} }

// APIKey is a program that calls with an API key.
func APIKey(id ids.APIKey) Actor { return Actor{"api_key:" + id.String()} }

// Person is a person who is logged in.
func Person(accountID ids.Account) Actor { return Actor{"account:" + accountID.String()} }

// Terminal is the person who runs a command of this program.
func Terminal() Actor { return Actor{"terminal"} }

// String is the actor as the audit trail keeps it; "" for a stranger.
func (a Actor) String() string { return a.text }

// Caller is who asked, and from where.
type Caller struct {
	Actor     Actor
	Network   string // an IP address
	UserAgent string
	RequestID string
}

type callerKey struct{}

// WithCaller notes the caller of a request in its context.
func WithCaller(ctx context.Context, caller *Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, caller)
}

// CallerOf is the caller noted in ctx; without one, a stranger from nowhere.
func CallerOf(ctx context.Context) *Caller {
	if caller, ok := ctx.Value(callerKey{}).(*Caller); ok {
		return caller
	}
	return &Caller{}
}
