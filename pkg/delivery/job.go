package delivery

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// jobArgs are what a message's job holds.
type jobArgs struct {
	PortalID uuid.UUID `json:"portal_id"`
	ID       uuid.UUID `json:"id"`
}

// Kind names the kind of job in the queue's table.
func (jobArgs) Kind() string { return "delivery" }

// troubleRetry is after what time a message is looked at again when the database did not answer.
const troubleRetry = 3 * time.Second

// jobWorker works on the jobs of messages.
type jobWorker struct {
	river.WorkerDefaults[jobArgs]

	service *Service
}

// Work is one look at a message.
func (w *jobWorker) Work(ctx context.Context, job *river.Job[jobArgs]) error {
	w.service.queue.running.Add(1)
	defer w.service.queue.running.Add(-1)
	again, err := w.service.work(ctx, job.Args.PortalID, job.Args.ID)
	switch {
	case err != nil:
		w.service.Log.WarnContext(ctx, "a message waits: its row could not be read or written",
			slog.String("delivery", job.Args.ID.String()), slog.Any("error", err))
		return river.JobSnooze(troubleRetry)
	case again > 0:
		return river.JobSnooze(again)
	}
	return nil
}

// retrySoon runs a job again whose process was killed, or that panicked.
type retrySoon struct{}

// NextRetry is now for a job that was left behind once, and grows.
func (retrySoon) NextRetry(job *rivertype.JobRow) time.Time {
	return time.Now().Add(min(time.Duration(max(job.Attempt-1, 0))*troubleRetry, maxPause))
}
