package api_test

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

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

const apiKeys = "/v1/admin/api-keys"

// apiKey is a key that a test made.
type apiKey struct{ id, text string }

// apiKey makes one, as the operator unless another asks.
func (h *harness) apiKey(t testing.TB, members object, with ...option) apiKey {
	t.Helper()
	body := object{"name": "Key", "scopes": []string{"admin"}, "portal": "acme"}
	for name, value := range members {
		if body[name] = value; value == nil {
			delete(body, name)
		}
	}
	made := h.post(t, apiKeys, body, append([]option{asOperator}, with...)...).status(http.StatusCreated)
	return apiKey{made.text("id"), made.text("key")}
}

func TestAPIKeys(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		made := h.post(t, apiKeys, object{"name": " Nightly export ", "scopes": []string{"admin", "hashes"}, "portal": "acme", "expires_in": 3600},
			asOperator).status(http.StatusCreated).is("name", "Nightly export").is("scopes", []string{"admin", "hashes"}).
			is("portal", "acme").is("created_at", h.stamp(0)).is("expires_at", h.stamp(time.Hour)).is("last_used_at", nil).
			sets("Cache-Control", "no-store")
		id, key := made.text("id"), made.text("key")

		// It is shown this once, and what the database holds of it opens nothing.
		list := h.get(t, apiKeys, asOperator).status(http.StatusOK).is("items.0.id", id).lacks("items.0.key").lacks("items.1").
			is("items.0.last_used_at", nil).is("items.0.expires_at", h.stamp(time.Hour))
		require.NotContains(t, string(list.body), key)
		hashed := sha256.Sum256([]byte(key))
		read := "SELECT lower(hex(key_hash)) FROM api_keys"
		if h.db.Dialect() == database.Postgres {
			read = "SELECT encode(key_hash, 'hex') FROM api_keys"
		}
		require.Equal(t, hex.EncodeToString(hashed[:]), h.sql(t, read))

		h.clock.advance(time.Second)
		used := h.stamp(0)
		lastUsed := func(want any) {
			t.Helper()
			h.get(t, apiKeys, asOperator).is("items.0.last_used_at", want)
		}
		for range 2 {
			h.get(t, p.admin, bearer(key)).status(http.StatusOK)
			lastUsed(used)
			h.clock.advance(29 * time.Second)
		}
		h.clock.advance(2 * time.Second)
		h.get(t, p.admin, bearer(key)).status(http.StatusOK)
		lastUsed(h.stamp(0))

		h.clock.advance(time.Hour - 61*time.Second - time.Millisecond)
		h.get(t, p.admin, bearer(key)).status(http.StatusOK)
		h.clock.advance(time.Millisecond)
		h.get(t, p.admin, bearer(key)).problem(http.StatusUnauthorized, "authentication_required")
		h.get(t, apiKeys, asOperator).is("items.0.id", id) // to be seen, and revoked
		h.delete(t, apiKeys+"/"+id, asOperator).status(http.StatusNoContent)
		h.delete(t, apiKeys+"/"+id, asOperator).problem(http.StatusNotFound, "not_found")
		h.get(t, apiKeys, asOperator).is("items", []any{})
	})
}

func TestMisspelledAPIKeys(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		h.portal(t)
		key := h.apiKey(t, object{"scopes": []string{"operator"}, "portal": nil}).text
		h.get(t, apiKeys, bearer(key)).status(http.StatusOK)
		misspelled := []string{
			key[:len(key)-1], key + "A", key + "=", strings.ToUpper(key), "LK_" + key[3:], key[3:], "lk_", "lk_" + key, key[:40] + " " + key[40:],
			"lk_" + strings.Repeat("A", 86), "lk_" + strings.Repeat("A", 50_000), operatorKey + "x", operatorKey[:len(operatorKey)-1],
		}
		for i := 3; i < len(key); i++ {
			misspelled = append(misspelled, key[:i]+next(key[i])+key[i+1:])
		}
		for _, text := range misspelled {
			code := h.get(t, apiKeys, bearer(text)).status(http.StatusUnauthorized).text("code")
			if strings.HasPrefix(text, "lk_") {
				require.Equal(t, "authentication_required", code, text)
			}
		}
	})
}

