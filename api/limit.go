package api

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ratelimit"
)

// limit says how many requests of a network an operation takes.
type limit int

const (
	unlimited limit = iota // administrators, and operations without a portal
	requests               // Limits.Requests
	tries                  // Limits.Requests, of which Limits.Failures may fail
	issues                 // Limits.Issues
)

// Limits are how many requests of a network each operation takes in a minute.
type Limits struct {
	Requests int // of any operation
	Failures int // that name a wrong password, a wrong code or token, or an unknown address
	Issues   int // that mail something or register an account
	// Passwords and OwnPasswords are how many passwords an administrator may set, and how often a person may change their
	// own. They do not depend on the network: each change takes the time of one or two hashes.
	Passwords    int
	OwnPasswords int
}

// DefaultLimits are the limits of a server.
func DefaultLimits() Limits {
	return Limits{Requests: 600, Failures: 60, Issues: 20, Passwords: 600, OwnPasswords: 20}
}

// failures are the codes of tries that count. An account that a stranger locked, or a session that ended overnight, is
// not the fault of the network, so their codes do not count.
var failures = []fault.Code{
	fault.IncorrectCredentials, fault.EmailNotFound, fault.TokenInvalid, fault.CurrentPasswordIncorrect,
}

// limited counts the requests of a network for an operation. Answers say how many are left, in the fields of
// draft-ietf-httpapi-ratelimit-headers and in the three older ones. Errors: rate_limited.
func (s *Server) limited(r route, next echo.HandlerFunc) echo.HandlerFunc {
	if s.limiter == nil || r.limit == unlimited {
		return next
	}
	name, most := r.method+" "+r.path, s.limits.Requests
	if r.limit == issues {
		most = s.limits.Issues
	}
	return func(c echo.Context) error {
		network := audit.CallerOf(c.Request().Context()).Network
		if s.unlimited(network) {
			return next(c)
		}
		v := s.limiter.Take(name, network, most)
		if !v.Allowed {
			return s.refuse(c, v)
		}
		if r.limit == tries {
			return s.try(c, name+" failures", v, next)
		}
		announce(c, v)
		return next(c)
	}
}

// try counts the request if it fails. requests is the verdict about all requests. The body has been read, so that slow
// bodies do not hold up the other callers of a network.
func (s *Server) try(c echo.Context, name string, requests ratelimit.Verdict, next echo.HandlerFunc) error {
	ctx := c.Request().Context()
	try, v, err := s.limiter.Begin(ctx, name, audit.CallerOf(ctx).Network, s.limits.Failures)
	switch {
	case err != nil:
		return fault.New(fault.Overloaded).After(time.Second)
	case try == nil:
		return s.refuse(c, v)
	}
	defer func() { try.End(false) }() // after a panic; otherwise the try has ended
	announce(c, tighter(v, requests))
	err = next(c)
	v = try.End(slices.Contains(failures, fault.CodeOf(err)))
	if !c.Response().Committed {
		announce(c, tighter(v, requests))
	}
	return err
}

func tighter(a, b ratelimit.Verdict) ratelimit.Verdict {
	if b.Remaining < a.Remaining {
		return b
	}
	return a
}

// announce sets the headers of a limit.
func announce(c echo.Context, v ratelimit.Verdict) {
	h, reset := c.Response().Header(), int(math.Ceil(v.Reset.Seconds()))
	h.Set("RateLimit-Policy", fmt.Sprintf(`"network";q=%d;w=%d`, v.Limit, int(ratelimit.Window.Seconds())))
	h.Set("RateLimit", fmt.Sprintf(`"network";r=%d;t=%d`, v.Remaining, reset))
	h.Set("RateLimit-Limit", strconv.Itoa(v.Limit))
	h.Set("RateLimit-Remaining", strconv.Itoa(v.Remaining))
	h.Set("RateLimit-Reset", strconv.Itoa(reset))
}

// refuse refuses a request. The first refusal of a network in a minute is recorded, because people in that network may
// ask support about it.
func (s *Server) refuse(c echo.Context, v ratelimit.Verdict) error {
	announce(c, v)
	refusal := fault.New(fault.RateLimited).After(v.Reset)
	ctx := c.Request().Context()
	if !s.limiter.Take("refusals", audit.CallerOf(ctx).Network, 1).Allowed {
		return refusal
	}
	portalID := audit.Installation
	if p, err := s.portals.Enabled(ctx, c.Param("portal")); err == nil {
		portalID = p.ID
	}
	event := audit.OfAddress(portalID, audit.NetworkLimited, digest.Digest{}).Failed(refusal)
	if err := s.audit.Record(ctx, event); err != nil && !errors.Is(err, ctx.Err()) {
		s.log.LogAttrs(ctx, slog.LevelWarn, "a refused network was not recorded", slog.Any("error", err))
	}
	return refusal
}

// unlimited reports whether the limits leave out a network.
func (s *Server) unlimited(network string) bool {
	return len(s.unlimitedNetworks) > 0 && contains(s.unlimitedNetworks, network)
}

// limitPasswords counts a change of a password by its caller, an account or an API key. Errors: rate_limited.
func (s *Server) limitPasswords(caller string, most int) error {
	if s.limiter == nil {
		return nil
	}
	if v := s.limiter.TakeOf("passwords "+caller, most); !v.Allowed {
		return fault.New(fault.RateLimited).After(v.Reset)
	}
	return nil
}
