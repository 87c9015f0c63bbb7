package api_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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

// limited switches the limits on.
func limited(o *options) { o.API.Unlimited = false }

// from is a request from another socket.
func from(socket string) option {
	return func(r *http.Request) { r.RemoteAddr = socket }
}

// forwarded is a request that a proxy says is from an address.
func forwarded(socket string, by ...string) option {
	return func(r *http.Request) {
		r.RemoteAddr = socket
		for _, entry := range by {
			r.Header.Add("X-Forwarded-For", entry)
		}
	}
}

// left wants an answer to say how many requests are left of how many, and when all are given back.
func (a *answer) left(limit, remaining, reset int) *answer {
	a.t.Helper()
	return a.sets("RateLimit-Policy", fmt.Sprintf(`"network";q=%d;w=60`, limit)).
		sets("RateLimit", fmt.Sprintf(`"network";r=%d;t=%d`, remaining, reset)).
		sets("RateLimit-Limit", strconv.Itoa(limit)).sets("RateLimit-Remaining", strconv.Itoa(remaining)).
		sets("RateLimit-Reset", strconv.Itoa(reset))
}

func TestRateLimits(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db, limited)
		p := h.portal(t, withOrigin())
		known := 0
		for _, op := range contract().operations {
			target, with := fill(op.path, "acme"), entitled(op, tokens{})
			limit, ok := aMinute[op.OperationID]
			require.Equal(t, ok, op.Responses.Value("429") != nil && op.OperationID != "renewInvitation", "%s documents a limit", op)
			if !ok {
				h.call(t, op.method, fill(op.path, "nowhere"), nil, with).sets("RateLimit", "").sets("RateLimit-Policy", "").sets("RateLimit-Limit", "")
				continue
			}
			known++
			ask := func(with ...option) *answer { t.Helper(); return h.call(t, op.method, target, object{}, with...) }
			for i := range limit {
				ask().problem(http.StatusUnprocessableEntity, "validation_failed").left(limit, limit-1-i, 60)
			}
			over := func(wait int) {
				t.Helper()
				ask(origin(page)).problem(http.StatusTooManyRequests, "rate_limited").left(limit, 0, wait).remedies("wait").
					sets("Retry-After", strconv.Itoa(wait)).sets("Access-Control-Allow-Origin", page)
			}
			over(60)
			h.call(t, op.method, fill(op.path, "nowhere"), object{}).problem(http.StatusTooManyRequests, "rate_limited")
			ask(from("192.0.2.78:1")).problem(http.StatusUnprocessableEntity, "validation_failed").left(limit, limit-1, 60)
			h.call(t, http.MethodOptions, target, nil, origin(page)).status(http.StatusNoContent)

			h.clock.advance(30500 * time.Millisecond)
			over(30)
			h.clock.advance(29500*time.Millisecond - time.Nanosecond)
			over(1)
			h.clock.advance(time.Nanosecond)
			ask().problem(http.StatusUnprocessableEntity, "validation_failed").left(limit, limit-1, 60)
		}
		require.Len(t, aMinute, known)
		ada := h.account(t, p)
		in := h.post(t, p.front+"/login", ada.credentials(), from("198.51.100.1:1")).status(http.StatusOK).left(60, 59, 60)
		h.alive(t, p, in.text("access_token"), true)
		h.post(t, p.front+"/lookup", object{"email": ada.email}, from("198.51.100.1:1")).status(http.StatusOK).left(60, 59, 60)
		h.post(t, "/v1/portals/nowhere/lookup", object{"email": ada.email}, from("198.51.100.1:1")).
			problem(http.StatusNotFound, "organization_not_found").left(60, 58, 60)
	})
}

// Requests that are turned away are looked at no further: no statement, no hash, nothing counted against an address.
func TestWhatIsLimitedCostsNothing(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db, limited)
		p := h.portal(t)
		ada := h.account(t, p)
		for range 60 {
			h.post(t, p.front+"/login", object{}).status(http.StatusUnprocessableEntity)
		}
		before := h.counts(t)
		for range 10 {
			h.wrongly(t, p, ada.email).problem(http.StatusTooManyRequests, "rate_limited")
		}
		require.Equal(t, before, h.counts(t))
		h.post(t, p.front+"/login", ada.credentials(), from("192.0.2.78:1")).status(http.StatusOK)
	})
}

// Who counts as one caller: an IPv4 address, the /64 of an IPv6 one, and behind a trusted proxy whom it names.
func TestNetworksThatAreLimited(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db, limited, func(o *options) {
			o.API.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
		})
		p := h.portal(t)
		const proxy, outer = "10.0.0.1:443", "10.0.0.2"
		left := func(want int, with option) {
			t.Helper()
			h.post(t, p.front+"/lookup", object{}, with).sets("RateLimit-Remaining", strconv.Itoa(want))
		}
		left(59, from("198.51.100.1:1"))
		left(58, from("198.51.100.1:2"))
		left(57, from("[::ffff:198.51.100.1]:3"))
		left(56, forwarded(proxy, "198.51.100.1"))
		left(55, forwarded(proxy, "203.0.113.9, 198.51.100.1"))
		left(54, forwarded(proxy, "203.0.113.9", "198.51.100.1, "+outer))
		left(53, forwarded(proxy, "198.51.100.1:61234"))
		left(52, forwarded("[fd00::1]:443", "::ffff:198.51.100.1"))
		left(51, forwarded("198.51.100.1:1", "203.0.113.9"))
		left(59, from("198.51.100.2:1"))
		left(59, forwarded(proxy, "203.0.113.9"))
		left(59, from(proxy))
		left(58, forwarded(proxy, "203.0.113.10, nonsense")) // a trusted proxy wrote it: it is all that is known

		left(59, from("[2001:db8:1:2::1]:1"))
		left(58, from("[2001:db8:1:2:ffff:ffff:ffff:ffff]:1"))
		left(57, from("[2001:db8:1:2::1%25eth0]:1"))
		left(56, forwarded(proxy, "2001:db8:1:2:3::"))
		left(55, forwarded(proxy, "[2001:db8:1:2:3::]:443"))
		left(59, from("[2001:db8:1:3::1]:1"))
		left(59, from("[2001:db8:2:2::1]:1"))
		left(59, from("no address"))
		left(58, from(""))
	})
}

func TestLimitsThatAreSwitchedOff(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		for range 70 {
			h.post(t, p.front+"/lookup", object{}).status(http.StatusUnprocessableEntity).sets("RateLimit", "").sets("RateLimit-Limit", "")
		}
		for range 5 {
			h.wrongly(t, p, "nobody@example.com").problem(http.StatusUnauthorized, "incorrect_credentials")
		}
		h.wrongly(t, p, "nobody@example.com").problem(http.StatusLocked, "account_locked") // the locking is never off
	})
}
