package apitest

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// CommonRefusals tests the refusals that operations have in common, for every operation of the area whose tests run.
func CommonRefusals(t *testing.T) {
	t.Helper()
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := New(t, db)
		few := h.Calling(h.NewServer(t, db, WithLimits(api.Limits{Requests: 2, Failures: 1, Issues: 1, Passwords: 1, OwnPasswords: 1})))
		in := h.LogIn(t, h.Account(t, h.Portal(t)))
		admin := h.APIKey(t, Object{"name": "Administrator"})
		operator := h.APIKey(t, Object{"name": "Operator", "scopes": []string{"operator"}, "portal": nil})
		powerless := h.APIKey(t, Object{"name": "Powerless", "scopes": []string{"hashes"}})
		for _, op := range ownOperations() {
			c := commonCaller{h: h, op: op, as: Entitled(op, in)}
			c.requireCredentials(t, powerless)
			c.requirePortal(t)
			c.requireGoodInput(t)
			commonCaller{h: few, op: op, as: c.as}.requireRateLimit(t, admin)
		}
		cold := h.Calling(h.NewServer(t, db)) // has no portal in its cache
		require.NoError(t, db.Close())
		for _, op := range ownOperations() {
			as := Entitled(op, in)
			if AcceptsCredentials(op, "apiKey") {
				as = Bearer(operator.Text) // which has to be looked up, unlike the key of the configuration
			}
			cold.Call(t, op.Method, FillPath(op.Path, "acme"), ExampleBody(op), as).Problem(http.StatusServiceUnavailable, "unavailable")
		}
	})
}

// commonCaller calls an operation, with the credentials that it takes.
type commonCaller struct {
	h  *Harness
	op Operation
	as Option
}

func (c commonCaller) call(t *testing.T, body any, with ...Option) *Answer {
	t.Helper()
	return c.h.Call(t, c.op.Method, FillPath(c.op.Path, "acme"), body, append([]Option{c.as}, with...)...)
}

func (c commonCaller) requireCredentials(t *testing.T, powerless APIKey) {
	t.Helper()
	target, body := FillPath(c.op.Path, "acme"), ExampleBody(c.op)
	if WantsCredentials(c.op) {
		c.h.Call(t, c.op.Method, target, body).Problem(http.StatusUnauthorized, "authentication_required")
	}
	if AcceptsCredentials(c.op, "apiKey") {
		c.h.Call(t, c.op.Method, target, body, Bearer(powerless.Text)).Problem(http.StatusForbidden, "permission_denied")
	}
}

func (c commonCaller) requirePortal(t *testing.T) {
	t.Helper()
	if strings.Contains(c.op.Path, "{portal}") {
		c.h.Call(t, c.op.Method, FillPath(c.op.Path, "nowhere"), ExampleBody(c.op), c.as).
			Problem(http.StatusNotFound, "organization_not_found")
	}
}

func (c commonCaller) requireGoodInput(t *testing.T) {
	t.Helper()
	if TakesJSON(c.op) {
		const tooLong = 64<<10 + 1
		c.call(t, "{").Problem(http.StatusBadRequest, "malformed_request")
		c.call(t, "[]").Problem(http.StatusUnprocessableEntity, "validation_failed")
		c.call(t, strings.Repeat(" ", tooLong)).Problem(http.StatusRequestEntityTooLarge, "request_too_large")
		c.call(t, ExampleBody(c.op), Header("Content-Type", "text/plain")).
			Problem(http.StatusUnsupportedMediaType, "unsupported_media_type")
	}
	if c.op.Parameters.GetByInAndName("query", "limit") != nil {
		c.h.Get(t, FillPath(c.op.Path, "acme")+"?limit=0", c.as).Problem(http.StatusUnprocessableEntity, "validation_failed")
	}
}

// requireRateLimit calls an operation that documents a limit until it is refused. Operations that change passwords limit
// administrators too.
func (c commonCaller) requireRateLimit(t *testing.T, admin APIKey) {
	t.Helper()
	if !c.documentsLimit() {
		return
	}
	var body any
	with := c.as
	switch {
	case slices.Contains([]string{"createAccount", "updateAccount"}, c.op.OperationID):
		body, with = Object{"email": "limited@example.com", "password": GoodPassword}, Bearer(admin.Text)
	case TakesJSON(c.op):
		body = "[]"
	}
	for range 3 {
		if c.call(t, body, with).HTTPStatus == http.StatusTooManyRequests {
			break
		}
	}
	c.call(t, body, with).Problem(http.StatusTooManyRequests, "rate_limited").Remedies("wait")
}

// documentsLimit reports whether openapi.yaml says that the operation answers rate_limited.
func (c commonCaller) documentsLimit() bool {
	limited := c.op.Responses.Value("429")
	return limited != nil && strings.Contains(*limited.Value.Description, "rate_limited")
}
