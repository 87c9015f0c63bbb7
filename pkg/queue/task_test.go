package queue_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/queue"
)

// A task runs on one instance at a time, again and again, though it fails.
func TestTasksRunOnOneInstanceAtATime(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		var log syncBuffer
		var runs, running, most atomic.Int32
		task := queue.Task{Name: "sweep", Every: 500 * time.Millisecond, Run: func(ctx context.Context) error {
			now := running.Add(1)
			defer running.Add(-1)
			for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
			}
			runs.Add(1)
			time.Sleep(300 * time.Millisecond)
			return errors.New("not all at once")
		}}
		for range 2 {
			started(t, db, &log, func(q *queue.Queue) { q.Periodically(task) })
		}
		require.Eventually(t, func() bool { return runs.Load() >= 3 }, patience, 20*time.Millisecond)
		require.Equal(t, int32(1), most.Load())
		require.Contains(t, log.String(), "not all at once")
	})
}

func TestAWarningIsLoggedOnceAMinute(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(queue.NewSampledHandler(slog.NewTextHandler(&out, nil)))
	for range 100 {
		log.Info("chatter")
		log.With("a", 1).WithGroup("g").Warn("the database is away", "b", 2)
	}
	log.Error("something else")
	require.Equal(t, 2, strings.Count(out.String(), "\n"), out.String())
	require.Contains(t, out.String(), "something else")
}

// TestStartAndStopTwice holds that a queue starts once and may be told to stop more than once.
func TestStartAndStopTwice(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		s, err := queue.New(db, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		require.NoError(t, s.Start(context.Background()))
		require.Error(t, s.Start(context.Background()), "twice")
		require.NoError(t, s.Stop(context.Background()))
		require.NoError(t, s.Stop(context.Background()))
	})
}

// BenchmarkStart is the queue's part of a start: a deploy waits for it.
func BenchmarkStart(b *testing.B) {
	db := databasetest.Open(b, database.Postgres)
	for b.Loop() {
		s, err := queue.New(db, slog.New(slog.DiscardHandler))
		require.NoError(b, err)
		require.NoError(b, s.Start(context.Background()))
		b.StopTimer()
		require.NoError(b, s.Stop(context.Background()))
		b.StartTimer()
	}
}
