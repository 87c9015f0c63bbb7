package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// unsent is an invitation that is not mailed.
func unsent(address string, members ...object) object {
	body := object{"email": address, "send": false}
	for _, m := range members {
		for name, value := range m {
			body[name] = value
		}
	}
	return body
}

func TestAnInvitationAsAdministratorsSeeIt(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, object{"default_locale": "fr", "invitation_ttl": 3600})
		made := h.post(t, p.admin+"/invitations", object{"email": " Ada@Example.com "}, asOperator).status(http.StatusCreated)
		path := p.admin + "/invitations/" + made.text("id")
		made.sets("Location", path).is("email", "Ada@Example.com").is("roles", []string{}).is("entitlements", []string{}).
			is("metadata", object{}).is("locale", "fr").is("status", "pending").is("invited_by", "operator").
			is("created_at", h.stamp(0)).is("sent_at", h.stamp(0)).is("expires_at", h.stamp(time.Hour)).is("accepted_at", nil).
			is("delivery.status", "queued").is("delivery.to", "A•••@Example.com").is("delivery.channel", "email").lacks("code")
		require.JSONEq(t, string(made.body), string(h.get(t, path, asOperator).status(http.StatusOK).body))

		h.post(t, p.admin+"/invitations", object{
			"email": "grace@example.com", "roles": []string{"a", "b", "a"}, "entitlements": []string{"x"}, "locale": "da",
			"metadata": object{"a": []int{1}, "b": nil}, "expires_in": 60, "send": false,
		}, asOperator).status(http.StatusCreated).is("roles", []string{"a", "b"}).is("entitlements", []string{"x"}).
			is("metadata", object{"a": []int{1}, "b": nil}).is("locale", "da").is("expires_at", h.stamp(time.Minute)).
			is("sent_at", nil).is("delivery", nil)

		h.clock.advance(time.Minute)
		h.get(t, p.admin+"/invitations?q=grace", asOperator).is("items.0.status", "expired")
		h.get(t, path, asOperator).is("status", "pending")
		h.clock.advance(time.Hour - time.Minute)
		h.get(t, path, asOperator).is("status", "expired").is("expires_at", h.stamp(0))

		h.delete(t, path, asOperator).status(http.StatusNoContent)
		h.get(t, path, asOperator).problem(http.StatusNotFound, "not_found")
		h.delete(t, path, asOperator).problem(http.StatusNotFound, "not_found")
		h.post(t, path+"/resend", nil, asOperator).problem(http.StatusNotFound, "not_found")
		for _, id := range []string{"1", strings.ToUpper(made.text("id")), uuid.Nil.String(), "%00", "imports"} {
			h.get(t, p.admin+"/invitations/"+id, asOperator).problem(http.StatusNotFound, "not_found")
		}
	})
}

func TestWhoInvited(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		admin := h.account(t, p, object{"email": "boss@example.com", "roles": []string{"admin"}, "given_name": "Grace"})
		in := h.logIn(t, admin)
		key := h.apiKey(t, object{"scopes": []string{"admin"}, "name": "The CRM"})
		by := func(address string, who option) string {
			t.Helper()
			made := h.post(t, p.admin+"/invitations", unsent(address), who).status(http.StatusCreated)
			return made.text("invited_by")
		}
		require.Equal(t, "boss@example.com", by("a@example.com", bearer(in.access)))
		require.Equal(t, "The CRM", by("b@example.com", bearer(key.text)))
		require.Equal(t, "operator", by("c@example.com", asOperator))
		h.delete(t, admin.admin, asOperator).status(http.StatusNoContent)
		h.get(t, p.admin+"/invitations?q=a@", asOperator).is("items.0.invited_by", nil)
	})
}

// A portal's administrator invites at that portal alone, and whoever grants a role grants what the portal's own people
// can have: no scope of a key, and nothing elsewhere.
func TestNobodyInvitesElsewhere(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p, other := h.portal(t), h.portal(t, object{"slug": "other"})
		in := h.logIn(t, h.account(t, p, object{"roles": []string{"admin"}}))
		elsewhere := h.post(t, other.admin+"/invitations", unsent("eve@example.com"), asOperator).text("id")
		for _, slug := range []string{"other", "nowhere"} {
			base := "/v1/admin/portals/" + slug + "/invitations"
			for _, call := range []struct{ method, target string }{
				{http.MethodGet, base}, {http.MethodGet, base + "/export"}, {http.MethodGet, base + "/" + elsewhere},
				{http.MethodDelete, base + "/" + elsewhere}, {http.MethodPost, base + "/" + elsewhere + "/resend"},
			} {
				h.call(t, call.method, call.target, nil, bearer(in.access)).problem(http.StatusNotFound, "organization_not_found")
			}
			h.post(t, base, object{"email": "ada@example.com"}, bearer(in.access)).problem(http.StatusNotFound, "organization_not_found")
			h.post(t, base+"/import", "email\r\nada@example.com\r\n", bearer(in.access)).problem(http.StatusNotFound, "organization_not_found")
		}
		for _, call := range []struct{ method, target string }{
			{http.MethodGet, "/" + elsewhere}, {http.MethodDelete, "/" + elsewhere}, {http.MethodPost, "/" + elsewhere + "/resend"},
		} {
			h.call(t, call.method, p.admin+"/invitations"+call.target, nil, bearer(in.access)).problem(http.StatusNotFound, "not_found")
		}
		require.Equal(t, "1", h.sql(t, "SELECT COUNT(*) FROM invitations"))
		h.post(t, p.admin+"/invitations", unsent("eve@example.com", object{"roles": []string{"operator"}}), bearer(in.access)).
			status(http.StatusCreated) // a free string, which means nothing here
	})
}

