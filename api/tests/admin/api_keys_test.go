package admin_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

func TestAPIKeys(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		made := h.Post(t, apitest.APIKeysPath, apitest.Object{"name": " Nightly export ", "scopes": []string{"admin", "hashes"}, "portal": "acme", "expires_in": 3600},
			apitest.AsOperator).Status(http.StatusCreated).Is("name", "Nightly export").Is("scopes", []string{"admin", "hashes"}).
			Is("portal", "acme").Is("created_at", h.TimeAfter(0)).Is("expires_at", h.TimeAfter(time.Hour)).Is("last_used_at", nil).
			HasHeader("Cache-Control", "no-store")
		id, key := made.Text("id"), made.Text("key")

		// It is shown this once, and what the database holds of it opens nothing.
		list := h.Get(t, apitest.APIKeysPath, apitest.AsOperator).Status(http.StatusOK).Is("items.0.id", id).Lacks("items.0.key").Lacks("items.1").
			Is("items.0.last_used_at", nil).Is("items.0.expires_at", h.TimeAfter(time.Hour))
		require.NotContains(t, string(list.Body), key)
		hashed := sha256.Sum256([]byte(key))
		read := "SELECT lower(hex(key_hash)) FROM api_keys"
		if h.DB.Dialect() == database.Postgres {
			read = "SELECT encode(key_hash, 'hex') FROM api_keys"
		}
		require.Equal(t, hex.EncodeToString(hashed[:]), h.QueryValue(t, read))

		h.Clock.Advance(time.Second)
		used := h.TimeAfter(0)
		lastUsed := func(want any) {
			t.Helper()
			h.Get(t, apitest.APIKeysPath, apitest.AsOperator).Is("items.0.last_used_at", want)
		}
		for range 2 {
			h.Get(t, p.Admin, apitest.Bearer(key)).Status(http.StatusOK)
			lastUsed(used)
			h.Clock.Advance(29 * time.Second)
		}
		h.Clock.Advance(2 * time.Second)
		h.Get(t, p.Admin, apitest.Bearer(key)).Status(http.StatusOK)
		lastUsed(h.TimeAfter(0))

		h.Clock.Advance(time.Hour - 61*time.Second - time.Millisecond)
		h.Get(t, p.Admin, apitest.Bearer(key)).Status(http.StatusOK)
		h.Clock.Advance(time.Millisecond)
		h.Get(t, p.Admin, apitest.Bearer(key)).Problem(http.StatusUnauthorized, "authentication_required")
		h.Get(t, apitest.APIKeysPath, apitest.AsOperator).Is("items.0.id", id) // to be seen, and revoked
		h.Delete(t, apitest.APIKeysPath+"/"+id, apitest.AsOperator).Status(http.StatusNoContent)
		h.Delete(t, apitest.APIKeysPath+"/"+id, apitest.AsOperator).Problem(http.StatusNotFound, "not_found")
		h.Get(t, apitest.APIKeysPath, apitest.AsOperator).Is("items", []any{})
	})
}

func TestMisspelledAPIKeys(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		h.Portal(t)
		key := h.APIKey(t, apitest.Object{"scopes": []string{"operator"}, "portal": nil}).Text
		h.Get(t, apitest.APIKeysPath, apitest.Bearer(key)).Status(http.StatusOK)
		misspelled := []string{
			key[:len(key)-1], key + "A", key + "=", strings.ToUpper(key), "LK_" + key[3:], key[3:], "lk_", "lk_" + key, key[:40] + " " + key[40:],
			"lk_" + strings.Repeat("A", 86), "lk_" + strings.Repeat("A", 50_000), apitest.OperatorKey + "x", apitest.OperatorKey[:len(apitest.OperatorKey)-1],
		}
		for i := 3; i < len(key); i++ {
			misspelled = append(misspelled, key[:i]+apitest.OtherBase64URL(key[i])+key[i+1:])
		}
		for _, text := range misspelled {
			code := h.Get(t, apitest.APIKeysPath, apitest.Bearer(text)).Status(http.StatusUnauthorized).Text("code")
			if strings.HasPrefix(text, "lk_") {
				require.Equal(t, "authentication_required", code, text)
			}
		}
	})
}

