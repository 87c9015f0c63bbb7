package queue

import (
	"context"
	"errors"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/latchkey-auth/latchkey/pkg/database"
)

// Job is the arguments of a job, which are stored as JSON. Its Kind names the kind of job in the queue's table.
type Job = river.JobArgs

// NoLimit is the limit of jobs that may run for as long as they need.
//
// River runs a job again that ran for rescueAfter, because its process may have been killed. Such a job must notice when
// it runs twice at once.
const NoLimit = time.Duration(-1)

// Register has work called for each job of its kind. work returns the pause before the job is run again; 0 ends it. Its
// context ends after limit.
func Register[J Job](q *Queue, limit time.Duration, work func(ctx context.Context, job J) (again time.Duration)) {
	river.AddWorker(q.workers, &worker[J]{queue: q, limit: limit, work: work})
}

// worker works on the jobs of one kind.
type worker[J Job] struct {
	river.WorkerDefaults[J]

	queue *Queue
	limit time.Duration
	work  func(context.Context, J) time.Duration
}

// Timeout is when the context of a job ends.
func (w *worker[J]) Timeout(*river.Job[J]) time.Duration { return w.limit }

// Work runs a job once.
func (w *worker[J]) Work(ctx context.Context, job *river.Job[J]) error {
	w.queue.running.Add(1)
	defer w.queue.running.Add(-1)
	if again := w.work(ctx, job.Args); again > 0 {
		return river.JobSnooze(again)
	}
	return nil
}

// Insert adds jobs in the transaction of ctx: they run if it commits.
func (q *Queue) Insert(ctx context.Context, turn Turn, jobs ...Job) error {
	tx, ok := database.SQLTx(q.db.From(ctx))
	if !ok {
		return errors.New("queue: a job is inserted in a transaction")
	}
	switch len(jobs) {
	case 0:
		return nil
	case 1:
		at := q.turns.take(turn, 1, time.Now())[0]
		_, err := q.inserter.InsertTx(ctx, tx, jobs[0], turn.Urgency.options(at))
		return database.Err(err)
	}
	many := make([]river.InsertManyParams, len(jobs))
	for i, at := range q.turns.take(turn, len(jobs), time.Now()) {
		many[i] = river.InsertManyParams{Args: jobs[i], InsertOpts: turn.Urgency.options(at)}
	}
	_, err := q.inserter.InsertManyFastTx(ctx, tx, many)
	return database.Err(err)
}

const (
	retryStep = 3 * time.Second
	maxRetry  = time.Hour
)

// retrySoon is River's policy for jobs whose process was killed, or that panicked.
type retrySoon struct{}

// NextRetry is now for a job that was left behind once, and grows.
func (retrySoon) NextRetry(job *rivertype.JobRow) time.Time {
	return time.Now().Add(min(time.Duration(max(job.Attempt-1, 0))*retryStep, maxRetry))
}
