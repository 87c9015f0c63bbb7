package delivery

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// Task is something that runs from time to time on one of all instances: it is due Every after it was last, or soon
// after an instance starts.
type Task struct {
	Name  string // unique
	Every time.Duration
	// Run has jobTimeout, 27 s; what it leaves is done the next time. An error is logged.
	Run func(ctx context.Context) error
}

// taskArgs are what a task's job holds.
type taskArgs struct {
	Name string `json:"name" river:"unique"`
}

// Kind names the kind of job in the queue's table.
func (taskArgs) Kind() string { return "task" }

// taskWorker runs tasks.
type taskWorker struct {
	river.WorkerDefaults[taskArgs]

	tasks   map[string]Task
	running *atomic.Int64
}

func newTaskWorker(tasks []Task, running *atomic.Int64) *taskWorker {
	w := &taskWorker{tasks: make(map[string]Task), running: running}
	for _, t := range tasks {
		w.tasks[t.Name] = t
	}
	return w
}

// Work runs a task; one that only another version of the program knows is left.
func (w *taskWorker) Work(ctx context.Context, job *river.Job[taskArgs]) error {
	w.running.Add(1)
	defer w.running.Add(-1)
	if t, ok := w.tasks[job.Args.Name]; ok {
		return t.Run(ctx)
	}
	return nil
}

// periodic schedules tasks. River's leader inserts their jobs; one that has not ended yet keeps its next from starting.
func periodic(tasks []Task) []*river.PeriodicJob {
	var jobs []*river.PeriodicJob
	for _, t := range tasks {
		insert := func() (river.JobArgs, *river.InsertOpts) {
			return taskArgs{t.Name}, &river.InsertOpts{
				MaxAttempts: 1,
				Priority:    river.PriorityDefault + 1, // messages go first
				UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
					rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
					rivertype.JobStateRunning, rivertype.JobStateScheduled,
				}},
			}
		}
		jobs = append(jobs, river.NewPeriodicJob(river.PeriodicInterval(t.Every), insert, &river.PeriodicJobOpts{RunOnStart: true}))
	}
	return jobs
}
