package api

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

func newPortal() ids.Portal { return ids.Portal{UUID: uuid.Must(uuid.NewV7())} }

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestAPortalSendsOneFileAtATime(t *testing.T) {
	t.Parallel()
	u, acme := newUploads(), newPortal()
	release, err := u.admit(t.Context(), acme, 10)
	require.NoError(t, err)
	_, err = u.admit(soon(t), acme, 10)
	require.Equal(t, fault.Unavailable, fault.CodeOf(err))
	other, err := u.admit(soon(t), newPortal(), 10)
	require.NoError(t, err)
	other()

	waited := make(chan error, 1)
	go func() {
		again, err := u.admit(t.Context(), acme, 10)
		if err == nil {
			again()
		}
		waited <- err
	}()
	release()
	release() // does nothing more
	require.NoError(t, <-waited)
	require.EqualValues(t, uploadBudget, u.left)
	require.Empty(t, u.portals)
}

func TestUploadsStayWithinTheirBudget(t *testing.T) {
	t.Parallel()
	u := newUploads()
	var held, most atomic.Int64
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			release, err := u.admit(t.Context(), newPortal(), maxUpload)
			if err != nil {
				t.Error(err)
				return
			}
			now := held.Add(maxUpload)
			for before := most.Load(); now > before && !most.CompareAndSwap(before, now); before = most.Load() {
			}
			time.Sleep(time.Millisecond)
			held.Add(-maxUpload)
			release()
		})
	}
	all.Wait()
	require.LessOrEqual(t, most.Load(), int64(uploadBudget))
	require.EqualValues(t, uploadBudget, u.left)
}
