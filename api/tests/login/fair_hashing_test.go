package login_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/password"
)

// One person with 120 connections fills the hashing queue of their portal. At another portal people log in as usual.
func TestOnePortalsLoginsKeepNoOtherWaiting(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		// 120 of these hashes take longer than a caller waits.
		pool := password.NewPool(1, 2*time.Second, password.Params{MemoryKiB: 8 << 10, Iterations: 6, Parallelism: 1})
		h := apitest.New(t, db, apitest.HashingIn(pool))
		busy, quiet := h.Account(t, h.Portal(t)), h.Account(t, h.Portal(t, apitest.Object{"slug": "quiet"}))
		var requests []*http.Request
		for range 120 {
			requests = append(requests, h.Request(t, "POST", busy.Portal.Front+"/login",
				apitest.Encode(t, busy.Credentials())))
		}
		var flood sync.WaitGroup
		flood.Go(func() { h.SendTogether(t, requests) })
		require.Eventually(t, func() bool { return pool.Stats().Waiting > 60 }, time.Minute, time.Millisecond)
		h.LogIn(t, quiet) // 503 if it came after all of those
		flood.Wait()
	})
}