// Each kind of caller may call their own operations alone. The table is made from openapi.yaml: an operation that takes no
// access token is for the operator.
func TestAdminPermissions(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p, other := h.Portal(t), h.Portal(t, apitest.Object{"slug": "other"})
		admin := h.LogIn(t, h.Account(t, p, apitest.Object{"email": "admin@example.com", "roles": []string{"admin"}}))
		editor := h.LogIn(t, h.Account(t, p, apitest.Object{"email": "editor@example.com", "roles": []string{"Admin", "administrator"}}))
		h.Account(t, other, apitest.Object{"email": "stranger@example.com"})
		const everything, ownPortal, nothing = "everything", "own portal", "nothing"
		for name, who := range map[string]struct {
			with apitest.Option
			may  string
			code bool // may see codes
		}{
			"operator's key of the configuration": {apitest.AsOperator, everything, true},
			"operator":                            {apitest.Bearer(h.APIKey(t, apitest.Object{"scopes": []string{"operator"}, "portal": nil}).Text), everything, true},
			"admin":                               {apitest.Bearer(h.APIKey(t, apitest.Object{"scopes": []string{"admin"}}).Text), ownPortal, false},
			"admin who exports":                   {apitest.Bearer(h.APIKey(t, apitest.Object{"scopes": []string{"invitations:export", "admin"}}).Text), ownPortal, true},
			"who exports alone":                   {apitest.Bearer(h.APIKey(t, apitest.Object{"scopes": []string{"invitations:export"}}).Text), nothing, true},
			"who has hashes alone":                {apitest.Bearer(h.APIKey(t, apitest.Object{"scopes": []string{"hashes"}}).Text), nothing, false},
			"person with the role":                {apitest.Bearer(admin.Access), ownPortal, true},
			"person without":                      {apitest.Bearer(editor.Access), nothing, false},
		} {
			for _, op := range apitest.OpenAPI().Operations {
				if !strings.HasPrefix(op.Path, "/v1/admin") || slices.Contains([]string{"createPortal", "createAccount", "createApiKey", "createInvitation"}, op.OperationID) {
					continue // what would be made is made once
				}
				call := func(slug string) *apitest.Answer {
					t.Helper()
					body := apitest.ExampleBody(op)
					if op.OperationID == "updatePortal" {
						body = apitest.Object{}
					}
					return h.Call(t, op.Method, apitest.FillPath(op.Path, slug), body, who.with)
				}
				inPortal := strings.Contains(op.Path, "{portal}")
				switch {
				case op.OperationID == "exportInvitations" && who.code:
					call("acme").Status(http.StatusOK)
					if who.may != everything {
						call("other").Problem(http.StatusNotFound, "organization_not_found")
					}
				case who.may == nothing, op.OperationID == "exportInvitations":
					call("acme").Problem(http.StatusForbidden, "permission_denied").Remedies("contact_administrator")
				case !apitest.AcceptsCredentials(op, "accessToken") && who.may == ownPortal:
					call("acme").Problem(http.StatusForbidden, "permission_denied")
				case op.OperationID == "deletePortal":
					call("nowhere").Problem(http.StatusNotFound, "organization_not_found")
				default:
					require.Contains(t, []int{200, 201, 204, 404}, call("acme").HTTPStatus, "%s: %s", name, op)
					if there := call("other"); inPortal && who.may == ownPortal {
						there.Problem(http.StatusNotFound, "organization_not_found")
					}
				}
			}
		}
		for _, op := range []struct {
			target string
			body   apitest.Object
		}{
			{"/v1/admin/portals", apitest.Object{"slug": "another", "name": "Another"}},
			{p.Admin + "/accounts", apitest.Object{"email": "new@example.com"}},
			{p.Admin + "/invitations", apitest.Object{"email": "new@example.com"}},
			{apitest.APIKeysPath, apitest.Object{"name": "Key", "scopes": []string{"admin"}, "portal": "acme"}},
		} {
			h.Post(t, op.target, op.body, apitest.Bearer(editor.Access)).Problem(http.StatusForbidden, "permission_denied")
		}
		h.Post(t, "/v1/admin/portals", apitest.Object{"slug": "another", "name": "Another"}, apitest.Bearer(admin.Access)).
			Problem(http.StatusForbidden, "permission_denied")
		h.Post(t, other.Admin+"/accounts", apitest.Object{"email": "new@example.com"}, apitest.Bearer(admin.Access)).
			Problem(http.StatusNotFound, "organization_not_found")
		h.Post(t, other.Admin+"/invitations", apitest.Object{"email": "new@example.com"}, apitest.Bearer(admin.Access)).
			Problem(http.StatusNotFound, "organization_not_found")
		h.Post(t, p.Admin+"/invitations", apitest.Object{"email": "new@example.com"}, apitest.Bearer(admin.Access)).Status(http.StatusCreated)
		h.Post(t, p.Admin+"/accounts", apitest.Object{"email": "new@example.com"}, apitest.Bearer(admin.Access)).Status(http.StatusCreated)
	})
}

