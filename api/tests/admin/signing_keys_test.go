package admin_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

const signingKeys = "/v1/admin/signing-keys"

// kidOf is the key that an access token says it is signed with.
func kidOf(t testing.TB, access string) string {
	t.Helper()
	header, _ := apitest.DecodeToken(t, access)
	return header["kid"].(string)
}

// published are the kids of the JWKS.
func published(t testing.TB, h *apitest.Harness) []any {
	t.Helper()
	return h.Get(t, "/.well-known/jwks.json").Status(http.StatusOK).List("keys", "kid")
}

func TestRotatingSigningKeys(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{"access_token_ttl": 86400, "refresh_token_ttl": 864000})
		ada := h.Account(t, p)
		states := func(want ...string) {
			t.Helper()
			a := h.Get(t, signingKeys, apitest.AsOperator).Status(http.StatusOK).Is("next_cursor", nil)
			got := make([]string, 0, len(want))
			for _, state := range a.List("items", "status") {
				got = append(got, state.(string))
			}
			require.Equal(t, want, got)
			listed := a.List("items", "id")
			require.ElementsMatch(t, listed, published(t, h), "what is listed is published")
			require.NotContains(t, string(a.Body), "private")
		}
		states("active")
		first := h.LogIn(t, ada)
		require.Equal(t, []any{kidOf(t, first.Access)}, published(t, h))

		h.Clock.Advance(time.Minute)
		made := h.Post(t, signingKeys, nil, apitest.AsOperator).Status(http.StatusCreated).Is("algorithm", "ES256").Is("status", "pending").
			Is("created_at", h.TimeAfter(0)).Is("active_at", h.TimeAfter(15*time.Minute))
		kid := made.Text("id")
		require.NotEqual(t, kid, kidOf(t, first.Access))
		states("pending", "active")
		h.Clock.Advance(15*time.Minute - time.Millisecond)
		states("pending", "active")
		require.Equal(t, kidOf(t, first.Access), kidOf(t, h.LogIn(t, ada).Access), "every verifier has time to read it")

		h.Clock.Advance(time.Millisecond)
		states("active", "retired")
		second := h.LogIn(t, ada)
		require.Equal(t, kid, kidOf(t, second.Access))
		refreshed := h.MustRefresh(t, p, first.Refresh)
		require.Equal(t, kid, kidOf(t, refreshed.Access))
		for _, access := range []string{first.Access, second.Access, refreshed.Access} {
			h.RequireAccess(t, p, access, true)
		}

		h.Clock.Advance(24*time.Hour - 961*time.Second)
		h.RequireAccess(t, p, first.Access, true) // its last second
		h.Clock.Advance(2 * time.Hour)
		states("active")
		require.Equal(t, []any{kid}, published(t, h))
		h.RequireAccess(t, p, first.Access, false)
		h.RequireAccess(t, p, h.LogIn(t, ada).Access, true)

		for range 2 {
			h.Post(t, signingKeys, apitest.Object{}, apitest.AsOperator).Status(http.StatusCreated)
		}
		states("pending", "pending", "active")
		h.Clock.Advance(16 * time.Minute)
		states("active", "retired", "retired")
		require.Equal(t, "3", h.QueryValue(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'signing_key.rotated' AND actor = 'operator'"))
	})
}

// A key that has grown old is replaced without anybody's doing, and once, though two instances think of it.
func TestOldSigningKeyIsReplaced(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		other := h.Calling(h.NewServer(t, db))
		ada := h.Account(t, h.Portal(t))
		old := h.LogIn(t, ada)
		h.Clock.Advance(90*24*time.Hour + time.Second)
		require.Eventually(t, func() bool { // what is read ages by the real clock
			return len(published(t, h)) > 1 && len(published(t, other)) > 1
		}, 15*time.Second, 100*time.Millisecond)
		h.Clock.Advance(15 * time.Minute)
		for _, at := range []*apitest.Harness{h, other} {
			require.Len(t, published(t, at), 2)
			in := at.LogIn(t, ada)
			require.NotEqual(t, kidOf(t, old.Access), kidOf(t, in.Access))
			h.RequireAccess(t, ada.Portal, in.Access, true)
			other.RequireAccess(t, ada.Portal, in.Access, true)
		}
	})
}

// While keys rotate, neither of two instances refuses a caller: 50 requests a second, on a clock that runs
// 150 times as fast as the real one, so that the new key takes over after six seconds.
func TestRotateUnderLoad(t *testing.T) {
	t.Parallel()
	for _, d := range databasetest.Dialects() {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			const speed = 150
			began := time.Now()
			fast := apitest.OnClock(func() time.Time { return began.UTC().Add(speed * time.Since(began)) })
			url := databasetest.URL(t, d)
			h := apitest.New(t, databasetest.OpenURL(t, url), fast)
			instances := []*apitest.Harness{h, h.Calling(h.NewServer(t, databasetest.OpenURL(t, url), fast))}
			p := h.Portal(t, apitest.Object{"access_token_ttl": 86400})
			in := h.LogIn(t, h.Account(t, p))
			first := kidOf(t, in.Access)

			tick := time.NewTicker(time.Second / 50)
			defer tick.Stop()
			signed := [2]string{}
			patience := time.After(30 * time.Second)
			for i := 0; i < 50 || !slices.Equal(signed[:1], signed[1:]) || signed[0] == first; i++ {
				if i == 10 {
					h.Post(t, signingKeys, nil, apitest.AsOperator).Status(http.StatusCreated).Is("status", "pending")
				}
				signer, verifier := instances[i/2%2], instances[i%2]
				in = signer.MustRefresh(t, p, in.Refresh)
				signed[i/2%2] = kidOf(t, in.Access)
				verifier.RequireAccess(t, p, in.Access, true)
				select {
				case <-tick.C:
				case <-patience:
					require.Fail(t, "the new key does not take over", "signed with %v after %d requests, first %s", signed, i, first)
				}
			}
			for _, at := range instances {
				require.ElementsMatch(t, []any{first, signed[0]}, published(t, at))
			}
		})
	}
}