// Each kind of caller gets at what is his, and at nothing else: the table is made of openapi.yaml, whose operations
// that take no access token are the operator's.
func TestWhoMayAdminister(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p, other := h.portal(t), h.portal(t, object{"slug": "other"})
		admin := h.logIn(t, h.account(t, p, object{"email": "admin@example.com", "roles": []string{"admin"}}))
		editor := h.logIn(t, h.account(t, p, object{"email": "editor@example.com", "roles": []string{"Admin", "administrator"}}))
		h.account(t, other, object{"email": "stranger@example.com"})
		const everything, ownPortal, nothing = "everything", "own portal", "nothing"
		for name, who := range map[string]struct {
			with option
			may  string
			code bool // may see codes
		}{
			"operator's key of the configuration": {asOperator, everything, true},
			"operator":                            {bearer(h.apiKey(t, object{"scopes": []string{"operator"}, "portal": nil}).text), everything, true},
			"admin":                               {bearer(h.apiKey(t, object{"scopes": []string{"admin"}}).text), ownPortal, false},
			"admin who exports":                   {bearer(h.apiKey(t, object{"scopes": []string{"invitations:export", "admin"}}).text), ownPortal, true},
			"who exports alone":                   {bearer(h.apiKey(t, object{"scopes": []string{"invitations:export"}}).text), nothing, true},
			"who has hashes alone":                {bearer(h.apiKey(t, object{"scopes": []string{"hashes"}}).text), nothing, false},
			"person with the role":                {bearer(admin.access), ownPortal, true},
			"person without":                      {bearer(editor.access), nothing, false},
		} {
			for _, op := range contract().operations {
				if !strings.HasPrefix(op.path, "/v1/admin") || slices.Contains([]string{"createPortal", "createAccount", "createApiKey", "createInvitation"}, op.OperationID) {
					continue // what would be made is made once
				}
				call := func(slug string) *answer {
					t.Helper()
					body := example(op)
					if op.OperationID == "updatePortal" {
						body = object{}
					}
					return h.call(t, op.method, fill(op.path, slug), body, who.with)
				}
				inPortal := strings.Contains(op.path, "{portal}")
				switch {
				case op.OperationID == "exportInvitations" && who.code:
					call("acme").status(http.StatusOK)
					if who.may != everything {
						call("other").problem(http.StatusNotFound, "organization_not_found")
					}
				case who.may == nothing, op.OperationID == "exportInvitations":
					call("acme").problem(http.StatusForbidden, "permission_denied").remedies("contact_administrator")
				case !accepts(op, "accessToken") && who.may == ownPortal:
					call("acme").problem(http.StatusForbidden, "permission_denied")
				case op.OperationID == "deletePortal":
					call("nowhere").problem(http.StatusNotFound, "organization_not_found")
				default:
					require.Contains(t, []int{200, 201, 204, 404}, call("acme").httpStatus, "%s: %s", name, op)
					if there := call("other"); inPortal && who.may == ownPortal {
						there.problem(http.StatusNotFound, "organization_not_found")
					}
				}
			}
		}
		for _, op := range []struct {
			target string
			body   object
		}{
			{"/v1/admin/portals", object{"slug": "another", "name": "Another"}},
			{p.admin + "/accounts", object{"email": "new@example.com"}},
			{p.admin + "/invitations", object{"email": "new@example.com"}},
			{apiKeys, object{"name": "Key", "scopes": []string{"admin"}, "portal": "acme"}},
		} {
			h.post(t, op.target, op.body, bearer(editor.access)).problem(http.StatusForbidden, "permission_denied")
		}
		h.post(t, "/v1/admin/portals", object{"slug": "another", "name": "Another"}, bearer(admin.access)).
			problem(http.StatusForbidden, "permission_denied")
		h.post(t, other.admin+"/accounts", object{"email": "new@example.com"}, bearer(admin.access)).
			problem(http.StatusNotFound, "organization_not_found")
		h.post(t, other.admin+"/invitations", object{"email": "new@example.com"}, bearer(admin.access)).
			problem(http.StatusNotFound, "organization_not_found")
		h.post(t, p.admin+"/invitations", object{"email": "new@example.com"}, bearer(admin.access)).status(http.StatusCreated)
		h.post(t, p.admin+"/accounts", object{"email": "new@example.com"}, bearer(admin.access)).status(http.StatusCreated)
	})
}

