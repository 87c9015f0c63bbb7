package queue

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// stuck is a River that never says that it has stopped.
type stuck struct{}

func (stuck) Start(context.Context) error { return nil }

func (stuck) Stop(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func (s stuck) StopAndCancel(ctx context.Context) error { return s.Stop(ctx) }

// A River that waits for itself is not waited for, once its last job has ended.
func TestAQueueThatDoesNotSayThatItStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		q := &Queue{client: stuck{}, end: func() {}}
		q.running.Add(1)
		begun := time.Now()
		time.AfterFunc(10*time.Second, func() { q.running.Add(-1) })
		require.NoError(t, q.Stop(ctx))
		require.InDelta(t, (10*time.Second + settled).Seconds(), time.Since(begun).Seconds(), 0.2)
	})
}

// Stop waits for a job that does not end until its context ends, and then breaks the job off.
func TestAJobThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		q := &Queue{client: stuck{}, end: func() {}}
		q.running.Add(1)
		begun := time.Now()
		require.ErrorIs(t, q.Stop(ctx), context.DeadlineExceeded)
		require.Equal(t, time.Minute+breakOffTime, time.Since(begun))
	})
}
