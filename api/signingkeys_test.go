package api_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

const signingKeys = "/v1/admin/signing-keys"

// kidOf is the key that an access token says it is signed with.
func kidOf(t testing.TB, access string) string {
	t.Helper()
	header, _ := takenApart(t, access)
	return header["kid"].(string)
}

// published are the kids of the JWKS.
func (h *harness) published(t testing.TB) []any {
	t.Helper()
	return h.get(t, "/.well-known/jwks.json").status(http.StatusOK).list("keys", "kid")
}

func TestRotatingSigningKeys(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, object{"access_token_ttl": 86400, "refresh_token_ttl": 864000})
		ada := h.account(t, p)
		states := func(want ...string) {
			t.Helper()
			a := h.get(t, signingKeys, asOperator).status(http.StatusOK).is("next_cursor", nil)
			got := make([]string, 0, len(want))
			for _, state := range a.list("items", "status") {
				got = append(got, state.(string))
			}
			require.Equal(t, want, got)
			listed := a.list("items", "id")
			require.ElementsMatch(t, listed, h.published(t), "what is listed is published")
			require.NotContains(t, string(a.body), "private")
		}
		states("active")
		first := h.logIn(t, ada)
		require.Equal(t, []any{kidOf(t, first.access)}, h.published(t))

		h.clock.advance(time.Minute)
		made := h.post(t, signingKeys, nil, asOperator).status(http.StatusCreated).is("algorithm", "EdDSA").is("status", "pending").
			is("created_at", h.stamp(0)).is("active_at", h.stamp(20*time.Second))
		kid := made.text("id")
		require.NotEqual(t, kid, kidOf(t, first.access))
		states("pending", "active")
		h.clock.advance(20*time.Second - time.Millisecond)
		states("pending", "active")
		require.Equal(t, kidOf(t, first.access), kidOf(t, h.logIn(t, ada).access), "every verifier has time to read it")

		h.clock.advance(time.Millisecond)
		states("active", "retired")
		second := h.logIn(t, ada)
		require.Equal(t, kid, kidOf(t, second.access))
		refreshed := h.refreshed(t, p, first.refresh)
		require.Equal(t, kid, kidOf(t, refreshed.access))
		for _, access := range []string{first.access, second.access, refreshed.access} {
			h.alive(t, p, access, true)
		}

		h.clock.advance(24*time.Hour - 81*time.Second)
		h.alive(t, p, first.access, true) // its last second
		h.clock.advance(2 * time.Hour)
		states("active")
		require.Equal(t, []any{kid}, h.published(t))
		h.alive(t, p, first.access, false)
		h.alive(t, p, h.logIn(t, ada).access, true)

		for range 2 {
			h.post(t, signingKeys, object{}, asOperator).status(http.StatusCreated)
		}
		states("pending", "pending", "active")
		h.clock.advance(time.Minute)
		states("active", "retired", "retired")
		require.Equal(t, "3", h.sql(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'signing_key.rotated' AND actor = 'operator'"))
	})
}

// A key that has grown old is replaced without anybody's doing, and once, though two instances think of it.
func TestAnOldSigningKeyIsReplaced(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		other := h.calling(h.another(t, db))
		ada := h.account(t, h.portal(t))
		old := h.logIn(t, ada)
		h.clock.advance(90*24*time.Hour + time.Second)
		require.Eventually(t, func() bool { // what is read ages by the real clock
			return len(h.published(t)) > 1 && len(other.published(t)) > 1
		}, 15*time.Second, 100*time.Millisecond)
		h.clock.advance(20 * time.Second)
		for _, at := range []*harness{h, other} {
			require.Len(t, at.published(t), 2)
			in := at.logIn(t, ada)
			require.NotEqual(t, kidOf(t, old.access), kidOf(t, in.access))
			h.alive(t, ada.portal, in.access, true)
			other.alive(t, ada.portal, in.access, true)
		}
	})
}

// While keys rotate nobody who asks either of two instances is sent away: 50 requests a second, on a clock that runs
// ten times as fast as the real one, so that the new key takes over after two seconds.
func TestRotatingUnderLoad(t *testing.T) {
	t.Parallel()
	for _, d := range databasetest.Dialects() {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			const speed = 10
			began := time.Now()
			fast := func(o *options) {
				o.App.Now = func() time.Time { return began.UTC().Add(speed * time.Since(began)) }
			}
			url := databasetest.URL(t, d)
			h := newHarness(t, databasetest.OpenURL(t, url), fast)
			instances := []*harness{h, h.calling(h.another(t, databasetest.OpenURL(t, url), fast))}
			p := h.portal(t, object{"access_token_ttl": 86400})
			in := h.logIn(t, h.account(t, p))
			first := kidOf(t, in.access)

			tick := time.NewTicker(time.Second / 50)
			defer tick.Stop()
			signed := [2]string{}
			patience := time.After(30 * time.Second)
			for i := 0; i < 50 || !slices.Equal(signed[:1], signed[1:]) || signed[0] == first; i++ {
				if i == 10 {
					h.post(t, signingKeys, nil, asOperator).status(http.StatusCreated).is("status", "pending")
				}
				signer, verifier := instances[i/2%2], instances[i%2]
				in = signer.refreshed(t, p, in.refresh)
				signed[i/2%2] = kidOf(t, in.access)
				verifier.alive(t, p, in.access, true)
				select {
				case <-tick.C:
				case <-patience:
					require.Fail(t, "the new key does not take over", "signed with %v after %d requests, first %s", signed, i, first)
				}
			}
			for _, at := range instances {
				require.ElementsMatch(t, []any{first, signed[0]}, at.published(t))
			}
		})
	}
}
