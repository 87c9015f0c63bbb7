// Package queue runs jobs in the background, on River. A job is inserted in the transaction of the change that causes it,
// and any started instance works on it. The package does not know the purpose of a job: other packages register a worker
// for each kind of job, and periodic tasks, before Start.
package queue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivertype"

	"github.com/latchkey-auth/latchkey/pkg/database"
)

const (
	// concurrentJobs is how many jobs an instance works on at once, bulk jobs not counted. Most of them wait for a mail
	// relay, so that there can be many.
	concurrentJobs = 24
	// bulkJobs is how many bulk jobs an instance works on at once.
	bulkJobs = 5
	// bulkPoll is how often bulk jobs are looked for where no notification says that there are any.
	bulkPoll = time.Second
	// JobTimeout is how long a task may run before its context ends. It has a few seconds more to note its outcome.
	JobTimeout = 27 * time.Second
	// rescueAfter is after how long a job counts as left behind by a killed process, and is run again.
	rescueAfter = 30 * time.Second
	// maxAttempts is how often a job may panic or be left behind by a killed process.
	maxAttempts = 10_000
	// workerConns bounds the connections that workers have on Postgres. One of them listens for new jobs.
	workerConns = 4
)

// Queue inserts jobs always, and works on them while it is started. It is safe for concurrent use once Start is called.
type Queue struct {
	db       *database.DB
	log      *slog.Logger // sampled
	inserter *river.Client[*sql.Tx]
	turns    turns

	workers    *river.Workers
	tasks      []Task
	companions []func(context.Context)

	running atomic.Int64 // how many jobs are being worked on

	mu     sync.Mutex
	client client // nil while not started
	pool   *pgxpool.Pool
	end    func() // ends the companions and waits for them
}

// client is a River client that works; its type says which driver it has.
type client interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	StopAndCancel(ctx context.Context) error
}

// New makes a queue that inserts jobs. Start makes it work on jobs, too.
func New(db *database.DB, log *slog.Logger) (*Queue, error) {
	q := &Queue{db: db, log: slog.New(newSampledHandler(log.Handler())), workers: river.NewWorkers()}
	river.AddWorker(q.workers, &taskWorker{queue: q})
	var err error
	if db.Dialect() == database.Postgres {
		q.inserter, err = river.NewClient(riverdatabasesql.New(nil), q.config())
	} else {
		q.inserter, err = river.NewClient(riversqlite.New(nil), q.config())
	}
	return q, err
}

// config is shared by the clients that insert and that work: notifications of new jobs are held back for FetchCooldown.
func (q *Queue) config() *river.Config {
	return &river.Config{
		FetchCooldown: 2 * time.Millisecond, FetchPollInterval: 200 * time.Millisecond,
		JobTimeout: JobTimeout, RescueStuckJobsAfter: rescueAfter, MaxAttempts: maxAttempts,
		CompletedJobRetentionPeriod: 10 * time.Minute,
		ReindexerSchedule:           river.NeverSchedule(), // autovacuum does
		RetryPolicy:                 retrySoon{},
		Hooks:                       []rivertype.Hook{river.HookInsertBeginFunc(makeReady)},
		Logger:                      q.log,
	}
}

// While calls run at Start. Stop ends the context of run and waits for it.
func (q *Queue) While(run func(context.Context)) { q.companions = append(q.companions, run) }

// Start begins to work on jobs. Jobs stay queued while no instance is started.
func (q *Queue) Start(ctx context.Context) error {
	if err := q.start(ctx); err != nil {
		return fmt.Errorf("queue: start: %w", err)
	}
	return nil
}

func (q *Queue) start(ctx context.Context) (err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.client != nil {
		return errors.New("it is started already")
	}
	config := q.config()
	config.Queues = map[string]river.QueueConfig{
		river.QueueDefault: {MaxWorkers: concurrentJobs}, bulkQueue: {MaxWorkers: bulkJobs, FetchPollInterval: bulkPoll},
	}
	config.Workers, config.PeriodicJobs = q.workers, periodic(q.tasks)

	ctx = context.WithoutCancel(ctx) // River would take the end of ctx for a hard stop
	if q.db.Dialect() == database.Postgres {
		if q.pool, err = q.db.PgxPool(ctx, workerConns); err != nil {
			return err
		}
		config.PollOnly = q.db.Pooled() // a pooler does not pass notifications on
		q.client, err = river.NewClient(riverpgxv5.New(q.pool), config)
	} else {
		q.client, err = river.NewClient(riversqlite.New(q.db.SQL()), config)
	}
	if err == nil {
		err = q.client.Start(ctx)
	}
	if err != nil {
		q.close()
		return database.Err(err)
	}
	q.end = q.accompany(ctx)
	return nil
}

// accompany starts the companions.
func (q *Queue) accompany(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, run := range q.companions {
		running.Go(func() { run(ctx) })
	}
	return func() {
		cancel()
		running.Wait()
	}
}

func (q *Queue) close() {
	q.client = nil
	if q.pool != nil {
		q.pool.Close()
		q.pool = nil
	}
}
