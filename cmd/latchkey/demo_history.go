package main

import (
	"context"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/app"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// history is an app whose clock can be set back, to make rows in a portal that look older than the start. It is not
// started: another app sends its messages.
type history struct {
	*app.App

	portal *portal.Portal
	now    time.Time
}

func newHistory(ctx context.Context, p *portal.Portal, options app.Options) (*history, error) {
	h := &history{portal: p, now: time.Now()}
	options.Now = func() time.Time { return h.now }
	var err error
	h.App, err = app.New(ctx, options)
	return h, err
}
