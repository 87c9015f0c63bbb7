package login_test

import (
	"context"
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

// A try that waits for a slot in vain decides nothing: it is 503, and no outcome is recorded.
func TestFullHashQueue(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		ada := h.Account(t, h.Portal(t))
		pool := password.NewPool(1, time.Millisecond, password.Cheapest)
		full := h.Calling(h.NewServer(t, db, apitest.HashingIn(pool)))

		const slow = "$pbkdf2-sha256$600000$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U"
		done := make(chan error, 1)
		go func() {
			_, err := pool.Verify(context.Background(), apitest.GoodPassword, slow)
			done <- err
		}()
		require.Eventually(t, func() bool { return pool.Stats().Running == 1 }, 5*time.Second, time.Millisecond)
		before := h.QueryValue(t, "SELECT COUNT(*) FROM audit_events")
		for _, email := range []string{ada.Email, "nobody@example.com"} {
			full.Post(t, ada.Portal.Front+"/login", ada.Credentials(apitest.Object{"email": email})).
				Problem(http.StatusServiceUnavailable, "overloaded").Remedies("retry").HasHeader("Retry-After", "1")
		}
		full.Post(t, ada.Portal.Admin+"/accounts", apitest.Object{"email": "bob@example.com", "password": apitest.GoodPassword}, apitest.AsOperator).
			Problem(http.StatusServiceUnavailable, "overloaded")
		require.Equal(t, before, h.QueryValue(t, "SELECT COUNT(*) FROM audit_events"))
		require.NoError(t, <-done)
		full.LogIn(t, ada)
	})
}
