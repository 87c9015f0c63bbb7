package queue

import (
	"context"
	"time"
)

// breakOffTime is how long cancelled jobs may take to end.
const breakOffTime = 5 * time.Second

// Stop waits for the jobs that run until ctx ends, and then cancels them. Cancelled jobs are run again by the next
// instance that is started.
func (q *Queue) Stop(ctx context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.client == nil {
		return nil
	}
	q.end()
	err := q.stopped(ctx)
	if err != nil {
		breaking, cancel := context.WithTimeout(context.WithoutCancel(ctx), breakOffTime)
		defer cancel()
		err = q.client.StopAndCancel(breaking)
	}
	q.close()
	return err
}

// settled is how long no job may run before a queue that was told to stop counts as stopped: long enough for the writes
// that River does after its last job.
const (
	settled      = 3 * time.Second
	settledTicks = 30
)

// stopped waits for River to stop. River 0.31 deadlocks when it becomes leader while it stops: its elector notifies a
// closed listener, under the lock that the listener needs to close. River takes no more jobs by then, so it is safe to
// return once the running jobs have ended.
func (q *Queue) stopped(ctx context.Context) error {
	done, client := make(chan error, 1), q.client
	go func() { done <- client.Stop(ctx) }()
	tick := time.NewTicker(settled / settledTicks)
	defer tick.Stop()
	for idle := 0; idle < settledTicks; {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			if idle++; q.running.Load() > 0 {
				idle = 0
			}
		}
	}
	return nil
}