// A portal's administrators make keys for their own portal, with no more than they have.
func TestKeysOfPortalAdministrators(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p, other := h.portal(t), h.portal(t, object{"slug": "other"})
		in := h.logIn(t, h.account(t, p, object{"roles": []string{"admin"}}))
		theirs := h.apiKey(t, object{"portal": "other"})
		operators := h.apiKey(t, object{"scopes": []string{"operator"}, "portal": nil})
		for _, as := range []option{bearer(in.access), bearer(h.apiKey(t, nil).text)} {
			create := func(members object) *answer {
				t.Helper()
				members["name"] = "Key"
				return h.post(t, apiKeys, members, as)
			}
			for _, scopes := range [][]string{{"operator"}, {"hashes"}, {"admin", "hashes"}, {"admin", "operator"}} {
				create(object{"scopes": scopes}).problem(http.StatusForbidden, "permission_denied")
				create(object{"scopes": scopes, "portal": "acme"}).problem(http.StatusForbidden, "permission_denied")
			}
			for _, slug := range []string{"other", "nothing"} {
				create(object{"scopes": []string{"admin"}, "portal": slug}).problem(http.StatusNotFound, "organization_not_found")
			}
			var made []apiKey
			for _, members := range []object{{"scopes": []string{"admin", "invitations:export"}}, {"scopes": []string{"admin"}, "portal": "acme"}} {
				a := create(members).status(http.StatusCreated).is("portal", "acme")
				made = append(made, apiKey{a.text("id"), a.text("key")})
				h.get(t, p.admin, bearer(a.text("key"))).status(http.StatusOK)
				h.get(t, other.admin, bearer(a.text("key"))).problem(http.StatusNotFound, "organization_not_found")
			}
			for _, key := range []apiKey{theirs, operators} {
				require.NotContains(t, h.get(t, apiKeys, as).status(http.StatusOK).list("items", "id"), key.id)
				h.delete(t, apiKeys+"/"+key.id, as).problem(http.StatusNotFound, "not_found")
				h.get(t, apiKeys, bearer(key.text)).status(http.StatusOK)
			}
			listed := h.get(t, apiKeys, as).status(http.StatusOK).list("items", "id")
			require.Equal(t, []any{made[1].id, made[0].id}, listed[:2])
			h.delete(t, apiKeys+"/"+made[0].id, as).status(http.StatusNoContent)
			h.get(t, p.admin, bearer(made[0].text)).problem(http.StatusUnauthorized, "authentication_required")
		}
		require.Equal(t, []any{theirs.id}, h.get(t, apiKeys, bearer(theirs.text)).list("items", "id"))
		all := h.get(t, apiKeys, asOperator).status(http.StatusOK).list("items", "id")
		require.Len(t, all, 5)
		require.Subset(t, all, []any{theirs.id, operators.id})
		require.Equal(t, all, h.walk(t, apiKeys+"?limit=2", "id", 3))
		h.delete(t, apiKeys+"/"+theirs.id, asOperator).status(http.StatusNoContent)
	})
}

// What a person may is asked of the account as it is, whatever the token says.
func TestAnAdministratorNoMore(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		ada := h.account(t, p, object{"roles": []string{"admin"}})
		in := h.logIn(t, ada)
		accounts := p.admin + "/accounts"
		h.get(t, accounts, bearer(in.access)).status(http.StatusOK)
		h.patch(t, ada.admin, object{"roles": []string{"editor"}}, asOperator).status(http.StatusOK)
		h.get(t, accounts, bearer(in.access)).problem(http.StatusForbidden, "permission_denied")
		h.alive(t, p, in.access, true)
		h.patch(t, ada.admin, object{"roles": []string{"editor", "admin"}}, asOperator).status(http.StatusOK)
		h.get(t, accounts, bearer(in.access)).status(http.StatusOK)
		require.Equal(t, "account:"+ada.id, h.actorOf(t, func() {
			h.post(t, accounts, object{"email": "bob@example.com"}, bearer(in.access)).status(http.StatusCreated)
		}))
		key := h.apiKey(t, nil)
		require.Equal(t, "api_key:"+key.id, h.actorOf(t, func() {
			h.post(t, accounts, object{"email": "eve@example.com"}, bearer(key.text)).status(http.StatusCreated)
		}))

		h.patch(t, p.admin, object{"enabled": false}, asOperator).status(http.StatusOK)
		h.get(t, accounts, bearer(in.access)).problem(http.StatusUnauthorized, "access_token_invalid")
		h.get(t, accounts, bearer(key.text)).status(http.StatusOK) // so that it can be enabled again
		h.patch(t, p.admin, object{"enabled": true}, bearer(key.text)).status(http.StatusOK)
		h.get(t, accounts, bearer(in.access)).status(http.StatusOK)
		h.post(t, p.front+"/logout", object{"refresh_token": in.refresh}).status(http.StatusNoContent)
		h.get(t, accounts, bearer(in.access)).problem(http.StatusUnauthorized, "access_token_invalid")

		h.delete(t, p.admin, asOperator).status(http.StatusNoContent)
		h.get(t, apiKeys, bearer(key.text)).problem(http.StatusUnauthorized, "authentication_required")
	})
}

