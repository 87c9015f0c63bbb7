package admin_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// defaults are the settings of a portal that was created with a slug and a name alone.
var defaults = apitest.Object{
	"enabled": true, "domains": []string{}, "origins": []string{}, "enumeration": "open", "registration": "open",
	"login_methods": []string{"password"}, "require_confirmation": true, "confirmation_ttl": 86400, "password_min_length": 12,
	"reset_ttl": 900, "set_password_ttl": 86400, "invitation_ttl": 604800, "code_ttl": 900, "device_verification": false,
	"device_pin_ttl": 1800, "device_ttl": 2592000, "access_token_ttl": 600, "refresh_token_ttl": 1209600, "refresh_grace": 10,
	"lockout":         apitest.Object{"threshold": 5, "window": 900, "duration": 900, "max_duration": 1800},
	"session_max_age": 2592000, "cookie_same_site": "lax", "default_locale": "en", "audit_retention": 31536000,
	"links":  apitest.Object{"confirm": nil, "reset": nil, "invitation": nil, "login": nil},
	"sender": apitest.Object{"name": nil, "address": nil}, "support": apitest.Object{"email": nil, "url": nil},
}

func TestPortalDefaults(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		made := h.Post(t, "/v1/admin/portals", apitest.Object{"slug": "acme", "name": "  Acme "}, apitest.AsOperator).Status(http.StatusCreated).
			HasHeader("Location", "/v1/admin/portals/acme").Is("slug", "acme").Is("name", "Acme")
		got := h.Get(t, "/v1/admin/portals/acme", apitest.AsOperator).Status(http.StatusOK)
		require.JSONEq(t, string(made.Body), string(got.Body))
		var members apitest.Object
		got.Decode(&members)
		for name, want := range defaults {
			got.Is(name, want)
			delete(members, name)
		}
		for _, known := range []string{"id", "slug", "name", "created_at", "updated_at"} {
			delete(members, known)
		}
		require.Empty(t, members, "settings without a known default")

		h.Get(t, "/v1/portals/acme").Status(http.StatusOK).Is("name", "Acme").Is("registration", "open").
			Is("login_methods", []string{"password"}).Is("password", apitest.Object{"min_length": 12, "max_length": 128}).
			Is("locales", []string{"en", "de", "fr", "nl", "da"}).Is("sender", apitest.Object{"name": "Acme", "address": nil}).
			Is("support", apitest.Object{"email": nil, "url": nil})
	})
}

func TestPatchingAPortal(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{"name": "Acme", "lockout": apitest.Object{"threshold": 7}, "sender": apitest.Object{"name": "Acme Mail"}})
		h.Get(t, p.Admin, apitest.AsOperator).Is("lockout", apitest.Object{"threshold": 7, "window": 900, "duration": 900, "max_duration": 1800}).
			Is("sender", apitest.Object{"name": "Acme Mail", "address": nil})
		h.Clock.Advance(time.Minute)
		h.Patch(t, p.Admin, apitest.Object{
			"lockout": apitest.Object{"window": 60}, "sender": apitest.Object{"address": "no-reply@acme.example"}, "reset_ttl": 60,
			"links": apitest.Object{"reset": "https://acme.example/reset?token={token}"}, "domains": []string{"a.example", "b.example"},
		}, apitest.AsOperator).Status(http.StatusOK).
			Is("lockout", apitest.Object{"threshold": 7, "window": 60, "duration": 900, "max_duration": 1800}).
			Is("sender", apitest.Object{"name": "Acme Mail", "address": "no-reply@acme.example"}).Is("reset_ttl", 60).Is("name", "Acme").
			Is("domains", []string{"a.example", "b.example"}).
			Is("updated_at", h.TimeAfter(0))
		h.Patch(t, p.Admin, apitest.Object{"domains": []string{"b.example"}, "sender": apitest.Object{"name": nil}, "links": apitest.Object{"reset": nil}},
			apitest.AsOperator).Status(http.StatusOK).Is("domains", []string{"b.example"}).
			Is("sender", apitest.Object{"name": nil, "address": "no-reply@acme.example"}).Is("links.reset", nil)
		h.Get(t, p.Front).Status(http.StatusOK).Is("sender", apitest.Object{"name": "Acme", "address": "no-reply@acme.example"})
		before := h.Get(t, p.Admin, apitest.AsOperator)
		for _, never := range []string{"slug", "id", "created_at", "updated_at"} {
			h.Patch(t, p.Admin, apitest.Object{never: "other", "name": "Other"}, apitest.AsOperator).
				Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/"+never, "unknown_member")
		}
		require.JSONEq(t, string(before.Body), string(h.Get(t, p.Admin, apitest.AsOperator).Body))
	})
}

