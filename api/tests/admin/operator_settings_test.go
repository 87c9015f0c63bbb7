package admin_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// An administrator of a portal cannot take another's domain or sender, switch the portal off, or cut the audit trail.
// All other settings are theirs.
func TestSettingsOfTheOperator(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{
			"domains": []string{"login.acme.example"}, "sender": apitest.Object{"address": "auth@acme.example"},
		})
		in := h.LogIn(t, h.Account(t, p, apitest.Object{"roles": []string{"admin"}}))
		program := h.APIKey(t, apitest.Object{"scopes": []string{"admin"}})
		for _, as := range []apitest.Option{apitest.Bearer(in.Access), apitest.Bearer(program.Text)} {
			before := string(h.Get(t, p.Admin, as).Status(http.StatusOK).Body)
			for pointer, members := range map[string][]apitest.Object{
				"/domains":         {{"domains": []string{}}, {"domains": []string{"login.acme.example", "login.bank.example"}}},
				"/enabled":         {{"enabled": false}},
				"/sender/address":  {{"sender": apitest.Object{"address": "ceo@bank.example"}}, {"sender": apitest.Object{"address": nil}}},
				"/audit_retention": {{"audit_retention": 86400}, {"audit_retention": 31536001}, {"audit_retention": 1}},
			} {
				for _, body := range members {
					h.Patch(t, p.Admin, apitest.Merge(body, apitest.Object{"name": "Changed"}), as).
						Problem(http.StatusForbidden, "permission_denied").FieldError(pointer, "read_only").Lacks("errors.1")
				}
			}
			h.Patch(t, p.Admin, apitest.Object{"enabled": false, "audit_retention": 86400}, as).
				FieldError("/enabled", "read_only").FieldError("/audit_retention", "read_only")
			require.Equal(t, before, string(h.Get(t, p.Admin, as).Body))

			h.Patch(t, p.Admin, apitest.Object{
				"domains": []string{"LOGIN.acme.example"}, "enabled": true, "audit_retention": 31536000,
				"sender": apitest.Object{"address": "auth@acme.example", "name": "Acme Login"}, "reset_ttl": 1800,
			}, as).Status(http.StatusOK).Is("sender.name", "Acme Login").Is("reset_ttl", 1800)
			h.Patch(t, p.Admin, apitest.Object{"sender": apitest.Object{"name": nil}, "reset_ttl": 900}, as).Status(http.StatusOK)
		}
		h.Patch(t, p.Admin, apitest.Object{
			"domains": []string{"new.acme.example"}, "sender": apitest.Object{"address": nil}, "audit_retention": 86400,
			"enabled": false,
		}, apitest.AsOperator).Status(http.StatusOK).Is("enabled", false).Is("audit_retention", 86400)
	})
}