// A portal's administrators make keys for their own portal, with no more than they have.
func TestKeysOfPortalAdministrators(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p, other := h.Portal(t), h.Portal(t, apitest.Object{"slug": "other"})
		in := h.LogIn(t, h.Account(t, p, apitest.Object{"roles": []string{"admin"}}))
		theirs := h.APIKey(t, apitest.Object{"portal": "other"})
		operators := h.APIKey(t, apitest.Object{"scopes": []string{"operator"}, "portal": nil})
		programs := h.APIKey(t, apitest.Object{"scopes": []string{"admin", "invitations:export"}})
		for _, as := range []apitest.Option{apitest.Bearer(in.Access), apitest.Bearer(programs.Text)} {
			create := func(members apitest.Object) *apitest.Answer {
				t.Helper()
				members["name"] = "Key"
				return h.Post(t, apitest.APIKeysPath, members, as)
			}
			for _, scopes := range [][]string{{"operator"}, {"hashes"}, {"admin", "hashes"}, {"admin", "operator"}} {
				create(apitest.Object{"scopes": scopes}).Problem(http.StatusForbidden, "permission_denied")
				create(apitest.Object{"scopes": scopes, "portal": "acme"}).Problem(http.StatusForbidden, "permission_denied")
			}
			for _, slug := range []string{"other", "nothing"} {
				create(apitest.Object{"scopes": []string{"admin"}, "portal": slug}).Problem(http.StatusNotFound, "organization_not_found")
			}
			var made []apitest.APIKey
			for _, members := range []apitest.Object{{"scopes": []string{"admin", "invitations:export"}}, {"scopes": []string{"admin"}, "portal": "acme"}} {
				a := create(members).Status(http.StatusCreated).Is("portal", "acme")
				made = append(made, apitest.APIKey{ID: a.Text("id"), Text: a.Text("key")})
				h.Get(t, p.Admin, apitest.Bearer(a.Text("key"))).Status(http.StatusOK)
				h.Get(t, other.Admin, apitest.Bearer(a.Text("key"))).Problem(http.StatusNotFound, "organization_not_found")
			}
			for _, key := range []apitest.APIKey{theirs, operators} {
				require.NotContains(t, h.Get(t, apitest.APIKeysPath, as).Status(http.StatusOK).List("items", "id"), key.ID)
				h.Delete(t, apitest.APIKeysPath+"/"+key.ID, as).Problem(http.StatusNotFound, "not_found")
				h.Get(t, apitest.APIKeysPath, apitest.Bearer(key.Text)).Status(http.StatusOK)
			}
			listed := h.Get(t, apitest.APIKeysPath, as).Status(http.StatusOK).List("items", "id")
			require.Equal(t, []any{made[1].ID, made[0].ID}, listed[:2])
			h.Delete(t, apitest.APIKeysPath+"/"+made[0].ID, as).Status(http.StatusNoContent)
			h.Get(t, p.Admin, apitest.Bearer(made[0].Text)).Problem(http.StatusUnauthorized, "authentication_required")
		}
		require.Equal(t, []any{theirs.ID}, h.Get(t, apitest.APIKeysPath, apitest.Bearer(theirs.Text)).List("items", "id"))
		all := h.Get(t, apitest.APIKeysPath, apitest.AsOperator).Status(http.StatusOK).List("items", "id")
		require.Len(t, all, 5)
		require.Subset(t, all, []any{theirs.ID, operators.ID})
		require.Equal(t, all, h.ListAll(t, apitest.APIKeysPath+"?limit=2", "id", 3))
		h.Delete(t, apitest.APIKeysPath+"/"+theirs.ID, apitest.AsOperator).Status(http.StatusNoContent)
	})
}

