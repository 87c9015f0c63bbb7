package database

import (
	"context"
	"time"
)

// detachedTime is how long what must be decided may take where the caller set no deadline.
const detachedTime = 3 * time.Second

// Detached is ctx without its caller's leaving: what is decided once a hash was computed is decided though the caller
// hangs up. The deadline stays.
func Detached(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(detachedTime)
	}
	return context.WithDeadline(context.WithoutCancel(ctx), deadline)
}
