package admin_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/accesstoken"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// After a leak the next key signs at once, and the leaked one is worth nothing any more.
func TestLeakedSigningKeyIsReplacedAtOnce(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		ada := h.Account(t, h.Portal(t))
		leaked := h.LogIn(t, ada)
		kid := kidOf(t, leaked.Access)
		withdraw := func(kid string) *apitest.Answer { return h.Delete(t, signingKeys+"/"+kid, apitest.AsOperator) }

		withdraw(kid).Problem(http.StatusConflict, "last_signing_key")
		withdraw("nobodys").Problem(http.StatusNotFound, "not_found")
		h.RequireAccess(t, ada.Portal, leaked.Access, true)
		h.Post(t, signingKeys, apitest.Object{"now": "yes"}, apitest.AsOperator).Problem(http.StatusUnprocessableEntity, "validation_failed")
		h.Post(t, signingKeys, apitest.Object{"soon": true}, apitest.AsOperator).Problem(http.StatusUnprocessableEntity, "validation_failed")

		h.Clock.Advance(time.Second)
		made := h.Post(t, signingKeys, apitest.Object{"now": true}, apitest.AsOperator).Status(http.StatusCreated).
			Is("status", "active").Is("active_at", h.TimeAfter(0))
		require.ElementsMatch(t, []any{kid, made.Text("id")}, published(t, h))
		h.RequireAccess(t, ada.Portal, leaked.Access, true)
		next := h.LogIn(t, ada)
		require.Equal(t, made.Text("id"), kidOf(t, next.Access))

		withdraw(made.Text("id")).Problem(http.StatusConflict, "last_signing_key") // a retired key never signs again
		withdraw(kid).Status(http.StatusNoContent)
		withdraw(kid).Problem(http.StatusNotFound, "not_found")
		require.Equal(t, []any{made.Text("id")}, published(t, h))
		h.RequireAccess(t, ada.Portal, leaked.Access, false)
		h.RequireAccess(t, ada.Portal, next.Access, true)
		h.RequireAccess(t, ada.Portal, h.MustRefresh(t, ada.Portal, leaked.Refresh).Access, true) // the session goes on
		require.Equal(t, "1", h.QueryValue(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'signing_key.withdrawn' AND target_id = ?", kid))
	})
}

// When the signing key is withdrawn, the pending key takes over at once.
func TestPendingSigningKeyTakesOver(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		ada := h.Account(t, h.Portal(t))
		old := kidOf(t, h.LogIn(t, ada).Access)
		next := h.Post(t, signingKeys, nil, apitest.AsOperator).Status(http.StatusCreated).Text("id")
		last := h.Post(t, signingKeys, nil, apitest.AsOperator).Status(http.StatusCreated).Text("id")
		h.Delete(t, signingKeys+"/"+old, apitest.AsOperator).Status(http.StatusNoContent)
		h.Get(t, signingKeys, apitest.AsOperator).Status(http.StatusOK).
			Is("items.0.id", last).Is("items.0.status", "pending").
			Is("items.1.id", next).Is("items.1.status", "active").Is("items.1.active_at", h.TimeAfter(0))
		require.Equal(t, next, kidOf(t, h.LogIn(t, ada).Access))
		h.Delete(t, signingKeys+"/"+last, apitest.AsOperator).Status(http.StatusNoContent)
		h.Delete(t, signingKeys+"/"+next, apitest.AsOperator).Problem(http.StatusConflict, "last_signing_key")
	})
}

// Another instance stops using a withdrawn key within seconds, though nobody called it meanwhile.
func TestWithdrawnSigningKeyAtOtherInstance(t *testing.T) {
	t.Parallel()
	url := databasetest.URL(t, database.Postgres)
	h := apitest.New(t, databasetest.OpenURL(t, url))
	other := h.Calling(h.NewServer(t, databasetest.OpenURL(t, url)))
	ada := h.Account(t, h.Portal(t, apitest.Object{"access_token_ttl": 86400}))
	leaked := other.LogIn(t, ada)
	h.Clock.Advance(time.Second)
	h.Post(t, signingKeys, apitest.Object{"now": true}, apitest.AsOperator).Status(http.StatusCreated)
	other.RequireAccess(t, ada.Portal, h.LogIn(t, ada).Access, true) // a kid that it has not seen
	h.Delete(t, signingKeys+"/"+kidOf(t, leaked.Access), apitest.AsOperator).Status(http.StatusNoContent)
	time.Sleep(11 * time.Second) // longer than an instance trusts what it read
	other.RequireAccess(t, ada.Portal, leaked.Access, false)
	require.NotEqual(t, kidOf(t, leaked.Access), kidOf(t, other.LogIn(t, ada).Access))
}