func TestListingInvitations(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		for i := range 7 {
			h.post(t, p.admin+"/invitations", unsent(fmt.Sprintf("p%d@example.com", i)), asOperator).status(http.StatusCreated)
			h.post(t, p.admin+"/invitations", unsent(fmt.Sprintf("e%d@bücher.example", i), object{"expires_in": 60}), asOperator).
				status(http.StatusCreated)
		}
		h.clock.advance(time.Minute)
		emails := func(query string) (all []any) {
			t.Helper()
			for cursor := ""; ; {
				page := h.get(t, p.admin+"/invitations?limit=3"+query+cursor, asOperator).status(http.StatusOK)
				all = append(all, page.list("items", "email")...)
				if next, _ := page.at("next_cursor"); next == nil {
					return all
				}
				cursor = "&cursor=" + page.text("next_cursor")
			}
		}
		all := emails("")
		require.Len(t, all, 14)
		require.Equal(t, "e6@bücher.example", all[0], "newest first")
		require.Len(t, emails("&status=pending"), 7)
		require.Len(t, emails("&status=expired"), 7)
		require.Empty(t, emails("&status=accepted"))
		require.Equal(t, []any{"e3@bücher.example"}, emails("&q="+url.QueryEscape("E3@BÜCHER")))
		require.Equal(t, []any{"e3@bücher.example"}, emails("&q=e3@xn--bcher"))
		require.Len(t, emails("&status=pending&q=example.com"), 7)
		for _, none := range []string{"%25", "_", "%27", "!", "e3@b%25"} {
			require.Empty(t, emails("&q="+none), "%s is no pattern", none)
		}
		for query, pointer := range map[string]string{
			"status=open": "/status", "status=pending&status=expired": "/status", "status=Pending": "/status", "q=%ff": "/q",
			"limit=0": "/limit", "cursor=x": "/cursor", "q=" + strings.Repeat("x", 255): "/q",
		} {
			a := h.get(t, p.admin+"/invitations?"+query, asOperator).problem(http.StatusUnprocessableEntity, "validation_failed")
			require.Equal(t, pointer, a.text("errors.0.pointer"))
		}
	})
}

func TestWhatAnInvitationMustNotBe(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		many := make([]string, 65)
		for i := range many {
			many[i] = fmt.Sprint(i)
		}
		for _, wrong := range []struct {
			members       object
			pointer, code string
		}{
			{object{"email": ""}, "/email", "required"}, {object{"email": "x"}, "/email", "invalid_email"},
			{object{"email": "a@example.com, b@example.com"}, "/email", "invalid_email"},
			{object{"roles": many}, "/roles", "too_many"}, {object{"roles": []string{"a", " "}}, "/roles/1", "required"},
			{object{"entitlements": []string{strings.Repeat("x", 129)}}, "/entitlements/0", "too_long"},
			{object{"roles": nil}, "/roles", "null_not_allowed"}, {object{"metadata": nil}, "/metadata", "null_not_allowed"},
			{object{"metadata": []int{1}}, "/metadata", "wrong_type"}, {object{"locale": "xx"}, "/locale", "not_allowed"},
			{object{"metadata": object{"a": strings.Repeat("x", 8192)}}, "/metadata", "too_long"},
			{object{"expires_in": 59}, "/expires_in", "out_of_range"}, {object{"expires_in": 2592001}, "/expires_in", "out_of_range"},
			{object{"expires_in": -1}, "/expires_in", "out_of_range"}, {object{"expires_in": "60"}, "/expires_in", "wrong_type"},
			{object{"expires_in": 60.5}, "/expires_in", "wrong_type"}, {object{"send": "no"}, "/send", "wrong_type"},
			{object{"code": "x"}, "/code", "unknown_member"}, {object{"invited_by": "x"}, "/invited_by", "unknown_member"},
		} {
			h.post(t, p.admin+"/invitations", unsent("ada@example.com", wrong.members), asOperator).
				problem(http.StatusUnprocessableEntity, "validation_failed").field(wrong.pointer, wrong.code)
		}
		require.Equal(t, "0", h.sql(t, "SELECT COUNT(*) FROM invitations"))
		for _, seconds := range []int{60, 2592000} {
			made := h.post(t, p.admin+"/invitations", unsent(fmt.Sprintf("%d@example.com", seconds), object{"expires_in": seconds}), asOperator).
				status(http.StatusCreated)
			made.is("expires_at", h.stamp(time.Duration(seconds)*time.Second))
		}
	})
}
