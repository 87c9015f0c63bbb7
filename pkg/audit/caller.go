package audit

import (
	"context"

	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// Actor is the person or program that acts. The zero Actor is a stranger.
type Actor struct{ text string }

// Operator is the holder of the installation's operator key.
func Operator() Actor { return Actor{"operator"} }

// APIKey is a program that calls with an API key.
func APIKey(id ids.APIKey) Actor { return Actor{"api_key:" + id.String()} }

// Person is a person who is logged in.
func Person(accountID ids.Account) Actor { return Actor{"account:" + accountID.String()} }

// Terminal is a person who runs a command of this program.
func Terminal() Actor { return Actor{"terminal"} }

// String is the actor as it is stored; "" for a stranger.
func (a Actor) String() string { return a.text }

// Caller is who sent a request, and from where.
type Caller struct {
	Actor     Actor
	Network   string // an IP address
	UserAgent string
	RequestID string
}

type callerKey struct{}

// WithCaller puts the caller of a request into its context.
func WithCaller(ctx context.Context, caller *Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, caller)
}

// CallerOf is the caller in ctx; without one, a stranger from no network.
func CallerOf(ctx context.Context) *Caller {
	if caller, ok := ctx.Value(callerKey{}).(*Caller); ok {
		return caller
	}
	return &Caller{}
}
