package database

import (
	"context"
	"time"
)

// detachedTime bounds a decision where the caller set no deadline.
const detachedTime = 3 * time.Second

// Detached is ctx without its cancellation: once a hash was computed the outcome is recorded, though the caller hangs
// up. The deadline stays.
func Detached(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(detachedTime)
	}
	return context.WithDeadline(context.WithoutCancel(ctx), deadline)
}