func TestBoundsOfPortalSettings(t *testing.T) {
	t.Parallel()
	const day = 86400
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		for name, bounds := range map[string][2]int{
			"confirmation_ttl": {60, 30 * day}, "password_min_length": {8, 64}, "reset_ttl": {60, day},
			"set_password_ttl": {60, 30 * day}, "invitation_ttl": {60, 30 * day}, "code_ttl": {60, 3600},
			"device_pin_ttl": {60, 3600}, "device_ttl": {3600, 365 * day}, "access_token_ttl": {60, day},
			"refresh_token_ttl": {300, 365 * day}, "refresh_grace": {1, 60}, "session_max_age": {300, 365 * day},
			"audit_retention": {day, 3650 * day}, "lockout/threshold": {1, 100}, "lockout/window": {60, day},
			"lockout/duration": {60, day},
		} {
			set := func(value int) *apitest.Answer {
				t.Helper()
				body := apitest.Object{name: value}
				if within, member, nested := strings.Cut(name, "/"); nested {
					body = apitest.Object{within: apitest.Object{member: value, "max_duration": day}}
				}
				return h.Patch(t, p.Admin, body, apitest.AsOperator)
			}
			set(bounds[0]).Status(http.StatusOK).Is(strings.ReplaceAll(name, "/", "."), bounds[0])
			set(bounds[1]).Status(http.StatusOK).Is(strings.ReplaceAll(name, "/", "."), bounds[1])
			for _, value := range []int{bounds[0] - 1, bounds[1] + 1, 0, -1, 1 << 40} {
				set(value).Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/"+name, "out_of_range")
			}
			h.Get(t, p.Admin, apitest.AsOperator).Is(strings.ReplaceAll(name, "/", "."), bounds[1])
		}
		h.Patch(t, p.Admin, apitest.Object{"lockout": apitest.Object{"duration": 900, "max_duration": 899}}, apitest.AsOperator).
			Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/lockout/max_duration", "conflict")
	})
}

