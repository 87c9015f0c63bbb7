package sessions_test

import (
	"encoding/binary"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

// A phone that lost the answer to a refresh comes back with the token before: five times a day it gets the current one.
func TestLostAnswerIsForgiven(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{"refresh_token_ttl": 3 * 86400, "refresh_grace": 10})
		ada := h.Account(t, p)
		lost := h.LogIn(t, ada)
		current := h.MustRefresh(t, p, lost.Refresh)
		for range 5 {
			h.Clock.Advance(time.Hour)
			again := h.Refresh(t, p, lost.Refresh).Status(http.StatusOK).Is("refresh_expires_in", 3*86400)
			require.Equal(t, current.Refresh, again.Text("refresh_token"))
			h.RequireAccess(t, p, again.Text("access_token"), true)
		}
		h.Get(t, p.Front+"/me/sessions", apitest.Bearer(h.LogIn(t, ada).Access)).Is("items.1.last_used_at", h.TimeAfter(0))

		// A day after the first one the sixth has room, and so on: the window slides.
		h.Clock.Advance(20 * time.Hour)
		require.Equal(t, current.Refresh, h.MustRefresh(t, p, lost.Refresh).Refresh)
		next := h.MustRefresh(t, p, current.Refresh)
		require.NotEqual(t, current.Refresh, next.Refresh, "the phone has its answer, and goes on")
		h.RequireAccess(t, p, next.Access, true)
		h.Refresh(t, p, lost.Refresh).Problem(http.StatusUnauthorized, "refresh_token_reused")
		h.RequireSessionOver(t, p, next.Refresh)
	})
}

// The count is of the session, not of the generation, and the sixth time within a day ends it.
func TestSixthForgivenessEndsTheSession(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		for name, pause := range map[string]time.Duration{"at once": 0, "over a day": 4 * time.Hour} {
			held := h.LogIn(t, h.Account(t, p, apitest.Object{"email": uuid.NewString() + "@example.com"}))
			for range 5 {
				current := h.MustRefresh(t, p, held.Refresh)
				h.Clock.Advance(10 * time.Second)
				require.Equal(t, current.Refresh, h.MustRefresh(t, p, held.Refresh).Refresh, name)
				held = current
				h.Clock.Advance(pause)
			}
			current := h.MustRefresh(t, p, held.Refresh)
			require.Equal(t, current.Refresh, h.MustRefresh(t, p, held.Refresh).Refresh, "within the grace nothing counts")
			h.Clock.Advance(10 * time.Second)
			h.Refresh(t, p, held.Refresh).Problem(http.StatusUnauthorized, "refresh_token_reused").
				Remedies("log_in", "contact_support")
			h.RequireSessionOver(t, p, current.Refresh)
		}
	})
}

// The current token was used, so its owner has it: the one before it is then with somebody else.
func TestPreviousTokenAfterTheCurrentOne(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{"refresh_grace": 10})
		for name, used := range map[string]func(previous, current string){
			"within the grace": func(_, current string) { require.Equal(t, current, h.MustRefresh(t, p, current).Refresh) },
			"after a lost answer": func(previous, current string) {
				h.Clock.Advance(time.Hour)
				require.Equal(t, current, h.MustRefresh(t, p, previous).Refresh)
				require.NotEqual(t, current, h.MustRefresh(t, p, current).Refresh)
			},
		} {
			previous := h.LogIn(t, h.Account(t, p, apitest.Object{"email": uuid.NewString() + "@example.com"}))
			current := h.MustRefresh(t, p, previous.Refresh)
			used(previous.Refresh, current.Refresh)
			h.Clock.Advance(10 * time.Second)
			h.Refresh(t, p, previous.Refresh).Problem(http.StatusUnauthorized, "refresh_token_reused")
			h.RequireSessionOver(t, p, current.Refresh)
			h.RequireAccess(t, p, current.Access, false)
			require.NotEmpty(t, name)
		}
	})
}

// sessionKeys replaces secret keys, and forges tokens as somebody who holds one of them can.
type sessionKeys struct {
	h  *apitest.Harness
	db *database.DB
	p  apitest.Portal
	t  testing.TB
}

func (k sessionKeys) under(keys string) *apitest.Harness {
	k.t.Helper()
	ring, err := keyring.Parse(keys)
	require.NoError(k.t, err)
	return k.h.Calling(k.h.NewServer(k.t, k.db, apitest.UnderKeys(ring)))
}