// What a person may is asked of the account as it is, whatever the token says.
func TestRevokedAdminRole(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		ada := h.Account(t, p, apitest.Object{"roles": []string{"admin"}})
		in := h.LogIn(t, ada)
		accounts := p.Admin + "/accounts"
		h.Get(t, accounts, apitest.Bearer(in.Access)).Status(http.StatusOK)
		h.Patch(t, ada.Admin, apitest.Object{"roles": []string{"editor"}}, apitest.AsOperator).Status(http.StatusOK)
		h.Get(t, accounts, apitest.Bearer(in.Access)).Problem(http.StatusForbidden, "permission_denied")
		h.RequireAccess(t, p, in.Access, true)
		h.Patch(t, ada.Admin, apitest.Object{"roles": []string{"editor", "admin"}}, apitest.AsOperator).Status(http.StatusOK)
		h.Get(t, accounts, apitest.Bearer(in.Access)).Status(http.StatusOK)
		require.Equal(t, "account:"+ada.ID, actorOf(t, h, func() {
			h.Post(t, accounts, apitest.Object{"email": "bob@example.com"}, apitest.Bearer(in.Access)).Status(http.StatusCreated)
		}))
		key := h.APIKey(t, nil)
		require.Equal(t, "api_key:"+key.ID, actorOf(t, h, func() {
			h.Post(t, accounts, apitest.Object{"email": "eve@example.com"}, apitest.Bearer(key.Text)).Status(http.StatusCreated)
		}))

		h.Patch(t, p.Admin, apitest.Object{"enabled": false}, apitest.AsOperator).Status(http.StatusOK)
		h.Get(t, accounts, apitest.Bearer(in.Access)).Problem(http.StatusUnauthorized, "access_token_invalid")
		h.Get(t, accounts, apitest.Bearer(key.Text)).Status(http.StatusOK)
		h.Patch(t, p.Admin, apitest.Object{"enabled": true}, apitest.Bearer(key.Text)).
			Problem(http.StatusForbidden, "permission_denied")
		h.Patch(t, p.Admin, apitest.Object{"enabled": true}, apitest.AsOperator).Status(http.StatusOK)
		h.Get(t, accounts, apitest.Bearer(in.Access)).Status(http.StatusOK)
		h.Post(t, p.Front+"/logout", apitest.Object{"refresh_token": in.Refresh}).Status(http.StatusNoContent)
		h.Get(t, accounts, apitest.Bearer(in.Access)).Problem(http.StatusUnauthorized, "access_token_invalid")

		h.Delete(t, p.Admin, apitest.AsOperator).Status(http.StatusNoContent)
		h.Get(t, apitest.APIKeysPath, apitest.Bearer(key.Text)).Problem(http.StatusUnauthorized, "authentication_required")
	})
}

// actorOf is who the audit trail says made the account that act makes.
func actorOf(t testing.TB, h *apitest.Harness, act func()) string {
	t.Helper()
	act()
	return h.QueryValue(t, "SELECT actor FROM audit_events WHERE type = 'account.created' ORDER BY id DESC LIMIT 1")
}

