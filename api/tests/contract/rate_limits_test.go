package contract_test

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// aMinute is how many requests a network has for each operation that has a limit.
var aMinute = map[string]int{
	"lookUp": 60, "logIn": 60, "getLockoutStatus": 60,
	"register": 20, "issueConfirmation": 20, "verifyConfirmation": 60, "redeemConfirmation": 60,
	"issuePasswordReset": 20, "verifyPasswordReset": 60, "redeemPasswordReset": 60,
	"resendInvitation": 20, "verifyInvitation": 60, "redeemInvitation": 60,
}

// forwarded is a request that a proxy says is from an address.
func forwarded(socket string, by ...string) apitest.Option {
	return func(r *http.Request) {
		r.RemoteAddr = socket
		for _, entry := range by {
			r.Header.Add("X-Forwarded-For", entry)
		}
	}
}

// requireLeft wants an answer to say how many requests are left of how many, and when all are given back.
func requireLeft(a *apitest.Answer, limit, remaining, reset int) *apitest.Answer {
	a.T.Helper()
	return a.HasHeader("RateLimit-Policy", fmt.Sprintf(`"network";q=%d;w=60`, limit)).
		HasHeader("RateLimit", fmt.Sprintf(`"network";r=%d;t=%d`, remaining, reset)).
		HasHeader("RateLimit-Limit", strconv.Itoa(limit)).HasHeader("RateLimit-Remaining", strconv.Itoa(remaining)).
		HasHeader("RateLimit-Reset", strconv.Itoa(reset))
}

func TestRateLimits(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db, apitest.RateLimited)
		p := h.Portal(t, apitest.WithLoginOrigin())
		known := 0
		for _, op := range apitest.OpenAPI().Operations {
			target, with := apitest.FillPath(op.Path, "acme"), apitest.Entitled(op, apitest.Tokens{})
			limit, ok := aMinute[op.OperationID]
			require.Equal(t, ok, op.Responses.Value("429") != nil && op.OperationID != "renewInvitation", "%s documents a limit", op)
			if !ok {
				h.Call(t, op.Method, apitest.FillPath(op.Path, "nowhere"), nil, with).HasHeader("RateLimit", "").HasHeader("RateLimit-Policy", "").HasHeader("RateLimit-Limit", "")
				continue
			}
			known++
			ask := func(with ...apitest.Option) *apitest.Answer {
				t.Helper()
				return h.Call(t, op.Method, target, apitest.Object{}, with...)
			}
			for i := range limit {
				requireLeft(ask().Problem(http.StatusUnprocessableEntity, "validation_failed"), limit, limit-1-i, 60)
			}
			over := func(wait int) {
				t.Helper()
				requireLeft(ask(apitest.Origin(apitest.LoginOrigin)).Problem(http.StatusTooManyRequests, "rate_limited"), limit, 0, wait).Remedies("wait").
					HasHeader("Retry-After", strconv.Itoa(wait)).HasHeader("Access-Control-Allow-Origin", apitest.LoginOrigin)
			}
			over(60)
			h.Call(t, op.Method, apitest.FillPath(op.Path, "nowhere"), apitest.Object{}).Problem(http.StatusTooManyRequests, "rate_limited")
			requireLeft(ask(apitest.FromAddress("192.0.2.78:1")).Problem(http.StatusUnprocessableEntity, "validation_failed"), limit, limit-1, 60)
			h.Call(t, http.MethodOptions, target, nil, apitest.Origin(apitest.LoginOrigin)).Status(http.StatusNoContent)

			h.Clock.Advance(30500 * time.Millisecond)
			over(30)
			h.Clock.Advance(29500*time.Millisecond - time.Nanosecond)
			over(1)
			h.Clock.Advance(time.Nanosecond)
			requireLeft(ask().Problem(http.StatusUnprocessableEntity, "validation_failed"), limit, limit-1, 60)
		}
		require.Len(t, aMinute, known)
		ada := h.Account(t, p)
		in := requireLeft(h.Post(t, p.Front+"/login", ada.Credentials(), apitest.FromAddress("198.51.100.1:1")).Status(http.StatusOK), 60, 59, 60)
		h.RequireAccess(t, p, in.Text("access_token"), true)
		requireLeft(h.Post(t, p.Front+"/lookup", apitest.Object{"email": ada.Email}, apitest.FromAddress("198.51.100.1:1")).Status(http.StatusOK), 60, 59, 60)
		requireLeft(h.Post(t, "/v1/portals/nowhere/lookup", apitest.Object{"email": ada.Email}, apitest.FromAddress("198.51.100.1:1")).
			Problem(http.StatusNotFound, "organization_not_found"), 60, 58, 60)
	})
}

