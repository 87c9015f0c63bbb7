package apitest

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// ListAll reads a list page by page, as the operator unless another asks, and gives a member of each item; there must be
// so many pages.
func (h *Harness) ListAll(t testing.TB, target, member string, pages int, with ...Option) (all []any) {
	t.Helper()
	cursor := ""
	for range pages {
		a := h.Get(t, target+cursor, append([]Option{AsOperator}, with...)...).Status(http.StatusOK)
		all = append(all, a.List("items", member)...)
		next, _ := a.At("next_cursor")
		text, more := next.(string)
		if !more {
			cursor = ""
			continue
		}
		cursor = "&cursor=" + text
	}
	require.Empty(t, cursor, "more pages than %d", pages)
	return all
}

// APIKeysPath is where API keys are made and listed.
const APIKeysPath = "/v1/admin/api-keys"

// APIKey is a key that a test made.
type APIKey struct{ ID, Text string }

// APIKey creates an API key, as the operator unless an option says otherwise.
func (h *Harness) APIKey(t testing.TB, members Object, with ...Option) APIKey {
	t.Helper()
	body := Object{"name": "Key", "scopes": []string{"admin"}, "portal": "acme"}
	for name, value := range members {
		if body[name] = value; value == nil {
			delete(body, name)
		}
	}
	made := h.Post(t, APIKeysPath, body, append([]Option{AsOperator}, with...)...).Status(http.StatusCreated)
	return APIKey{made.Text("id"), made.Text("key")}
}
