package queue_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/queue"
)

func insert(t *testing.T, db *database.DB, q *queue.Queue, turn queue.Turn, jobs ...queue.Job) {
	t.Helper()
	require.NoError(t, db.InTx(context.Background(), func(ctx context.Context) error {
		return q.Insert(ctx, turn, jobs...)
	}))
}

// Jobs start at once, whatever their urgency: none waits for River's scheduler, which runs every 5 s.
func TestJobsStartAtOnce(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		started := make(chan string, 10)
		var log syncBuffer
		q := startedQueue(t, db, &log, started)
		for _, urgency := range []queue.Urgency{queue.Waiting, queue.Single, queue.Bulk} {
			best := time.Hour
			for range 3 {
				begun := time.Now()
				insert(t, db, q, queue.Turn{Urgency: urgency, Owner: "acme"}, note{"now"})
				<-started
				best = min(best, time.Since(begun))
			}
			require.Less(t, best, 3*time.Second, "urgency %d", urgency)
		}
	})
}

func startedQueue(t *testing.T, db *database.DB, log *syncBuffer, got chan<- string) *queue.Queue {
	t.Helper()
	return started(t, db, log, func(q *queue.Queue) {
		queue.Register(q, 0, func(_ context.Context, job note) time.Duration {
			got <- job.Text
			return 0
		})
	})
}

// What waited while no instance ran is taken in the order of urgency, and owners take turns.
func TestTheOrderOfJobs(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		var log syncBuffer
		idle, err := queue.New(db, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		var many []queue.Job
		for i := range 200 {
			many = append(many, note{fmt.Sprint("flood ", i)})
		}
		insert(t, db, idle, queue.Turn{Urgency: queue.Single, Owner: "flood"}, many...)
		insert(t, db, idle, queue.Turn{Urgency: queue.Single, Owner: "acme"}, note{"single"})
		insert(t, db, idle, queue.Turn{Urgency: queue.Waiting, Owner: "flood"}, note{"waiting"})
		insert(t, db, idle, queue.Turn{Urgency: queue.Bulk, Owner: "acme"}, note{"bulk"})

		var mu sync.Mutex
		var order []string
		started(t, db, &log, func(q *queue.Queue) {
			queue.Register(q, 0, func(_ context.Context, job note) time.Duration {
				time.Sleep(20 * time.Millisecond)
				mu.Lock()
				defer mu.Unlock()
				order = append(order, job.Text)
				return 0
			})
		})
		require.Eventually(t, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(order) == 203
		}, patience, 10*time.Millisecond)
		place := make(map[string]int)
		for i, text := range order {
			place[text] = i
		}
		require.Less(t, place["waiting"], 60)
		require.Less(t, place["single"], 60)
		require.Less(t, place["bulk"], 150, "bulk jobs have workers of their own")
	})
}
