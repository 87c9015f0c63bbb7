package api_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// defaults are the contract's, for a portal of which only slug and name were said.
var defaults = object{
	"enabled": true, "domains": []string{}, "origins": []string{}, "enumeration": "open", "registration": "open",
	"login_methods": []string{"password"}, "require_confirmation": true, "confirmation_ttl": 86400, "password_min_length": 12,
	"reset_ttl": 900, "set_password_ttl": 86400, "invitation_ttl": 604800, "code_ttl": 900, "device_verification": false,
	"device_pin_ttl": 1800, "device_ttl": 2592000, "access_token_ttl": 600, "refresh_token_ttl": 1209600, "refresh_grace": 10,
	"lockout":         object{"threshold": 5, "window": 900, "duration": 900, "max_duration": 1800},
	"session_max_age": 2592000, "cookie_same_site": "lax", "default_locale": "en", "audit_retention": 31536000,
	"links":  object{"confirm": nil, "reset": nil, "invitation": nil, "login": nil},
	"sender": object{"name": nil, "address": nil}, "support": object{"email": nil, "url": nil},
}

func TestPortalDefaults(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		made := h.post(t, "/v1/admin/portals", object{"slug": "acme", "name": "  Acme "}, asOperator).status(http.StatusCreated).
			sets("Location", "/v1/admin/portals/acme").is("slug", "acme").is("name", "Acme")
		got := h.get(t, "/v1/admin/portals/acme", asOperator).status(http.StatusOK)
		require.JSONEq(t, string(made.body), string(got.body))
		var members object
		got.into(&members)
		for name, want := range defaults {
			got.is(name, want)
			delete(members, name)
		}
		for _, known := range []string{"id", "slug", "name", "created_at", "updated_at"} {
			delete(members, known)
		}
		require.Empty(t, members, "settings without a known default")

		h.get(t, "/v1/portals/acme").status(http.StatusOK).is("name", "Acme").is("registration", "open").
			is("login_methods", []string{"password"}).is("password", object{"min_length": 12, "max_length": 128}).
			is("locales", []string{"en", "de", "fr", "nl", "da"}).is("sender", object{"name": "Acme", "address": nil}).
			is("support", object{"email": nil, "url": nil})
	})
}

func TestPatchingAPortal(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, object{"name": "Acme", "lockout": object{"threshold": 7}, "sender": object{"name": "Acme Mail"}})
		h.get(t, p.admin, asOperator).is("lockout", object{"threshold": 7, "window": 900, "duration": 900, "max_duration": 1800}).
			is("sender", object{"name": "Acme Mail", "address": nil})
		h.clock.advance(time.Minute)
		h.patch(t, p.admin, object{
			"lockout": object{"window": 60}, "sender": object{"address": "no-reply@acme.example"}, "reset_ttl": 60,
			"links": object{"reset": "https://acme.example/reset?token={token}"}, "domains": []string{"a.example", "b.example"},
		}, asOperator).status(http.StatusOK).
			is("lockout", object{"threshold": 7, "window": 60, "duration": 900, "max_duration": 1800}).
			is("sender", object{"name": "Acme Mail", "address": "no-reply@acme.example"}).is("reset_ttl", 60).is("name", "Acme").
			is("domains", []string{"a.example", "b.example"}).
			is("updated_at", h.stamp(0))
		h.patch(t, p.admin, object{"domains": []string{"b.example"}, "sender": object{"name": nil}, "links": object{"reset": nil}},
			asOperator).status(http.StatusOK).is("domains", []string{"b.example"}).
			is("sender", object{"name": nil, "address": "no-reply@acme.example"}).is("links.reset", nil)
		h.get(t, p.front).status(http.StatusOK).is("sender", object{"name": "Acme", "address": "no-reply@acme.example"})
		before := h.get(t, p.admin, asOperator)
		for _, never := range []string{"slug", "id", "created_at", "updated_at"} {
			h.patch(t, p.admin, object{never: "other", "name": "Other"}, asOperator).
				problem(http.StatusUnprocessableEntity, "validation_failed").field("/"+never, "unknown_member")
		}
		require.JSONEq(t, string(before.body), string(h.get(t, p.admin, asOperator).body))
	})
}

