package queue_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/queue"
)

// note is a job of the tests.
type note struct {
	Text string `json:"text"`
}

func (note) Kind() string { return "note" }

// A job runs if its transaction commits, and again for as long as its worker says; waking it ends its pause.
func TestJobs(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		ctx := context.Background()
		var runs, undone atomic.Int32
		q := started(t, db, new(syncBuffer), func(q *queue.Queue) {
			queue.Register(q, 0, func(_ context.Context, job note) time.Duration {
				if job.Text == "undone" {
					undone.Add(1)
				}
				if runs.Add(1) < 3 {
					return time.Hour
				}
				return 0
			})
		})
		refused := errors.New("refused")
		require.ErrorIs(t, db.InTx(ctx, func(ctx context.Context) error {
			require.NoError(t, q.Insert(ctx, queue.Turn{}, note{"undone"}))
			return refused
		}), refused)
		require.Error(t, q.Insert(ctx, queue.Turn{}, note{"undone"}), "outside a transaction")
		require.NoError(t, db.InTx(ctx, func(ctx context.Context) error { return q.Insert(ctx, queue.Turn{}, note{"kept"}) }))

		for want, wake := range []func(context.Context, string) error{q.WakeOne, q.WakeAll} {
			require.Eventually(t, func() bool {
				require.NoError(t, wake(ctx, "another kind"))
				return runs.Load() == int32(want+1) && scheduled(t, db) == 1
			}, patience, 10*time.Millisecond)
			require.NoError(t, wake(ctx, "note"))
		}
		require.Eventually(t, func() bool { return runs.Load() == 3 }, patience, 10*time.Millisecond)
		require.Zero(t, undone.Load())
	})
}

// scheduled counts the jobs that wait for their next run.
func scheduled(t *testing.T, db *database.DB) (n int) {
	t.Helper()
	require.NoError(t, db.From(context.Background()).Raw(`SELECT COUNT(*) FROM river_job WHERE kind = 'note' AND state = 'scheduled'`).
		Row().Scan(&n))
	return n
}

// A companion runs while the queue does.
func TestCompanions(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		var running atomic.Bool
		q := started(t, db, new(syncBuffer), func(q *queue.Queue) {
			q.While(func(ctx context.Context) {
				running.Store(true)
				<-ctx.Done()
				running.Store(false)
			})
		})
		require.Eventually(t, running.Load, patience, 10*time.Millisecond)
		require.NoError(t, q.Stop(context.Background()))
		require.False(t, running.Load())
	})
}