// actorOf is who the audit trail says made the account that act makes.
func (h *harness) actorOf(t testing.TB, act func()) string {
	t.Helper()
	act()
	return h.sql(t, "SELECT actor FROM audit_events WHERE type = 'account.created' ORDER BY id DESC LIMIT 1")
}

// Forged access tokens open no more of the administrators' door than of the people's.
func TestForgedAdministrators(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		h.portal(t, object{"slug": "other"})
		f := newForge(t, h, h.logIn(t, h.account(t, p, object{"roles": []string{"admin"}})))
		h.get(t, p.admin, bearer(f.real)).status(http.StatusOK)
		for name, token := range f.forged(h.clock.now()) {
			a := h.get(t, p.admin, bearer(token))
			require.Equal(t, http.StatusUnauthorized, a.httpStatus, name)
			a.is("code", "access_token_invalid")
		}
	})
}

// A key is revoked at once, on every instance.
func TestAKeyIsRevokedEverywhere(t *testing.T) {
	t.Parallel()
	for _, d := range databasetest.Dialects() {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			url := databasetest.URL(t, d)
			h := newHarness(t, databasetest.OpenURL(t, url))
			other := h.calling(h.another(t, databasetest.OpenURL(t, url)))
			p := h.portal(t)
			for _, members := range []object{nil, {"scopes": []string{"operator"}, "portal": nil}} {
				key := h.apiKey(t, members)
				for _, at := range []*harness{h, other, h, other} {
					at.get(t, p.admin, bearer(key.text)).status(http.StatusOK)
				}
				h.delete(t, apiKeys+"/"+key.id, asOperator).status(http.StatusNoContent)
				for _, at := range []*harness{other, h} {
					at.get(t, p.admin, bearer(key.text)).problem(http.StatusUnauthorized, "authentication_required")
				}
			}
		})
	}
}

func TestAPIKeysThatAreRefused(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		h.portal(t)
		before := h.counts(t)
		for _, tt := range []struct {
			members       object
			pointer, code string
		}{
			{object{"name": " \u3000"}, "/name", "required"},
			{object{"name": strings.Repeat("é", 101)}, "/name", "too_long"},
			{object{"scopes": []string{}}, "/scopes", "required"},
			{object{"scopes": []string{"admin", "root"}}, "/scopes/1", "not_allowed"},
			{object{"scopes": []string{"Admin"}}, "/scopes/0", "not_allowed"},
			{object{"scopes": []string{"admin", "admin"}}, "/scopes/1", "duplicate_member"},
			{object{"scopes": []string{"operator"}}, "/portal", "conflict"},
			{object{"scopes": []string{"operator", "admin"}}, "/portal", "conflict"},
			{object{"expires_in": 59}, "/expires_in", "out_of_range"},
			{object{"expires_in": 0}, "/expires_in", "out_of_range"},
			{object{"expires_in": -1}, "/expires_in", "out_of_range"},
			{object{"expires_in": 315360001}, "/expires_in", "out_of_range"},
			{object{"expires_in": int64(1) << 62}, "/expires_in", "out_of_range"},
		} {
			body := object{"name": "Key", "scopes": []string{"admin"}, "portal": "acme"}
			for name, value := range tt.members {
				body[name] = value
			}
			h.post(t, apiKeys, body, asOperator).problem(http.StatusUnprocessableEntity, "validation_failed").field(tt.pointer, tt.code)
		}
		h.post(t, apiKeys, object{"name": "Key", "scopes": []string{"admin"}}, asOperator).
			problem(http.StatusUnprocessableEntity, "validation_failed").field("/portal", "required")
		for _, slug := range []string{"nothing", "ACME", "acme "} {
			h.post(t, apiKeys, object{"name": "Key", "scopes": []string{"admin"}, "portal": slug}, asOperator).
				problem(http.StatusNotFound, "organization_not_found")
		}
		for _, id := range []string{"x", uuid.Must(uuid.NewV7()).String(), "%00"} {
			h.delete(t, apiKeys+"/"+id, asOperator).problem(http.StatusNotFound, "not_found")
		}
		require.Equal(t, before, h.counts(t))
	})
}