// forge derives the token of a generation of the session of an access token.
func (k sessionKeys) forge(key, access string, generation uint64) string {
	k.t.Helper()
	_, claims := apitest.DecodeToken(k.t, access)
	session, portal := uuid.MustParse(claims["sid"].(string)), uuid.MustParse(k.p.ID)
	ring, err := keyring.Parse(key)
	require.NoError(k.t, err)
	payload := binary.BigEndian.AppendUint64(session[:], generation)
	token, err := ring.Token(ring.Primary(), "refresh-token", portal[:], payload)
	require.NoError(k.t, err)
	return token
}

// A leaked secret key that was replaced neither refreshes nor ends a session that began afterwards, though the ring still
// holds it.
func TestReplacedSecretKeyMakesNoTokens(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		ada := h.Account(t, p)
		const leaked = apitest.SecretKey
		fresh := keyring.Generate()
		k := sessionKeys{h: h, db: db, p: p, t: t}
		after := k.under(fresh + "," + leaked)
		in := after.LogIn(t, ada)
		for range 3 {
			in = after.MustRefresh(t, p, in.Refresh)
			h.Clock.Advance(time.Minute)
		}
		for generation := range uint64(8) {
			forged := k.forge(leaked, in.Access, generation)
			after.RequireSessionOver(t, p, forged)
			after.Post(t, p.Front+"/logout", apitest.Object{"refresh_token": forged}).Status(http.StatusNoContent)
			after.RequireAccess(t, p, in.Access, true)
		}
		require.Equal(t, in.Refresh, k.forge(fresh, in.Access, 4), "the forge works")
		after.MustRefresh(t, p, in.Refresh)
	})
}

// A session that began under a key since replaced goes on: its tokens are good under their own key alone.
func TestSessionOutlivesItsSecretKey(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		ada := h.Account(t, p)
		const old = apitest.SecretKey
		fresh := keyring.Generate()
		k := sessionKeys{h: h, db: db, p: p, t: t}
		after := k.under(fresh + "," + old)

		first := h.LogIn(t, ada)                         // generation 1, under the old key
		second := h.MustRefresh(t, p, first.Refresh)     // 2, under the old key
		h.Clock.Advance(time.Minute)                     //
		third := after.MustRefresh(t, p, second.Refresh) // 3, under the fresh key
		require.Equal(t, k.forge(old, first.Access, 2), second.Refresh)
		require.Equal(t, k.forge(fresh, first.Access, 3), third.Refresh)
		for name, forged := range map[string]string{
			"the current one under the old key":  k.forge(old, first.Access, 3),
			"the one before under the fresh key": k.forge(fresh, first.Access, 2),
			"the first under the fresh key":      k.forge(fresh, first.Access, 1),
			"the next under the old key":         k.forge(old, first.Access, 4),
			"the next under the fresh key":       k.forge(fresh, first.Access, 4),
		} {
			after.Refresh(t, p, forged).Problem(http.StatusUnauthorized, "session_invalid")
			after.RequireAccess(t, p, third.Access, true)
			require.NotEmpty(t, name)
		}
		require.Equal(t, third.Refresh, after.MustRefresh(t, p, second.Refresh).Refresh, "forgiven within the grace")
		h.Clock.Advance(time.Hour)
		require.Equal(t, third.Refresh, after.MustRefresh(t, p, second.Refresh).Refresh, "and after a lost answer")
		fourth := after.MustRefresh(t, p, third.Refresh)
		h.Clock.Advance(time.Hour)
		after.Refresh(t, p, k.forge(old, first.Access, 3)).Problem(http.StatusUnauthorized, "session_invalid")
		require.Equal(t, fourth.Refresh, after.MustRefresh(t, p, third.Refresh).Refresh, "the one before, under the fresh key too")
		after.Refresh(t, p, first.Refresh).Problem(http.StatusUnauthorized, "refresh_token_reused")
		after.RequireSessionOver(t, p, fourth.Refresh)

		// Logging out works across the change as well.
		in := h.LogIn(t, ada)
		after.Post(t, p.Front+"/logout", apitest.Object{"refresh_token": in.Refresh}).Status(http.StatusNoContent)
		after.RequireAccess(t, p, in.Access, false)
	})
}
