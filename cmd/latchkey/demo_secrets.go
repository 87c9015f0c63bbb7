package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/onetime"
)

// makeSecrets issues resets in the past: a link that has expired by now, and a code that a newer one has superseded. It
// returns the lines that describe them. A start soon after another meets the cool-down, and makes none.
func (h *history) makeSecrets(ctx context.Context) (string, error) {
	var lines strings.Builder
	expired, err := h.reset(ctx, expiredReset, h.portal.ResetTTL.Duration()+time.Hour)
	if err != nil {
		return "", err
	}
	if expired.Token != "" {
		fmt.Fprintf(&lines, "The reset link of %s that ran out has the token %s\n", expiredReset, expired.Token)
	}
	older, err := h.reset(ctx, olderCode, 5*time.Minute)
	if err != nil {
		return "", err
	}
	if older.Code == "" {
		return lines.String(), nil
	}
	newer, err := h.reset(ctx, olderCode, 2*time.Minute)
	if newer.Code != "" { // otherwise many starts have reached the caps, and the first code is still good
		fmt.Fprintf(&lines, "The older code of %s is %s\n", olderCode, older.Code)
	}
	return lines.String(), err
}

// reset issues a reset some time ago, and returns its secret; none where the cool-down forbids it.
func (h *history) reset(ctx context.Context, to string, ago time.Duration) (onetime.Secret, error) {
	h.now = time.Now().Add(-ago)
	address, err := email.Parse(to)
	if err != nil {
		return onetime.Secret{}, err
	}
	if _, err = h.PasswordResets.Issue(ctx, h.portal, address); fault.CodeOf(err) == fault.ResendTooSoon {
		return onetime.Secret{}, nil
	}
	if err != nil {
		return onetime.Secret{}, err
	}
	subject := h.Digests.OfEmail(h.portal.ID, address)
	issued, _, err := h.Secrets.Outstanding(ctx, h.portal.ID, onetime.Password, subject)
	if err != nil {
		return onetime.Secret{}, err
	}
	return h.Secrets.Secret(ctx, h.portal.ID, onetime.Password, subject, issued.Generation)
}
