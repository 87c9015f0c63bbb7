package api

import (
	"github.com/labstack/echo/v4"
)

// Statuses, RemediesOf and what stands for another secret in them are what the tests of the contract hold against
// openapi.yaml.
var (
	Statuses   = statuses
	RemediesOf = remediesOf
	AnotherOf  = anotherOf
)

// ActionAnother is none of the contract's: an operation's entry in AnotherOf takes its place.
const ActionAnother = actionAnother

// HandleGet adds a route that no contract has, for a test to break.
func (s *Server) HandleGet(path string, handler echo.HandlerFunc) { s.echo.GET(path, handler) }