func TestPortalSettingsThatAreRefused(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		before := h.RowCounts(t)
		for _, tt := range []struct {
			settings      apitest.Object
			pointer, code string
		}{
			{apitest.Object{"enumeration": "private", "require_confirmation": false}, "/require_confirmation", "conflict"},
			{apitest.Object{"enumeration": "secret"}, "/enumeration", "not_allowed"},
			{apitest.Object{"registration": "Open"}, "/registration", "not_allowed"},
			{apitest.Object{"cookie_same_site": "Lax"}, "/cookie_same_site", "not_allowed"},
			{apitest.Object{"default_locale": "sv"}, "/default_locale", "not_allowed"},
			{apitest.Object{"login_methods": []string{}}, "/login_methods", "required"},
			{apitest.Object{"login_methods": []string{"password", "pigeon"}}, "/login_methods/1", "not_allowed"},
			{apitest.Object{"login_methods": []string{"password", "password"}}, "/login_methods/1", "duplicate_member"},
			{apitest.Object{"name": " \u3000"}, "/name", "required"},
			{apitest.Object{"name": strings.Repeat("é", 101)}, "/name", "too_long"},
			{apitest.Object{"slug": ""}, "/slug", "required"},
			{apitest.Object{"slug": "Acme"}, "/slug", "invalid"},
			{apitest.Object{"slug": "-acme"}, "/slug", "invalid"},
			{apitest.Object{"slug": "acme\n"}, "/slug", "control_character"},
			{apitest.Object{"slug": strings.Repeat("a", 64)}, "/slug", "invalid"},
			{apitest.Object{"domains": strings.Split(strings.Repeat("a.example,", 20)+"b.example", ",")}, "/domains", "too_many"},
			{apitest.Object{"domains": []string{"a.example", "A.EXAMPLE"}}, "/domains/1", "duplicate_member"},
			{apitest.Object{"domains": []string{"localhost"}}, "/domains/0", "invalid"},
			{apitest.Object{"domains": []string{"https://a.example"}}, "/domains/0", "invalid"},
			{apitest.Object{"domains": []string{"a.example:8080"}}, "/domains/0", "invalid"},
			{apitest.Object{"domains": []string{"*.example"}}, "/domains/0", "invalid"},
			{apitest.Object{"origins": strings.Split(strings.Repeat("https://a.example,", 50)+"https://b.example", ",")}, "/origins", "too_many"},
			{apitest.Object{"sender": apitest.Object{"name": ""}}, "/sender/name", "required"},
			{apitest.Object{"sender": apitest.Object{"name": "Acme\r\nBcc: all"}}, "/sender/name", "control_character"},
			{apitest.Object{"sender": apitest.Object{"address": "acme"}}, "/sender/address", "invalid_email"},
			{apitest.Object{"support": apitest.Object{"email": "a@b.example, c@d.example"}}, "/support/email", "invalid_email"},
			{apitest.Object{"support": apitest.Object{"url": "javascript:alert(1)"}}, "/support/url", "invalid"},
			{apitest.Object{"links": apitest.Object{"login": "/login"}}, "/links/login", "invalid"},
		} {
			body := apitest.Object{"slug": "acme", "name": "Acme"}
			maps.Copy(body, tt.settings)
			h.Post(t, "/v1/admin/portals", body, apitest.AsOperator).Problem(http.StatusUnprocessableEntity, "validation_failed").
				FieldError(tt.pointer, tt.code)
		}
		h.Post(t, "/v1/admin/portals", apitest.Object{"name": "", "reset_ttl": 1, "origins": []string{"nowhere"}}, apitest.AsOperator).
			Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/slug", "required").FieldError("/name", "required").
			FieldError("/reset_ttl", "out_of_range").FieldError("/origins/0", "invalid")
		require.Equal(t, before, h.RowCounts(t))
	})
}

func TestSpellingsOfPortalSettings(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{
			"domains": []string{"Login.ACME.example", "bücher.example"},
			"origins": []string{
				"HTTPS://Login.Acme.Example", "https://a.example:443", "http://a.example:80/", "http://localhost:3000",
				"https://BÜCHER.example:8443", "http://[::1]:8080",
			},
		})
		h.Get(t, p.Admin, apitest.AsOperator).Is("domains", []string{"login.acme.example", "xn--bcher-kva.example"}).Is("origins", []string{
			"https://login.acme.example", "https://a.example", "http://a.example", "http://localhost:3000",
			"https://xn--bcher-kva.example:8443", "http://[::1]:8080",
		})
		for _, domain := range []string{"login.acme.example", "LOGIN.ACME.EXAMPLE", "b%C3%BCcher.example", "xn--bcher-kva.example"} {
			h.Get(t, "/v1/portals?domain="+domain).Status(http.StatusOK).Is("slug", "acme").HasHeader("Cache-Control", "public, max-age=5")
		}
		for _, domain := range []string{"acme.example", "login.acme.example.", "acme", "login.acme.example%20", "a%2Fb.example"} {
			h.Get(t, "/v1/portals?domain="+domain).Problem(http.StatusNotFound, "organization_not_found").
				Remedies("contact_administrator")
		}
		h.Post(t, "/v1/admin/portals", apitest.Object{"slug": "thief", "name": "Thief", "domains": []string{"BÜCHER.example"}}, apitest.AsOperator).
			Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/domains", "taken")
		h.Patch(t, p.Admin, apitest.Object{"domains": []string{"bücher.example"}}, apitest.AsOperator).Status(http.StatusOK)
		h.Get(t, "/v1/portals?domain=login.acme.example").Problem(http.StatusNotFound, "organization_not_found")
		other := h.Portal(t, apitest.Object{"slug": "other", "domains": []string{"login.acme.example"}})
		h.Patch(t, other.Admin, apitest.Object{"domains": []string{"xn--bcher-kva.example"}}, apitest.AsOperator).
			Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/domains", "taken")
		h.Get(t, "/v1/portals?domain=login.acme.example").Status(http.StatusOK).Is("slug", "other")
	})
}

