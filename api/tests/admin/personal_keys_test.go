package admin_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// Nobody makes a key that may do more than they may, or lasts for ever because they did not say.
func TestKeysOfPeopleMayNoMoreThanTheirMaker(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		ada := h.Account(t, h.Portal(t), apitest.Object{"roles": []string{"admin"}})
		asAda := apitest.Bearer(h.LogIn(t, ada).Access)
		keyOf := func(scopes []string, with apitest.Option, more ...apitest.Object) *apitest.Answer {
			t.Helper()
			body := apitest.Object{"name": "Key", "scopes": scopes}
			for _, members := range more {
				body = apitest.Merge(body, members)
			}
			return h.Post(t, apitest.APIKeysPath, body, with)
		}
		const quarter = 90 * 24 * time.Hour
		full := keyOf([]string{"admin", "invitations:export"}, asAda).Status(http.StatusCreated).
			Is("created_by", "account:"+ada.ID).Is("expires_at", h.TimeAfter(quarter))
		keyOf([]string{"admin"}, asAda, apitest.Object{"expires_in": 3600}).Is("expires_at", h.TimeAfter(time.Hour))
		for _, scope := range []string{"operator", "hashes", "metrics"} {
			keyOf([]string{"admin", scope}, asAda).Problem(http.StatusForbidden, "permission_denied").
				FieldError("/scopes/1", "not_allowed")
		}

		narrow := keyOf([]string{"admin"}, apitest.Bearer(full.Text("key"))).Status(http.StatusCreated).
			Is("created_by", "api_key:"+full.Text("id")).Is("expires_at", h.TimeAfter(quarter))
		keyOf([]string{"invitations:export"}, apitest.Bearer(narrow.Text("key"))).
			Problem(http.StatusForbidden, "permission_denied").FieldError("/scopes/0", "not_allowed")

		keyOf([]string{"metrics"}, apitest.AsOperator).Status(http.StatusCreated).Is("created_by", "operator").
			Is("expires_at", nil).Is("portal", nil)
		keyOf([]string{"metrics", "admin"}, apitest.AsOperator).FieldError("/portal", "required")
		h.Get(t, apitest.APIKeysPath, asAda).Is("items.0.created_by", "api_key:"+full.Text("id"))
	})
}

// A key ends with the role of the person who made it, and so do the keys that it made: at once, and for good.
func TestKeysEndWithTheirMakersRole(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, h *apitest.Harness, ada apitest.Person){
		"the role is taken away": func(t *testing.T, h *apitest.Harness, ada apitest.Person) {
			h.Patch(t, ada.Admin, apitest.Object{"roles": []string{"editor"}}, apitest.AsOperator).Status(http.StatusOK)
			h.Patch(t, ada.Admin, apitest.Object{"roles": []string{"admin"}}, apitest.AsOperator).Status(http.StatusOK)
		},
		"the role is gone in the database": func(t *testing.T, h *apitest.Harness, ada apitest.Person) {
			h.Exec(t, "UPDATE accounts SET roles = '[]' WHERE id = ?", ada.ID)
		},
		"the account is disabled": func(t *testing.T, h *apitest.Harness, ada apitest.Person) {
			h.Patch(t, ada.Admin, apitest.Object{"disabled": true}, apitest.AsOperator).Status(http.StatusOK)
			h.Patch(t, ada.Admin, apitest.Object{"disabled": false}, apitest.AsOperator).Status(http.StatusOK)
		},
		"the account is deleted": func(t *testing.T, h *apitest.Harness, ada apitest.Person) {
			h.Delete(t, ada.Admin, apitest.AsOperator).Status(http.StatusNoContent)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, db *database.DB) {
				h := apitest.New(t, db)
				p := h.Portal(t)
				ada := h.Account(t, p, apitest.Object{"roles": []string{"admin"}})
				bob := h.Account(t, p, apitest.Object{"email": "bob@example.com", "roles": []string{"admin"}})
				asAda, asBob := apitest.Bearer(h.LogIn(t, ada).Access), apitest.Bearer(h.LogIn(t, bob).Access)
				body := apitest.Object{"name": "Key", "scopes": []string{"admin"}}
				first := h.Post(t, apitest.APIKeysPath, body, asAda).Status(http.StatusCreated).Text("key")
				second := h.Post(t, apitest.APIKeysPath, body, apitest.Bearer(first)).Status(http.StatusCreated).Text("key")
				others := []string{
					h.Post(t, apitest.APIKeysPath, body, asBob).Status(http.StatusCreated).Text("key"),
					h.APIKey(t, apitest.Object{"scopes": []string{"admin"}}).Text,
				}
				for _, key := range append(others, first, second) {
					h.Get(t, p.Admin, apitest.Bearer(key)).Status(http.StatusOK)
				}
				h.Patch(t, ada.Admin, apitest.Object{"given_name": "Ada"}, apitest.AsOperator).Status(http.StatusOK)
				h.Get(t, p.Admin, apitest.Bearer(first)).Status(http.StatusOK)
				end(t, h, ada)
				for _, key := range []string{first, second} {
					h.Get(t, p.Admin, apitest.Bearer(key)).Problem(http.StatusUnauthorized, "authentication_required")
				}
				for _, key := range others {
					h.Get(t, p.Admin, apitest.Bearer(key)).Status(http.StatusOK)
				}
				if name != "the role is gone in the database" {
					require.Equal(t, "2", h.QueryValue(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'api_key.revoked'"))
				}
			})
		})
	}
}
