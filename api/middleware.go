package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// requestTime is how long a request may take, so that a caller learns within 5 s that the database is down. fileTime is
// how long a whole import or export may take; each of its steps has requestTime.
const (
	requestTime = 4500 * time.Millisecond
	fileTime    = 5 * time.Minute
)

// maxUserAgent is how many octets of a User-Agent are kept.
const maxUserAgent = 256

var saneRequestID = regexp.MustCompile(`^[A-Za-z0-9._:/+=-]{1,128}$`)

// identify sets the request's id, and the caller for the audit trail.
func (s *Server) identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		id := r.Header.Get(echo.HeaderXRequestID)
		if !saneRequestID.MatchString(id) {
			fresh, err := uuid.NewV7()
			if err != nil {
				return err
			}
			id = fresh.String()
		}
		c.Response().Header().Set(echo.HeaderXRequestID, id)
		agent := r.UserAgent()
		if len(agent) > maxUserAgent {
			agent = agent[:maxUserAgent]
		}
		s.warnOfForwarded(r)
		caller := &audit.Caller{
			Network: callerAddress(r, s.proxies), RequestID: id, UserAgent: printable(agent),
		}
		c.SetRequest(r.WithContext(audit.WithCaller(r.Context(), caller)))
		return next(c)
	}
}

// printable drops characters that a log or a database cannot hold.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
}

func requestIDOf(c echo.Context) string { return c.Response().Header().Get(echo.HeaderXRequestID) }

// logged writes a line for every request, without personal data: it has the route and not the path, and no network.
func (s *Server) logged(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		begun := time.Now()
		err := next(c)
		level := slog.LevelInfo
		if c.Response().Status >= http.StatusInternalServerError {
			level = slog.LevelWarn
		}
		attrs := []slog.Attr{
			slog.String("method", c.Request().Method), slog.String("route", c.Path()),
			slog.Int("status", c.Response().Status), slog.Duration("took", time.Since(begun)),
			slog.String("request_id", requestIDOf(c)),
		}
		if p := portalOf(c); p != nil {
			attrs = append(attrs, slog.String("portal", p.Slug))
		}
		s.log.LogAttrs(c.Request().Context(), level, "request", attrs...)
		return err
	}
}

// answered writes the problem of an error, before logged and measured read the status.
func (s *Server) answered(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := next(c); err != nil {
			s.answerError(err, c)
		}
		return nil
	}
}

// recovered turns a panic into an internal error. Its stack is logged. Its value is logged only for errors of the
// runtime, because other values may contain what a caller sent.
func (s *Server) recovered(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			value := recover()
			if value == nil {
				return
			}
			if value == http.ErrAbortHandler { //nolint:errorlint // net/http compares it the same way
				panic(value)
			}
			what := fmt.Sprintf("%T", value)
			var fromRuntime runtime.Error
			if cause, ok := value.(error); ok && errors.As(cause, &fromRuntime) {
				what = fromRuntime.Error()
			}
			stack := make([]byte, 8<<10)
			stack = stack[:runtime.Stack(stack, false)]
			err = fmt.Errorf("panic: %s\n%s", what, stack)
		}()
		return next(c)
	}
}

// deadline ends a request's context early enough to answer its caller.
func (s *Server) deadline(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Set(callKey, c.Request().Context())
		ctx, cancel := step(c)
		defer cancel()
		c.SetRequest(c.Request().WithContext(ctx))
		return next(c)
	}
}

const callKey = "call"

// bodyFirst reads the body, and then moves the deadline by the time that took: a slow body is not the server's delay.
func (s *Server) bodyFirst(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if c.Request().ContentLength == 0 {
			return next(c)
		}
		begun := time.Now()
		readAhead(c)
		due, _ := c.Request().Context().Deadline() // deadline has set one
		ctx, cancel := context.WithDeadline(c.Get(callKey).(context.Context), due.Add(time.Since(begun)))
		defer cancel()
		c.SetRequest(c.Request().WithContext(ctx))
		return next(c)
	}
}

// step is the context of one step of a long request. It ends with the request, or after requestTime.
func step(c echo.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.Get(callKey).(context.Context), requestTime)
}

// dataPolicy lets a browser that opens an answer load nothing and frame it nowhere. Pages have policies of their own.
const dataPolicy = "default-src 'none'; frame-ancestors 'none'"

// transportPolicy makes browsers use https for a year (RFC 6797). It leaves out other hosts of the domain.
const transportPolicy = "max-age=31536000"

// headers sets the headers of every answer. Handlers of public pages allow caching themselves.
func (s *Server) headers(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set(echo.HeaderCacheControl, "no-store")
		h.Set(echo.HeaderXContentTypeOptions, "nosniff")
		h.Set(echo.HeaderReferrerPolicy, "no-referrer")
		h.Set(echo.HeaderXFrameOptions, "DENY")
		h.Set(echo.HeaderContentSecurityPolicy, dataPolicy)
		if strings.HasPrefix(s.publicURL, "https://") {
			h.Set(echo.HeaderStrictTransportSecurity, transportPolicy)
		}
		return next(c)
	}
}

const portalKey = "portal"

// inPortal finds the enabled portal of the path.
func (s *Server) inPortal(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		p, err := s.portals.Enabled(c.Request().Context(), c.Param("portal"))
		if err != nil {
			return err
		}
		c.Set(portalKey, p)
		return next(c)
	}
}

// portalOf is the portal of the path; nil before it is read.
func portalOf(c echo.Context) *portal.Portal {
	p, _ := c.Get(portalKey).(*portal.Portal)
	return p
}