func TestSlugIsNeverReused(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		settings := apitest.Object{"slug": "acme", "name": "Acme", "domains": []string{"login.acme.example"}}
		p := h.Portal(t, settings)
		in := h.LogIn(t, h.Account(t, p))
		h.Post(t, "/v1/admin/portals", apitest.Object{"slug": "acme", "name": "Other"}, apitest.AsOperator).
			Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/slug", "taken")
		h.Delete(t, p.Admin, apitest.AsOperator).Status(http.StatusNoContent)
		h.Delete(t, p.Admin, apitest.AsOperator).Problem(http.StatusNotFound, "organization_not_found")
		h.Get(t, p.Front+"/me", apitest.Bearer(in.Access)).Problem(http.StatusNotFound, "organization_not_found")
		h.Get(t, "/v1/portals?domain=login.acme.example").Problem(http.StatusNotFound, "organization_not_found")
		h.Post(t, "/v1/admin/portals", settings, apitest.AsOperator).Problem(http.StatusUnprocessableEntity, "validation_failed").
			FieldError("/slug", "taken")
		for _, table := range []string{"accounts", "sessions", "portal_domains"} {
			require.Equal(t, "0", h.RowCounts(t)[table], table)
		}
		h.Portal(t, settings, apitest.Object{"slug": "acme2"}) // the domain is free again
	})
}

func TestListingPortals(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		h.Get(t, "/v1/admin/portals", apitest.AsOperator).Status(http.StatusOK).Is("items", []any{}).Is("next_cursor", nil)
		var want []any
		for i := range 5 {
			slug := fmt.Sprintf("portal-%d", i)
			h.Portal(t, apitest.Object{"slug": slug, "enabled": i%2 == 0})
			want = append([]any{slug}, want...)
		}
		require.Equal(t, want, h.Get(t, "/v1/admin/portals", apitest.AsOperator).Status(http.StatusOK).Is("next_cursor", nil).List("items", "slug"))
		require.Equal(t, want, h.ListAll(t, "/v1/admin/portals?limit=2", "slug", 3))
		require.Equal(t, want, h.ListAll(t, "/v1/admin/portals?limit=5", "slug", 1))
	})
}

// Every instance follows a change within 5 s.
func TestSettingsReachOtherInstances(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		other := h.Calling(h.NewServer(t, db))
		renamed, disabled, deleted := h.Portal(t), h.Portal(t, apitest.Object{"slug": "disabled"}), h.Portal(t, apitest.Object{"slug": "deleted"})
		for _, p := range []apitest.Portal{renamed, disabled, deleted} {
			other.Get(t, p.Front).Status(http.StatusOK)
		}
		h.Patch(t, renamed.Admin, apitest.Object{"name": "Umbrella"}, apitest.AsOperator).Status(http.StatusOK)
		h.Patch(t, disabled.Admin, apitest.Object{"enabled": false}, apitest.AsOperator).Status(http.StatusOK)
		h.Delete(t, deleted.Admin, apitest.AsOperator).Status(http.StatusNoContent)
		changed := time.Now()
		h.Get(t, renamed.Front).Status(http.StatusOK).Is("name", "Umbrella") // at once, where it was changed
		follows := func() bool {
			var face struct{ Name string }
			other.Get(t, renamed.Front).Status(http.StatusOK).Decode(&face)
			return face.Name == "Umbrella" && other.Get(t, disabled.Front).HTTPStatus == http.StatusNotFound &&
				other.Get(t, deleted.Front).HTTPStatus == http.StatusNotFound
		}
		for !follows() {
			require.Less(t, time.Since(changed), 5*time.Second)
			time.Sleep(50 * time.Millisecond) // what is cached ages by the real clock
		}
	})
}
