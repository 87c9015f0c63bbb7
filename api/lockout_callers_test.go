package api_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/password"
)

// slowHash is of a password that nobody types, and as slow as one may be: there is time to do something meanwhile.
var slowHash = sync.OnceValue(func() string { return foreignHash("nobody types this", 16) })

// busy keeps a pool's only slot taken until the function that it gives has returned.
func busy(t testing.TB, pool *password.Pool) (wait func()) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := pool.Verify(context.Background(), goodPassword, slowHash())
		done <- err
	}()
	require.Eventually(t, func() bool { return pool.Stats().Running == 1 }, 5*time.Second, time.Millisecond)
	return func() { require.NoError(t, <-done) }
}

// hangUp sends a request over a real connection and hangs up once it is time.
func (h *harness) hangUp(t testing.TB, target string, body []byte, isTime func() bool) {
	t.Helper()
	listening := httptest.NewServer(h.server)
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

// A caller who is gone before his hash starts is not counted; after that he is, though he hangs up.
func TestCallersWhoHangUp(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		pool := password.NewPool(1, 30*time.Second, password.Cheapest)
		h := newHarness(t, db, func(o *options) { o.App.Passwords = pool })
		p := h.portal(t)
		ada := h.account(t, p)
		body := encoded(t, ada.credentials(object{"password": wrongPassword}))

		wait := busy(t, pool)
		h.hangUp(t, p.front+"/login", body, func() bool { return pool.Stats().Waiting == 1 })
		require.Eventually(t, func() bool { return pool.Stats().Waiting == 0 }, 5*time.Second, time.Millisecond)
		wait()
		h.lockoutStatus(t, p, ada.email).is("failed_attempts", 0)
		require.Equal(t, "0", h.sql(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'login'"))

		h.setHash(t, ada, slowHash())
		for n := 1; n <= 2; n++ {
			h.hangUp(t, p.front+"/login", body, func() bool { return pool.Stats().Running == 1 })
			require.Eventually(t, func() bool {
				failed, _ := h.lockoutStatus(t, p, ada.email).at("failed_attempts")
				return failed == float64(n)
			}, 5*time.Second, 10*time.Millisecond)
		}
		require.Eventually(t, func() bool {
			return h.sql(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'login' AND code = 'incorrect_credentials'") == "2"
		}, 5*time.Second, 10*time.Millisecond)
	})
}

// A 503 decides nothing and counts nothing, whoever is asked for.
func TestAFullQueueCountsNothing(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		ada := h.account(t, p)
		in := h.logIn(t, ada)
		pool := password.NewPool(1, time.Millisecond, password.Cheapest)
		full := h.calling(h.another(t, db, func(o *options) { o.App.Passwords = pool }))
		before := h.counts(t)
		wait := busy(t, pool)
		for _, email := range []string{ada.email, "nobody@example.com"} {
			for range 2 {
				full.wrong(t, p, email).problem(http.StatusServiceUnavailable, "overloaded")
			}
			full.lockoutStatus(t, p, email).is("failed_attempts", 0)
		}
		full.changePassword(t, p, in, wrongPassword, newPassword).problem(http.StatusServiceUnavailable, "overloaded")
		require.Equal(t, before, h.counts(t))
		wait()
		full.wrong(t, p, ada.email).is("attempts_remaining", 4)
	})
}