// The admin API refuses forged access tokens.
func TestForgedAdminTokens(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		h.Portal(t, apitest.Object{"slug": "other"})
		f := apitest.NewForge(t, h, h.LogIn(t, h.Account(t, p, apitest.Object{"roles": []string{"admin"}})))
		h.Get(t, p.Admin, apitest.Bearer(f.Real)).Status(http.StatusOK)
		for name, token := range f.Forged(h.Clock.Now()) {
			a := h.Get(t, p.Admin, apitest.Bearer(token))
			require.Equal(t, http.StatusUnauthorized, a.HTTPStatus, name)
			a.Is("code", "access_token_invalid")
		}
	})
}

// A key is revoked at once, on every instance.
func TestAPIKeyRevocationOnAllInstances(t *testing.T) {
	t.Parallel()
	for _, d := range databasetest.Dialects() {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			url := databasetest.URL(t, d)
			h := apitest.New(t, databasetest.OpenURL(t, url))
			other := h.Calling(h.NewServer(t, databasetest.OpenURL(t, url)))
			p := h.Portal(t)
			for _, members := range []apitest.Object{nil, {"scopes": []string{"operator"}, "portal": nil}} {
				key := h.APIKey(t, members)
				for _, at := range []*apitest.Harness{h, other, h, other} {
					at.Get(t, p.Admin, apitest.Bearer(key.Text)).Status(http.StatusOK)
				}
				h.Delete(t, apitest.APIKeysPath+"/"+key.ID, apitest.AsOperator).Status(http.StatusNoContent)
				for _, at := range []*apitest.Harness{other, h} {
					at.Get(t, p.Admin, apitest.Bearer(key.Text)).Problem(http.StatusUnauthorized, "authentication_required")
				}
			}
		})
	}
}

func TestInvalidAPIKeys(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		h.Portal(t)
		before := h.RowCounts(t)
		for _, tt := range []struct {
			members       apitest.Object
			pointer, code string
		}{
			{apitest.Object{"name": " \u3000"}, "/name", "required"},
			{apitest.Object{"name": strings.Repeat("é", 101)}, "/name", "too_long"},
			{apitest.Object{"scopes": []string{}}, "/scopes", "required"},
			{apitest.Object{"scopes": []string{"admin", "root"}}, "/scopes/1", "not_allowed"},
			{apitest.Object{"scopes": []string{"Admin"}}, "/scopes/0", "not_allowed"},
			{apitest.Object{"scopes": []string{"admin", "admin"}}, "/scopes/1", "duplicate_member"},
			{apitest.Object{"scopes": []string{"operator"}}, "/portal", "conflict"},
			{apitest.Object{"scopes": []string{"operator", "admin"}}, "/portal", "conflict"},
			{apitest.Object{"expires_in": 59}, "/expires_in", "out_of_range"},
			{apitest.Object{"expires_in": 0}, "/expires_in", "out_of_range"},
			{apitest.Object{"expires_in": -1}, "/expires_in", "out_of_range"},
			{apitest.Object{"expires_in": 315360001}, "/expires_in", "out_of_range"},
			{apitest.Object{"expires_in": int64(1) << 62}, "/expires_in", "out_of_range"},
		} {
			body := apitest.Object{"name": "Key", "scopes": []string{"admin"}, "portal": "acme"}
			for name, value := range tt.members {
				body[name] = value
			}
			h.Post(t, apitest.APIKeysPath, body, apitest.AsOperator).Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError(tt.pointer, tt.code)
		}
		h.Post(t, apitest.APIKeysPath, apitest.Object{"name": "Key", "scopes": []string{"admin"}}, apitest.AsOperator).
			Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/portal", "required")
		for _, slug := range []string{"nothing", "ACME", "acme "} {
			h.Post(t, apitest.APIKeysPath, apitest.Object{"name": "Key", "scopes": []string{"admin"}, "portal": slug}, apitest.AsOperator).
				Problem(http.StatusNotFound, "organization_not_found")
		}
		for _, id := range []string{"x", uuid.Must(uuid.NewV7()).String(), "%00"} {
			h.Delete(t, apitest.APIKeysPath+"/"+id, apitest.AsOperator).Problem(http.StatusNotFound, "not_found")
		}
		require.Equal(t, before, h.RowCounts(t))
	})
}
