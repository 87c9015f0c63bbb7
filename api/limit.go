package api

import (
	"fmt"
	"math"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ratelimit"
)

// limited counts the requests of a network for an operation and says how many are left, in the fields of
// draft-ietf-httpapi-ratelimit-headers and in the three that came before it. Errors: rate_limited.
func (s *Server) limited(r route, next echo.HandlerFunc) echo.HandlerFunc {
	if s.limiter == nil || r.limit == 0 {
		return next
	}
	window := int(ratelimit.Window.Seconds())
	policy := fmt.Sprintf(`"network";q=%d;w=%d`, r.limit, window)
	return func(c echo.Context) error {
		verdict := s.limiter.Take(r.path, audit.CallerOf(c.Request().Context()).Network, r.limit)
		reset := int(math.Ceil(verdict.Reset.Seconds()))
		h := c.Response().Header()
		h.Set("RateLimit-Policy", policy)
		h.Set("RateLimit", fmt.Sprintf(`"network";r=%d;t=%d`, verdict.Remaining, reset))
		h.Set("RateLimit-Limit", strconv.Itoa(verdict.Limit))
		h.Set("RateLimit-Remaining", strconv.Itoa(verdict.Remaining))
		h.Set("RateLimit-Reset", strconv.Itoa(reset))
		if !verdict.Allowed {
			return fault.New(fault.RateLimited).After(verdict.Reset)
		}
		return next(c)
	}
}