// A database whose keys are of the algorithm before, as an earlier version left it, goes on: its tokens stay good, the key
// of the new algorithm is published ahead, and both are published while one replaces the other.
func TestChangingTheAlgorithmRotates(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db, apitest.SigningWith(accesstoken.EdDSA))
		p := h.Portal(t, apitest.Object{"access_token_ttl": 86400})
		ada := h.Account(t, p)
		before := h.LogIn(t, ada)
		require.Equal(t, "1", h.QueryValue(t, "SELECT COUNT(*) FROM signing_keys"), "where earlier versions read it")
		algorithms := []any{"EdDSA"}
		wantAlgorithms := func(at *apitest.Harness, want ...any) {
			t.Helper()
			require.ElementsMatch(t, want, at.Get(t, "/.well-known/jwks.json").Status(http.StatusOK).List("keys", "alg"))
			at.Get(t, p.Front+"/.well-known/openid-configuration").Is("id_token_signing_alg_values_supported", want)
		}
		wantAlgorithms(h, algorithms...)
		for _, algorithm := range []accesstoken.Algorithm{accesstoken.ES256, accesstoken.RS256, accesstoken.EdDSA} {
			var after *apitest.Harness
			for range 2 { // a second start changes nothing
				after = h.Calling(h.NewServer(t, db, apitest.SigningWith(algorithm)))
			}
			last := algorithms[len(algorithms)-1]
			header, _ := apitest.DecodeToken(t, after.LogIn(t, ada).Access)
			require.Equal(t, last, header["alg"], "the key before signs for a while")
			require.Len(t, published(t, after), len(algorithms)+1)
			h.Clock.Advance(15 * time.Minute)
			now := after.LogIn(t, ada)
			header, _ = apitest.DecodeToken(t, now.Access)
			require.Equal(t, string(algorithm), header["alg"])
			after.RequireAccess(t, p, now.Access, true)
			after.RequireAccess(t, p, before.Access, true)
			algorithms = append(algorithms, string(algorithm))
		}
		require.Equal(t, "0", h.QueryValue(t, "SELECT COUNT(*) FROM signing_keys WHERE length(private_key) < 32"))
		h.Clock.Advance(25 * time.Hour)
		wantAlgorithms(h.Calling(h.NewServer(t, db, apitest.SigningWith(accesstoken.EdDSA))), "EdDSA")
	})
}

// The earliest key signs where none is active yet: after the database's clock was set back nobody is sent away.
func TestSigningBeforeAnyKeyIsActive(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		ada := h.Account(t, h.Portal(t))
		h.Post(t, signingKeys, nil, apitest.AsOperator).Status(http.StatusCreated)
		kid := kidOf(t, h.LogIn(t, ada).Access)
		for _, back := range []time.Duration{time.Minute, time.Hour} {
			h.Clock.Advance(-back)
			h.Get(t, "/readyz").Status(http.StatusOK)
			in := h.LogIn(t, ada)
			require.Equal(t, kid, kidOf(t, in.Access))
			h.RequireAccess(t, ada.Portal, in.Access, true)
			h.Get(t, signingKeys, apitest.AsOperator).Status(http.StatusOK).Is("items.0.status", "pending").Is("items.1.status", "active")
		}
		h.Post(t, signingKeys, nil, apitest.AsOperator).Status(http.StatusCreated).Is("status", "pending")
		require.Equal(t, kid, kidOf(t, h.LogIn(t, ada).Access), "verifiers do not know the new one yet")
	})
}

// Without a key that can sign the server is not ready: nobody could log in.
func TestNotReadyWithoutSigningKey(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		h.Exec(t, "DELETE FROM other_signing_keys")
		require.Eventually(t, func() bool {
			return h.Get(t, "/readyz").HTTPStatus == http.StatusServiceUnavailable
		}, 20*time.Second, 500*time.Millisecond)
	})
}
