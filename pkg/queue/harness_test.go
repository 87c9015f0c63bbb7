package queue_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/queue"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

// patience bounds what a test waits for.
const patience = 20 * time.Second

// started is a queue that works until the test ends; register adds its workers and tasks.
func started(t *testing.T, db *database.DB, log *syncBuffer, register func(*queue.Queue)) *queue.Queue {
	t.Helper()
	q, err := queue.New(db, slog.New(slog.NewTextHandler(log, nil)))
	require.NoError(t, err)
	register(q)
	require.NoError(t, q.Start(context.Background()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, q.Stop(ctx))
	})
	return q
}

// syncBuffer is a log that many write.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
