package races_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/clock"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// machineClock is the clock of a machine that is off by a while, and can be set.
type machineClock struct{ off atomic.Int64 }

func offBy(d time.Duration) *machineClock {
	c := new(machineClock)
	c.off.Store(int64(d))
	return c
}

// now has no monotonic reading, so that setting the clock moves all of it.
func (c *machineClock) now() time.Time { return time.Now().Round(0).Add(time.Duration(c.off.Load())) }

// apart are two instances over one Postgres: the clock of the first is a minute behind, that of the second a minute ahead.
func apart(t *testing.T) (behind, ahead *apitest.Harness, clocks [2]*machineClock) {
	t.Helper()
	url := databasetest.URL(t, database.Postgres)
	clocks = [2]*machineClock{offBy(-time.Minute), offBy(time.Minute)}
	on := func(c *machineClock) apitest.ServerOption { return apitest.OnMachineClock(clock.Clock(c.now)) }
	ahead = apitest.New(t, databasetest.OpenURL(t, url), on(clocks[1])) // it makes the first signing key
	return ahead.Calling(ahead.NewServer(t, databasetest.OpenURL(t, url), on(clocks[0]))), ahead, clocks
}

// eachWay runs a test from either instance to the other, and again while their clocks are set back by an hour.
func eachWay(t *testing.T, run func(t *testing.T, here, there *apitest.Harness, ada apitest.Person)) {
	t.Helper()
	behind, ahead, clocks := apart(t)
	p := ahead.Portal(t, apitest.Object{"refresh_grace": 5})
	for _, set := range []time.Duration{0, -time.Hour} {
		for _, c := range clocks {
			c.off.Add(int64(set))
		}
		for name, pair := range map[string][2]*apitest.Harness{"forward": {ahead, behind}, "back": {behind, ahead}} {
			ada := ahead.Account(t, p, apitest.Object{"email": name + set.String() + "@example.com"})
			run(t, pair[0], pair[1], ada)
		}
	}
}

func TestInstancesAgreeOnRefresh(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, here, there *apitest.Harness, ada apitest.Person) {
		p := ada.Portal
		first := here.LogIn(t, ada)
		there.RequireAccess(t, p, first.Access, true)
		second := there.MustRefresh(t, p, first.Refresh)
		here.RequireAccess(t, p, second.Access, true)
		for _, at := range []*apitest.Harness{here, there} {
			require.Equal(t, second.Refresh, at.MustRefresh(t, p, first.Refresh).Refresh, "a retry within the grace")
			require.Equal(t, second.Refresh, at.MustRefresh(t, p, second.Refresh).Refresh, "no rotation within the grace")
		}
		a := here.Get(t, p.Front+"/me/sessions", apitest.Bearer(second.Access)).Status(http.StatusOK)
		require.Len(t, a.List("items", "id"), 1)
	})
}

// lockedFor is for how many seconds more an instance says that a person is locked.
func lockedFor(t *testing.T, at *apitest.Harness, who apitest.Person) float64 {
	t.Helper()
	a := at.Post(t, who.Portal.Front+"/lockout-status", apitest.Object{"email": who.Email}).Status(http.StatusOK)
	left, ok := a.At("retry_after_seconds")
	require.True(t, ok)
	return left.(float64)
}

func TestInstancesAgreeOnLocks(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, here, there *apitest.Harness, ada apitest.Person) {
		p := ada.Portal
		for range 5 {
			here.LogInWrong(t, p, ada.Email).Status(http.StatusUnauthorized)
		}
		var left [2]float64
		for i, at := range []*apitest.Harness{here, there} {
			at.Post(t, p.Front+"/login", ada.Credentials()).Problem(http.StatusLocked, "account_locked")
			left[i] = lockedFor(t, at, ada)
		}
		require.InDelta(t, 900, left[0], 5)
		require.InDelta(t, left[0], left[1], 5)
	})
}

func TestInstancesAgreeOnCooldowns(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, here, there *apitest.Harness, ada apitest.Person) {
		ask := func(at *apitest.Harness) *apitest.Answer {
			return at.Post(t, ada.Portal.Front+"/password-resets", apitest.Object{"email": ada.Email})
		}
		ask(here).Status(http.StatusAccepted)
		ask(there).Problem(http.StatusTooManyRequests, "resend_too_soon")
	})
}

// A clock that is set back under a single machine's feet undoes nothing and lengthens nothing.
func TestClockSetBackOnOneMachine(t *testing.T) {
	t.Parallel()
	c := offBy(0)
	h := apitest.New(t, databasetest.Open(t, database.SQLite), apitest.OnMachineClock(clock.Clock(c.now)))
	p := h.Portal(t, apitest.Object{"refresh_grace": 1})
	ada := h.Account(t, p)
	in := h.LogIn(t, ada)
	c.off.Store(-int64(time.Hour))
	h.RequireAccess(t, p, in.Access, true)
	h.RequireAccess(t, p, h.LogIn(t, ada).Access, true)
	next := h.MustRefresh(t, p, in.Refresh)
	require.Equal(t, next.Refresh, h.MustRefresh(t, p, next.Refresh).Refresh)
	for range 5 {
		h.LogInWrong(t, p, ada.Email).Status(http.StatusUnauthorized)
	}
	require.InDelta(t, 900, lockedFor(t, h, ada), 5)
}
