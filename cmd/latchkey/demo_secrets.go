package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/installation"
	"github.com/latchkey-auth/latchkey/pkg/onetime"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// makeDemoSecrets sends secrets in the past, by a server whose clock is behind: a link that has run out by now, and a
// code that a newer one has superseded. It gives the lines that tell them. A start soon after another finds the
// cool-down, and makes none.
func makeDemoSecrets(ctx context.Context, p *portal.Portal, options api.Options) (string, error) {
	var lines strings.Builder
	expired, err := issueInThePast(ctx, p, options, expiredReset, p.ResetTTL.Duration()+time.Hour)
	if err != nil {
		return "", err
	}
	if expired.Token != "" {
		fmt.Fprintf(&lines, "The reset link of %s that ran out has the token %s\n", expiredReset, expired.Token)
	}
	older, err := issueInThePast(ctx, p, options, olderCode, 5*time.Minute)
	if err != nil {
		return "", err
	}
	if older.Code == "" {
		return lines.String(), nil
	}
	newer, err := issueInThePast(ctx, p, options, olderCode, 2*time.Minute)
	if newer.Code != "" { // else the caps, which many starts reach, left the first one good
		fmt.Fprintf(&lines, "The older code of %s is %s\n", olderCode, older.Code)
	}
	return lines.String(), err
}

// issueInThePast sends a reset some time ago, and tells what was sent; nothing where the cool-down forbids it.
func issueInThePast(ctx context.Context, p *portal.Portal, options api.Options, to string, ago time.Duration) (onetime.Secret, error) {
	options.Now = func() time.Time { return time.Now().Add(-ago) }
	past, err := api.New(ctx, options)
	if err != nil {
		return onetime.Secret{}, err
	}
	address, err := email.Parse(to)
	if err != nil {
		return onetime.Secret{}, err
	}
	if _, err = past.PasswordResets().Issue(ctx, p, address); fault.CodeOf(err) == fault.ResendTooSoon {
		return onetime.Secret{}, nil
	}
	if err != nil {
		return onetime.Secret{}, err
	}
	digests, err := installation.Open(ctx, options.DB, options.Ring)
	if err != nil {
		return onetime.Secret{}, err
	}
	secrets := onetime.NewService(onetime.NewRepository(options.DB), options.Ring, options.Now)
	subject := digests.Subject(p.ID, address.Canonical())
	issued, _, err := secrets.Outstanding(ctx, p.ID, onetime.Password, subject)
	if err != nil {
		return onetime.Secret{}, err
	}
	secret, err := secrets.Secret(ctx, p.ID, onetime.Password, subject, issued.Generation)
	return secret, err
}
