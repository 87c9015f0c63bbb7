package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/database"
)

type healthBody struct {
	Status string `json:"status"`
}

// health answers GET /healthz: the process runs.
func (s *Server) health(c echo.Context) error {
	return respond(c, http.StatusOK, healthBody{"ok"})
}

// ready answers GET /readyz: the database takes writes and is migrated, and a key can sign. Errors: unavailable.
func (s *Server) ready(c echo.Context) error {
	if err := s.db.Ready(c.Request().Context()); err != nil {
		return database.Err(err)
	}
	if err := s.keys.Ready(c.Request().Context()); err != nil {
		return err
	}
	return respond(c, http.StatusOK, healthBody{"ready"})
}

type statusBody struct {
	Status     string         `json:"status"`
	Components componentsBody `json:"components"`
}

type componentsBody struct {
	Database string `json:"database"`
	Mail     string `json:"mail"`
	SMS      string `json:"sms"`
}

// status answers GET /status, for a status page: 200 in any state.
func (s *Server) status(c echo.Context) error {
	ctx, body := c.Request().Context(), statusBody{"ok", componentsBody{"ok", "not_configured", "not_configured"}}
	if s.dispatch.Configured() {
		body.Components.Mail = "ok"
		if s.messages.Degraded(ctx) {
			body.Status, body.Components.Mail = "degraded", "degraded"
		}
	}
	if err := s.db.Ready(ctx); err != nil {
		body.Status, body.Components.Database = "degraded", "down"
	}
	return respond(c, http.StatusOK, body)
}
