package api_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
)

// What breaks inside is 500, and neither its caller nor the log hears the value that it broke with.
func TestPanicsAndErrorsAnswer500(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		const secret = "hunter2-is-what-the-caller-typed"
		h.Log.Forbid(secret)
		var nobody *apitest.Harness
		for name, breaks := range map[string]func(){
			"text":    func() { panic(secret) },
			"error":   func() { panic(errors.New(secret)) },
			"wrapped": func() { panic(fmt.Errorf("wrapped: %w", errors.New(secret))) },
			"struct":  func() { panic(struct{ Password string }{secret}) },
			"runtime": func() { _ = nobody.Clock.Now() },
			"index":   func() { _ = []int{}[len(secret)] },
		} {
			h.Server.HandleGet("/break/"+name, func(echo.Context) error { breaks(); return nil })
			a := h.Get(t, "/break/"+name, apitest.Header("X-Request-ID", "broken-"+name)).Problem(http.StatusInternalServerError, "internal").
				Remedies("retry", "contact_support").Is("request_id", "broken-"+name)
			require.NotContains(t, string(a.Body), secret)
			require.NotContains(t, string(a.Body), "goroutine")
			require.Contains(t, h.Log.String(), "broken-"+name)
		}
		require.Contains(t, h.Log.String(), "nil pointer dereference")
		require.Contains(t, h.Log.String(), "panic_test.go", "the log says where")

		h.Server.HandleGet("/fail", func(echo.Context) error { return errors.New("the cause is for the log") })
		a := h.Get(t, "/fail").Problem(http.StatusInternalServerError, "internal")
		require.NotContains(t, string(a.Body), "for the log")
		require.Contains(t, h.Log.String(), "the cause is for the log")
		h.Get(t, "/healthz").Status(http.StatusOK)
	})
}

// 423, 429 and 503 say when to try again, whatever fault they come from.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		for code, status := range api.Statuses {
			path := "/fail/" + string(code)
			h.Server.HandleGet(path, func(echo.Context) error { return fault.New(code) })
			a := h.Send(t, h.Request(t, http.MethodGet, path, nil)).Problem(status, string(code))
			switch status {
			case http.StatusLocked, http.StatusTooManyRequests, http.StatusServiceUnavailable:
				a.HasHeader("Retry-After", "1")
			default:
				a.HasHeader("Retry-After", "")
			}
		}
	})
}