// Requests that are turned away are looked at no further: no statement, no hash, nothing counted against an address.
func TestLimitedRequestsCostNothing(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db, apitest.RateLimited)
		p := h.Portal(t)
		ada := h.Account(t, p)
		for range 60 {
			h.Post(t, p.Front+"/login", apitest.Object{}).Status(http.StatusUnprocessableEntity)
		}
		before := h.RowCounts(t)
		for range 10 {
			h.LogInWrong(t, p, ada.Email).Problem(http.StatusTooManyRequests, "rate_limited")
		}
		require.Equal(t, before, h.RowCounts(t))
		h.Post(t, p.Front+"/login", ada.Credentials(), apitest.FromAddress("192.0.2.78:1")).Status(http.StatusOK)
	})
}

// Who counts as one caller: an IPv4 address, the /64 of an IPv6 one, and behind a trusted proxy whom it names.
func TestLimitedNetworks(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db, apitest.RateLimited, apitest.TrustingProxies("10.0.0.0/8", "fd00::/8"))
		p := h.Portal(t)
		const proxy, outer = "10.0.0.1:443", "10.0.0.2"
		left := func(want int, with apitest.Option) {
			t.Helper()
			h.Post(t, p.Front+"/lookup", apitest.Object{}, with).HasHeader("RateLimit-Remaining", strconv.Itoa(want))
		}
		left(59, apitest.FromAddress("198.51.100.1:1"))
		left(58, apitest.FromAddress("198.51.100.1:2"))
		left(57, apitest.FromAddress("[::ffff:198.51.100.1]:3"))
		left(56, forwarded(proxy, "198.51.100.1"))
		left(55, forwarded(proxy, "203.0.113.9, 198.51.100.1"))
		left(54, forwarded(proxy, "203.0.113.9", "198.51.100.1, "+outer))
		left(53, forwarded(proxy, "198.51.100.1:61234"))
		left(52, forwarded("[fd00::1]:443", "::ffff:198.51.100.1"))
		left(51, forwarded("198.51.100.1:1", "203.0.113.9"))
		left(59, apitest.FromAddress("198.51.100.2:1"))
		left(59, forwarded(proxy, "203.0.113.9"))
		left(59, apitest.FromAddress(proxy))
		left(58, forwarded(proxy, "203.0.113.10, nonsense")) // a trusted proxy wrote it: it is all that is known

		left(59, apitest.FromAddress("[2001:db8:1:2::1]:1"))
		left(58, apitest.FromAddress("[2001:db8:1:2:ffff:ffff:ffff:ffff]:1"))
		left(57, apitest.FromAddress("[2001:db8:1:2::1%25eth0]:1"))
		left(56, forwarded(proxy, "2001:db8:1:2:3::"))
		left(55, forwarded(proxy, "[2001:db8:1:2:3::]:443"))
		left(59, apitest.FromAddress("[2001:db8:1:3::1]:1"))
		left(59, apitest.FromAddress("[2001:db8:2:2::1]:1"))
		left(59, apitest.FromAddress("no address"))
		left(58, apitest.FromAddress(""))
	})
}

func TestRateLimitsOff(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		for range 70 {
			h.Post(t, p.Front+"/lookup", apitest.Object{}).Status(http.StatusUnprocessableEntity).HasHeader("RateLimit", "").HasHeader("RateLimit-Limit", "")
		}
		for range 5 {
			h.LogInWrong(t, p, "nobody@example.com").Problem(http.StatusUnauthorized, "incorrect_credentials")
		}
		h.LogInWrong(t, p, "nobody@example.com").Problem(http.StatusLocked, "account_locked") // the locking is never off
	})
}
