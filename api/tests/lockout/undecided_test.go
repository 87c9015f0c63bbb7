package lockout_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/password"
)

// hangUp sends a request over a real connection and hangs up once it is time.
func hangUp(t testing.TB, h *apitest.Harness, target string, body []byte, isTime func() bool) {
	t.Helper()
	listening := httptest.NewServer(h.Handler())
	defer listening.Close()
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, listening.URL+target, bytes.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	gone := make(chan error, 1)
	go func() {
		response, err := http.DefaultClient.Do(r)
		if err == nil {
			err = response.Body.Close()
		}
		gone <- err
	}()
	require.Eventually(t, isTime, 5*time.Second, time.Millisecond)
	leave()
	require.ErrorIs(t, <-gone, context.Canceled)
}

// A caller who leaves before their hash starts is not counted; a caller who hangs up later is.
func TestFailuresOfCallersWhoHangUp(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		pool := password.NewPool(1, 30*time.Second, password.Cheapest)
		h := apitest.New(t, db, apitest.HashingIn(pool))
		p := h.Portal(t)
		ada := h.Account(t, p)
		body := apitest.Encode(t, ada.Credentials(apitest.Object{"password": apitest.WrongPassword}))

		wait := apitest.OccupyHashing(t, pool)
		hangUp(t, h, p.Front+"/login", body, func() bool { return pool.Stats().Waiting == 1 })
		require.Eventually(t, func() bool { return pool.Stats().Waiting == 0 }, 5*time.Second, time.Millisecond)
		wait()
		h.LockoutStatus(t, p, ada.Email).Is("failed_attempts", 0)
		require.Equal(t, "0", h.QueryValue(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'login'"))

		h.SetPasswordHash(t, ada, apitest.SlowHash())
		for n := 1; n <= 2; n++ {
			hangUp(t, h, p.Front+"/login", body, func() bool { return pool.Stats().Running == 1 })
			require.Eventually(t, func() bool {
				failed, _ := h.LockoutStatus(t, p, ada.Email).At("failed_attempts")
				return failed == float64(n)
			}, 5*time.Second, 10*time.Millisecond)
		}
		require.Eventually(t, func() bool {
			return h.QueryValue(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'login' AND code = 'incorrect_credentials'") == "2"
		}, 5*time.Second, 10*time.Millisecond)
	})
}

// A 503 decides nothing and counts nothing, with or without an account.
func TestFullHashQueueCountsNothing(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		ada := h.Account(t, p)
		in := h.LogIn(t, ada)
		pool := password.NewPool(1, time.Millisecond, password.Cheapest)
		full := h.Calling(h.NewServer(t, db, apitest.HashingIn(pool)))
		before := h.RowCounts(t)
		wait := apitest.OccupyHashing(t, pool)
		for _, email := range []string{ada.Email, "nobody@example.com"} {
			for range 2 {
				full.LogInWrong(t, p, email).Problem(http.StatusServiceUnavailable, "overloaded")
			}
			full.LockoutStatus(t, p, email).Is("failed_attempts", 0)
		}
		full.ChangePassword(t, p, in, apitest.WrongPassword, apitest.OtherPassword).Problem(http.StatusServiceUnavailable, "overloaded")
		require.Equal(t, before, h.RowCounts(t))
		wait()
		full.LogInWrong(t, p, ada.Email).Is("attempts_remaining", 4)
	})
}
