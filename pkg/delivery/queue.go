package delivery

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

	"github.com/latchkey-auth/latchkey/pkg/database"
)

const (
	// workers is how many messages an instance sends at once, so that one that hangs holds up no other.
	workers = 10
	// jobTimeout is how long a job may run; noteTime fits between it and rescueAfter.
	jobTimeout = 27 * time.Second
	// rescueAfter is after how long a job counts as left behind by a killed process, and is run again.
	rescueAfter = 30 * time.Second
	// jobAttempts is how often a job may fail or be left behind by a killed process. Refusals do not count: the message
	// itself says when they are enough.
	jobAttempts = 10_000
	// workerConns is the size of the pool that workers have on Postgres. One connection listens for new jobs.
	workerConns = 4
)

// queue is River's: it inserts jobs always, and works on them while it is started.
type queue struct {
	db       *database.DB
	service  *Service
	inserter *river.Client[*sql.Tx]

	running atomic.Int64 // how many jobs are being worked on

	mu     sync.Mutex
	worker worker // nil while not started
	pool   *pgxpool.Pool
	ended  func() // ends the probing and waits for it
}

// worker is a River client: its type says which driver it has.
type worker interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	StopAndCancel(ctx context.Context) error
}

func newQueue(db *database.DB, s *Service) (*queue, error) {
	q := &queue{db: db, service: s}
	var err error
	if db.Dialect() == database.Postgres {
		q.inserter, err = river.NewClient(riverdatabasesql.New(nil), q.config())
	} else {
		q.inserter, err = river.NewClient(riversqlite.New(nil), q.config())
	}
	return q, err
}

// config is what clients that insert and clients that work share: notifications of new jobs are held back for
// FetchCooldown.
func (q *queue) config() *river.Config {
	return &river.Config{
		FetchCooldown: 2 * time.Millisecond, FetchPollInterval: 200 * time.Millisecond,
		JobTimeout: jobTimeout, RescueStuckJobsAfter: rescueAfter, MaxAttempts: jobAttempts,
		CompletedJobRetentionPeriod: 10 * time.Minute,
		ReindexerSchedule:           river.NeverSchedule(), // autovacuum does
		RetryPolicy:                 retrySoon{},
		Logger:                      slog.New(newQuietHandler(q.service.Log.Handler())),
	}
}

// insert adds the jobs of messages in a transaction.
func (q *queue) insert(ctx context.Context, tx *sql.Tx, jobs []jobArgs) error {
	if len(jobs) == 1 {
		_, err := q.inserter.InsertTx(ctx, tx, jobs[0], nil)
		return database.Err(err)
	}
	many := make([]river.InsertManyParams, len(jobs))
	for i, args := range jobs {
		many[i].Args = args
	}
	_, err := q.inserter.InsertManyFastTx(ctx, tx, many)
	return database.Err(err)
}

// Start begins to send. Messages that are queued stay so while no instance is started.
func (s *Service) Start(ctx context.Context) error {
	if err := s.queue.start(ctx); err != nil {
		return fmt.Errorf("delivery: start: %w", err)
	}
	return nil
}

// Stop ends the sending: what is being sent is waited for until ctx ends, and then broken off, to be sent again.
func (s *Service) Stop(ctx context.Context) error {
	err := s.queue.stop(ctx)
	if closer, ok := s.Sender.(interface{ Close() error }); ok {
		err = errors.Join(err, closer.Close())
	}
	return err
}

func (q *queue) start(ctx context.Context) (err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.worker != nil {
		return errors.New("it is started already")
	}
	config := q.config()
	config.Queues = map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}}
	config.Workers = river.NewWorkers()
	river.AddWorker(config.Workers, &jobWorker{service: q.service})
	river.AddWorker(config.Workers, newTaskWorker(q.service.Tasks, &q.running))
	config.PeriodicJobs = periodic(q.service.Tasks)

	ctx = context.WithoutCancel(ctx) // River would take the end of ctx for a hard stop
	if q.db.Dialect() == database.Postgres {
		if q.pool, err = q.db.PgxPool(ctx, workerConns); err != nil {
			return err
		}
		q.worker, err = river.NewClient(riverpgxv5.New(q.pool), config)
	} else {
		q.worker, err = river.NewClient(riversqlite.New(q.db.SQL()), config)
	}
	if err == nil {
		err = q.worker.Start(ctx)
	}
	if err != nil {
		q.close()
		return database.Err(err)
	}
	q.ended = q.probe(ctx)
	return nil
}

// breakOffTime is how long jobs that are broken off may take to end.
const breakOffTime = 5 * time.Second

func (q *queue) stop(ctx context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.worker == nil {
		return nil
	}
	q.ended()
	err := q.stopped(ctx)
	if err != nil {
		breaking, cancel := context.WithTimeout(context.WithoutCancel(ctx), breakOffTime)
		defer cancel()
		err = q.worker.StopAndCancel(breaking)
	}
	q.close()
	return err
}

// settled is after how long without a job a queue that was told to stop has done so: long for what River does after its
// last one, and short for whoever waits.
const (
	settled      = 3 * time.Second
	settledTicks = 30
)

// stopped waits for River to stop. When it becomes leader as it is told to, River 0.31 waits for itself for ever: its
// elector tells a listener that is gone, under the lock that the listener needs to leave. It takes no job any more by
// then, and once those that it had have ended nothing is lost by not waiting.
func (q *queue) stopped(ctx context.Context) error {
	done, worker := make(chan error, 1), q.worker
	go func() { done <- worker.Stop(ctx) }()
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

func (q *queue) close() {
	q.worker = nil
	if q.pool != nil {
		q.pool.Close()
		q.pool = nil
	}
}

// probe tries a waiting message from time to time while an outage is suspected, so that its end is found soon
// however long the pauses have grown.
func (q *queue) probe(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(q.service.ProbeEvery)
		defer tick.Stop()
		for nth := 1; ; nth++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			// A database that is away says so elsewhere, and the next tick comes.
			switch {
			case q.service.outage.suspected(nth):
				_ = q.service.repo.wake(ctx, oneJob)
			case q.service.outage.stragglers():
				_ = q.service.repo.wake(ctx, allJobs)
			}
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}