func TestBoundsOfPortalSettings(t *testing.T) {
	t.Parallel()
	const day = 86400
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		for name, bounds := range map[string][2]int{
			"confirmation_ttl": {60, 30 * day}, "password_min_length": {8, 64}, "reset_ttl": {60, day},
			"set_password_ttl": {60, 30 * day}, "invitation_ttl": {60, 30 * day}, "code_ttl": {60, 3600},
			"device_pin_ttl": {60, 3600}, "device_ttl": {3600, 365 * day}, "access_token_ttl": {60, day},
			"refresh_token_ttl": {300, 365 * day}, "refresh_grace": {1, 60}, "session_max_age": {300, 365 * day},
			"audit_retention": {day, 3650 * day}, "lockout/threshold": {1, 100}, "lockout/window": {60, day},
			"lockout/duration": {60, day},
		} {
			set := func(value int) *answer {
				t.Helper()
				body := object{name: value}
				if within, member, nested := strings.Cut(name, "/"); nested {
					body = object{within: object{member: value, "max_duration": day}}
				}
				return h.patch(t, p.admin, body, asOperator)
			}
			set(bounds[0]).status(http.StatusOK).is(strings.ReplaceAll(name, "/", "."), bounds[0])
			set(bounds[1]).status(http.StatusOK).is(strings.ReplaceAll(name, "/", "."), bounds[1])
			for _, value := range []int{bounds[0] - 1, bounds[1] + 1, 0, -1, 1 << 40} {
				set(value).problem(http.StatusUnprocessableEntity, "validation_failed").field("/"+name, "out_of_range")
			}
			h.get(t, p.admin, asOperator).is(strings.ReplaceAll(name, "/", "."), bounds[1])
		}
		h.patch(t, p.admin, object{"lockout": object{"duration": 900, "max_duration": 899}}, asOperator).
			problem(http.StatusUnprocessableEntity, "validation_failed").field("/lockout/max_duration", "conflict")
	})
}

