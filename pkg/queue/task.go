package queue

import (
	"context"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// taskPriority lets every job that a person waits for go before tasks.
const taskPriority = river.PriorityDefault + int(Bulk) + 1

// Task runs periodically, on one instance at a time: soon after an instance starts, and then every Every.
type Task struct {
	Name  string // unique
	Every time.Duration
	// Run has JobTimeout. An error is logged, and Run is called again after Every.
	Run func(ctx context.Context) error
}

// Periodically registers tasks.
func (q *Queue) Periodically(tasks ...Task) { q.tasks = append(q.tasks, tasks...) }

// taskArgs are what a task's job holds.
type taskArgs struct {
	Name string `json:"name" river:"unique"`
}

// Kind names the kind of job in the queue's table.
func (taskArgs) Kind() string { return "task" }

// taskWorker runs tasks.
type taskWorker struct {
	river.WorkerDefaults[taskArgs]

	queue *Queue
}

// Work runs a task. It skips one that only another version of the program knows.
func (w *taskWorker) Work(ctx context.Context, job *river.Job[taskArgs]) error {
	w.queue.running.Add(1)
	defer w.queue.running.Add(-1)
	for _, t := range w.queue.tasks {
		if t.Name == job.Args.Name {
			return t.Run(ctx)
		}
	}
	return nil
}

// periodic schedules tasks. River's leader inserts their jobs. A task is inserted only when its last job has ended.
func periodic(tasks []Task) []*river.PeriodicJob {
	var jobs []*river.PeriodicJob
	for _, t := range tasks {
		insert := func() (river.JobArgs, *river.InsertOpts) {
			return taskArgs{t.Name}, &river.InsertOpts{
				MaxAttempts: 1,
				Priority:    taskPriority,
				UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
					rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
					rivertype.JobStateRunning, rivertype.JobStateScheduled,
				}},
			}
		}
		jobs = append(jobs, river.NewPeriodicJob(river.PeriodicInterval(t.Every), insert,
			&river.PeriodicJobOpts{RunOnStart: true}))
	}
	return jobs
}
