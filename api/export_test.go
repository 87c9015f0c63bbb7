package api

import (
	"github.com/labstack/echo/v4"
)

// Statuses, RemediesOf and AnotherOf are compared with openapi.yaml.
var (
	Statuses   = statuses
	RemediesOf = remediesOf
	AnotherOf  = anotherOf
)

// ActionAnother is replaced by the operation's entry in AnotherOf, so openapi.yaml does not list it.
const ActionAnother = actionAnother

// HandleGet adds a route, for a test whose handler fails.
func (s *Server) HandleGet(path string, handler echo.HandlerFunc) { s.echo.GET(path, handler) }