func TestPortalSettingsThatAreRefused(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		before := h.counts(t)
		for _, tt := range []struct {
			settings      object
			pointer, code string
		}{
			{object{"enumeration": "private", "require_confirmation": false}, "/require_confirmation", "conflict"},
			{object{"enumeration": "secret"}, "/enumeration", "not_allowed"},
			{object{"registration": "Open"}, "/registration", "not_allowed"},
			{object{"cookie_same_site": "Lax"}, "/cookie_same_site", "not_allowed"},
			{object{"default_locale": "sv"}, "/default_locale", "not_allowed"},
			{object{"login_methods": []string{}}, "/login_methods", "required"},
			{object{"login_methods": []string{"password", "pigeon"}}, "/login_methods/1", "not_allowed"},
			{object{"login_methods": []string{"password", "password"}}, "/login_methods/1", "duplicate_member"},
			{object{"name": " \u3000"}, "/name", "required"},
			{object{"name": strings.Repeat("é", 101)}, "/name", "too_long"},
			{object{"slug": ""}, "/slug", "required"},
			{object{"slug": "Acme"}, "/slug", "invalid"},
			{object{"slug": "-acme"}, "/slug", "invalid"},
			{object{"slug": "acme\n"}, "/slug", "control_character"},
			{object{"slug": strings.Repeat("a", 64)}, "/slug", "invalid"},
			{object{"domains": strings.Split(strings.Repeat("a.example,", 20)+"b.example", ",")}, "/domains", "too_many"},
			{object{"domains": []string{"a.example", "A.EXAMPLE"}}, "/domains/1", "duplicate_member"},
			{object{"domains": []string{"localhost"}}, "/domains/0", "invalid"},
			{object{"domains": []string{"https://a.example"}}, "/domains/0", "invalid"},
			{object{"domains": []string{"a.example:8080"}}, "/domains/0", "invalid"},
			{object{"domains": []string{"*.example"}}, "/domains/0", "invalid"},
			{object{"origins": strings.Split(strings.Repeat("https://a.example,", 50)+"https://b.example", ",")}, "/origins", "too_many"},
			{object{"sender": object{"name": ""}}, "/sender/name", "required"},
			{object{"sender": object{"name": "Acme\r\nBcc: all"}}, "/sender/name", "control_character"},
			{object{"sender": object{"address": "acme"}}, "/sender/address", "invalid_email"},
			{object{"support": object{"email": "a@b.example, c@d.example"}}, "/support/email", "invalid_email"},
			{object{"support": object{"url": "javascript:alert(1)"}}, "/support/url", "invalid"},
			{object{"links": object{"login": "/login"}}, "/links/login", "invalid"},
		} {
			body := object{"slug": "acme", "name": "Acme"}
			maps.Copy(body, tt.settings)
			h.post(t, "/v1/admin/portals", body, asOperator).problem(http.StatusUnprocessableEntity, "validation_failed").
				field(tt.pointer, tt.code)
		}
		h.post(t, "/v1/admin/portals", object{"name": "", "reset_ttl": 1, "origins": []string{"nowhere"}}, asOperator).
			problem(http.StatusUnprocessableEntity, "validation_failed").field("/slug", "required").field("/name", "required").
			field("/reset_ttl", "out_of_range").field("/origins/0", "invalid")
		require.Equal(t, before, h.counts(t))
	})
}

func TestSpellingsOfPortalSettings(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, object{
			"domains": []string{"Login.ACME.example", "bücher.example"},
			"origins": []string{
				"HTTPS://Login.Acme.Example", "https://a.example:443", "http://a.example:80/", "http://localhost:3000",
				"https://BÜCHER.example:8443", "http://[::1]:8080",
			},
		})
		h.get(t, p.admin, asOperator).is("domains", []string{"login.acme.example", "xn--bcher-kva.example"}).is("origins", []string{
			"https://login.acme.example", "https://a.example", "http://a.example", "http://localhost:3000",
			"https://xn--bcher-kva.example:8443", "http://[::1]:8080",
		})
		for _, domain := range []string{"login.acme.example", "LOGIN.ACME.EXAMPLE", "b%C3%BCcher.example", "xn--bcher-kva.example"} {
			h.get(t, "/v1/portals?domain="+domain).status(http.StatusOK).is("slug", "acme").sets("Cache-Control", "public, max-age=5")
		}
		for _, domain := range []string{"acme.example", "login.acme.example.", "acme", "login.acme.example%20", "a%2Fb.example"} {
			h.get(t, "/v1/portals?domain="+domain).problem(http.StatusNotFound, "organization_not_found").
				remedies("contact_administrator")
		}
		h.post(t, "/v1/admin/portals", object{"slug": "thief", "name": "Thief", "domains": []string{"BÜCHER.example"}}, asOperator).
			problem(http.StatusUnprocessableEntity, "validation_failed").field("/domains", "taken")
		h.patch(t, p.admin, object{"domains": []string{"bücher.example"}}, asOperator).status(http.StatusOK)
		h.get(t, "/v1/portals?domain=login.acme.example").problem(http.StatusNotFound, "organization_not_found")
		other := h.portal(t, object{"slug": "other", "domains": []string{"login.acme.example"}})
		h.patch(t, other.admin, object{"domains": []string{"xn--bcher-kva.example"}}, asOperator).
			problem(http.StatusUnprocessableEntity, "validation_failed").field("/domains", "taken")
		h.get(t, "/v1/portals?domain=login.acme.example").status(http.StatusOK).is("slug", "other")
	})
}

