package login_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/password"
)

// Nothing waits for a connection while it hashes, so two connections serve 64 logins at once.
func TestManyLoginsOnTwoConnections(t *testing.T) {
	t.Parallel()
	for _, d := range databasetest.Dialects() {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			db, err := database.Open(context.Background(), database.Options{URL: databasetest.URL(t, d), MaxConns: 2})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, db.Close()) })
			h := apitest.New(t, db, apitest.HashingIn(password.NewPool(2, 30*time.Second, password.Params{MemoryKiB: 1024, Iterations: 1, Parallelism: 1})))
			ada := h.Account(t, h.Portal(t))
			var requests []*http.Request
			for range 64 {
				requests = append(requests, h.Request(t, "POST", ada.Portal.Front+"/login", apitest.Encode(t, ada.Credentials())))
			}
			for i, a := range h.SendTogether(t, requests) {
				a.Status(http.StatusOK)
				h.NoteAnswered(a)
				apitest.OpenAPI().Check(t, apitest.Exchange{Request: requests[i], Sent: apitest.Encode(t, ada.Credentials()), Answer: a})
			}
			require.Equal(t, "64", h.QueryValue(t, "SELECT COUNT(*) FROM sessions"))
		})
	}
}

// A caller who leaves before their hash begins decides nothing, and nothing is recorded.
func TestCallerLeavesBeforeHashing(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		ada := h.Account(t, h.Portal(t))
		before := h.RowCounts(t)
		left, leave := context.WithCancel(context.Background())
		leave()
		for _, secret := range []string{ada.Password, "not the right one"} {
			h.Post(t, ada.Portal.Front+"/login", ada.Credentials(apitest.Object{"password": secret}), apitest.InContext(left)).
				Problem(http.StatusServiceUnavailable, "unavailable")
		}
		require.Equal(t, before, h.RowCounts(t))
		h.LogIn(t, ada)
	})
}

// A login that finds no free slot in time decides nothing: it answers 503, and no outcome is recorded.
func TestFullHashQueue(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		ada := h.Account(t, h.Portal(t))
		pool := password.NewPool(1, time.Millisecond, password.Cheapest)
		full := h.Calling(h.NewServer(t, db, apitest.HashingIn(pool)))
		for _, email := range []string{ada.Email, "nobody@example.com"} {
			requireOverloaded(t, full, pool, func(int) *apitest.Answer {
				return full.Post(t, ada.Portal.Front+"/login", ada.Credentials(apitest.Object{"email": email}))
			})
		}
		requireOverloaded(t, full, pool, func(try int) *apitest.Answer {
			bob := apitest.Object{"email": fmt.Sprintf("bob-%d@example.com", try), "password": apitest.GoodPassword}
			return full.Post(t, ada.Portal.Admin+"/accounts", bob, apitest.AsOperator)
		})
		full.LogIn(t, ada)
	})
}

// requireOverloaded makes a call while the pool's only slot is taken. On a loaded machine the hash that takes the slot may
// end before the call does. Then its answer proves nothing, and the call is made again.
func requireOverloaded(t *testing.T, h *apitest.Harness, pool *password.Pool, call func(try int) *apitest.Answer) {
	t.Helper()
	for try := range 20 {
		events := h.CountRows(t, "audit_events")
		wait := apitest.OccupyHashing(t, pool)
		a := call(try)
		stillTaken := pool.Stats().Running == 1
		wait()
		if stillTaken {
			a.Problem(http.StatusServiceUnavailable, "overloaded").Remedies("retry").HasHeader("Retry-After", "1")
			require.Equal(t, events, h.CountRows(t, "audit_events"))
			return
		}
	}
	require.FailNow(t, "no call was answered while the slot was taken")
}