func TestASlugIsNeverUsedAgain(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		settings := object{"slug": "acme", "name": "Acme", "domains": []string{"login.acme.example"}}
		p := h.portal(t, settings)
		in := h.logIn(t, h.account(t, p))
		h.post(t, "/v1/admin/portals", object{"slug": "acme", "name": "Other"}, asOperator).
			problem(http.StatusUnprocessableEntity, "validation_failed").field("/slug", "taken")
		h.delete(t, p.admin, asOperator).status(http.StatusNoContent)
		h.delete(t, p.admin, asOperator).problem(http.StatusNotFound, "organization_not_found")
		h.get(t, p.front+"/me", bearer(in.access)).problem(http.StatusNotFound, "organization_not_found")
		h.get(t, "/v1/portals?domain=login.acme.example").problem(http.StatusNotFound, "organization_not_found")
		h.post(t, "/v1/admin/portals", settings, asOperator).problem(http.StatusUnprocessableEntity, "validation_failed").
			field("/slug", "taken")
		for _, table := range []string{"accounts", "sessions", "portal_domains"} {
			require.Equal(t, "0", h.counts(t)[table], table)
		}
		h.portal(t, settings, object{"slug": "acme2"}) // the domain is free again
	})
}

func TestListingPortals(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		h.get(t, "/v1/admin/portals", asOperator).status(http.StatusOK).is("items", []any{}).is("next_cursor", nil)
		var want []any
		for i := range 5 {
			slug := fmt.Sprintf("portal-%d", i)
			h.portal(t, object{"slug": slug, "enabled": i%2 == 0})
			want = append([]any{slug}, want...)
		}
		require.Equal(t, want, h.get(t, "/v1/admin/portals", asOperator).status(http.StatusOK).is("next_cursor", nil).list("items", "slug"))
		require.Equal(t, want, h.walk(t, "/v1/admin/portals?limit=2", "slug", 3))
		require.Equal(t, want, h.walk(t, "/v1/admin/portals?limit=5", "slug", 1))
	})
}

// walk reads a list page by page, as the operator unless another asks, and gives a member of each item; there must be
// so many pages.
func (h *harness) walk(t testing.TB, target, member string, pages int, with ...option) (all []any) {
	t.Helper()
	cursor := ""
	for range pages {
		a := h.get(t, target+cursor, append([]option{asOperator}, with...)...).status(http.StatusOK)
		all = append(all, a.list("items", member)...)
		next, _ := a.at("next_cursor")
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

// Every instance follows a change within 5 s.
func TestAnotherInstanceFollows(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		other := h.calling(h.another(t, db))
		renamed, disabled, deleted := h.portal(t), h.portal(t, object{"slug": "disabled"}), h.portal(t, object{"slug": "deleted"})
		for _, p := range []portal{renamed, disabled, deleted} {
			other.get(t, p.front).status(http.StatusOK)
		}
		h.patch(t, renamed.admin, object{"name": "Umbrella"}, asOperator).status(http.StatusOK)
		h.patch(t, disabled.admin, object{"enabled": false}, asOperator).status(http.StatusOK)
		h.delete(t, deleted.admin, asOperator).status(http.StatusNoContent)
		changed := time.Now()
		h.get(t, renamed.front).status(http.StatusOK).is("name", "Umbrella") // at once, where it was changed
		follows := func() bool {
			var face struct{ Name string }
			other.get(t, renamed.front).status(http.StatusOK).into(&face)
			return face.Name == "Umbrella" && other.get(t, disabled.front).httpStatus == http.StatusNotFound &&
				other.get(t, deleted.front).httpStatus == http.StatusNotFound
		}
		for !follows() {
			require.Less(t, time.Since(changed), 5*time.Second)
			time.Sleep(50 * time.Millisecond) // what is cached ages by the real clock
		}
	})
}
