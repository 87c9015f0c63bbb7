package invitations_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// unsent is an invitation that is not mailed.
func unsent(address string, members ...apitest.Object) apitest.Object {
	body := apitest.Object{"email": address, "send": false}
	for _, m := range members {
		for name, value := range m {
			body[name] = value
		}
	}
	return body
}

func TestInvitationInAdminAPI(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{"default_locale": "fr", "invitation_ttl": 3600})
		made := h.Post(t, p.Admin+"/invitations", apitest.Object{"email": " Ada@Example.com "}, apitest.AsOperator).Status(http.StatusCreated)
		path := p.Admin + "/invitations/" + made.Text("id")
		made.HasHeader("Location", path).Is("email", "Ada@Example.com").Is("roles", []string{}).Is("entitlements", []string{}).
			Is("metadata", apitest.Object{}).Is("locale", "fr").Is("status", "pending").Is("invited_by", "operator").
			Is("created_at", h.TimeAfter(0)).Is("sent_at", h.TimeAfter(0)).Is("expires_at", h.TimeAfter(time.Hour)).Is("accepted_at", nil).
			Is("delivery.status", "queued").Is("delivery.to", "A•••@Example.com").Is("delivery.channel", "email").Lacks("code")
		require.JSONEq(t, string(made.Body), string(h.Get(t, path, apitest.AsOperator).Status(http.StatusOK).Body))

		h.Post(t, p.Admin+"/invitations", apitest.Object{
			"email": "grace@example.com", "roles": []string{"a", "b", "a"}, "entitlements": []string{"x"}, "locale": "da",
			"metadata": apitest.Object{"a": []int{1}, "b": nil}, "expires_in": 60, "send": false,
		}, apitest.AsOperator).Status(http.StatusCreated).Is("roles", []string{"a", "b"}).Is("entitlements", []string{"x"}).
			Is("metadata", apitest.Object{"a": []int{1}, "b": nil}).Is("locale", "da").Is("expires_at", h.TimeAfter(time.Minute)).
			Is("sent_at", nil).Is("delivery", nil)

		h.Clock.Advance(time.Minute)
		h.Get(t, p.Admin+"/invitations?q=grace", apitest.AsOperator).Is("items.0.status", "expired")
		h.Get(t, path, apitest.AsOperator).Is("status", "pending")
		h.Clock.Advance(time.Hour - time.Minute)
		h.Get(t, path, apitest.AsOperator).Is("status", "expired").Is("expires_at", h.TimeAfter(0))

		h.Delete(t, path, apitest.AsOperator).Status(http.StatusNoContent)
		h.Get(t, path, apitest.AsOperator).Problem(http.StatusNotFound, "not_found")
		h.Delete(t, path, apitest.AsOperator).Problem(http.StatusNotFound, "not_found")
		h.Post(t, path+"/resend", nil, apitest.AsOperator).Problem(http.StatusNotFound, "not_found")
		for _, id := range []string{"1", strings.ToUpper(made.Text("id")), uuid.Nil.String(), "%00", "imports"} {
			h.Get(t, p.Admin+"/invitations/"+id, apitest.AsOperator).Problem(http.StatusNotFound, "not_found")
		}
	})
}

func TestInviterIsRecorded(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		admin := h.Account(t, p, apitest.Object{"email": "boss@example.com", "roles": []string{"admin"}, "given_name": "Grace"})
		in := h.LogIn(t, admin)
		key := h.APIKey(t, apitest.Object{"scopes": []string{"admin"}, "name": "The CRM"})
		by := func(address string, who apitest.Option) string {
			t.Helper()
			made := h.Post(t, p.Admin+"/invitations", unsent(address), who).Status(http.StatusCreated)
			return made.Text("invited_by")
		}
		require.Equal(t, "boss@example.com", by("a@example.com", apitest.Bearer(in.Access)))
		require.Equal(t, "The CRM", by("b@example.com", apitest.Bearer(key.Text)))
		require.Equal(t, "operator", by("c@example.com", apitest.AsOperator))
		h.Delete(t, admin.Admin, apitest.AsOperator).Status(http.StatusNoContent)
		h.Get(t, p.Admin+"/invitations?q=a@", apitest.AsOperator).Is("items.0.invited_by", nil)
	})
}

// A portal's administrator invites at that portal alone, and an inviter can grant only what the portal's own people
// can have: no scope of a key, and nothing at another portal.
func TestAdminInvitesOnlyAtOwnPortal(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p, other := h.Portal(t), h.Portal(t, apitest.Object{"slug": "other"})
		in := h.LogIn(t, h.Account(t, p, apitest.Object{"roles": []string{"admin"}}))
		elsewhere := h.Post(t, other.Admin+"/invitations", unsent("eve@example.com"), apitest.AsOperator).Text("id")
		for _, slug := range []string{"other", "nowhere"} {
			base := "/v1/admin/portals/" + slug + "/invitations"
			for _, call := range []struct{ method, target string }{
				{http.MethodGet, base}, {http.MethodGet, base + "/export"}, {http.MethodGet, base + "/" + elsewhere},
				{http.MethodDelete, base + "/" + elsewhere}, {http.MethodPost, base + "/" + elsewhere + "/resend"},
			} {
				h.Call(t, call.method, call.target, nil, apitest.Bearer(in.Access)).Problem(http.StatusNotFound, "organization_not_found")
			}
			h.Post(t, base, apitest.Object{"email": "ada@example.com"}, apitest.Bearer(in.Access)).Problem(http.StatusNotFound, "organization_not_found")
			h.Post(t, base+"/import", "email\r\nada@example.com\r\n", apitest.Bearer(in.Access)).Problem(http.StatusNotFound, "organization_not_found")
		}
		for _, call := range []struct{ method, target string }{
			{http.MethodGet, "/" + elsewhere}, {http.MethodDelete, "/" + elsewhere}, {http.MethodPost, "/" + elsewhere + "/resend"},
		} {
			h.Call(t, call.method, p.Admin+"/invitations"+call.target, nil, apitest.Bearer(in.Access)).Problem(http.StatusNotFound, "not_found")
		}
		require.Equal(t, "1", h.QueryValue(t, "SELECT COUNT(*) FROM invitations"))
		h.Post(t, p.Admin+"/invitations", unsent("eve@example.com", apitest.Object{"roles": []string{"operator"}}), apitest.Bearer(in.Access)).
			Status(http.StatusCreated) // a free string, which means nothing here
	})
}

func TestListingInvitations(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		for i := range 7 {
			h.Post(t, p.Admin+"/invitations", unsent(fmt.Sprintf("p%d@example.com", i)), apitest.AsOperator).Status(http.StatusCreated)
			h.Post(t, p.Admin+"/invitations", unsent(fmt.Sprintf("e%d@bücher.example", i), apitest.Object{"expires_in": 60}), apitest.AsOperator).
				Status(http.StatusCreated)
		}
		h.Clock.Advance(time.Minute)
		emails := func(query string) (all []any) {
			t.Helper()
			for cursor := ""; ; {
				page := h.Get(t, p.Admin+"/invitations?limit=3"+query+cursor, apitest.AsOperator).Status(http.StatusOK)
				all = append(all, page.List("items", "email")...)
				if next, _ := page.At("next_cursor"); next == nil {
					return all
				}
				cursor = "&cursor=" + page.Text("next_cursor")
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
			a := h.Get(t, p.Admin+"/invitations?"+query, apitest.AsOperator).Problem(http.StatusUnprocessableEntity, "validation_failed")
			require.Equal(t, pointer, a.Text("errors.0.pointer"))
		}
	})
}

func TestInvalidInvitations(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		many := make([]string, 65)
		for i := range many {
			many[i] = fmt.Sprint(i)
		}
		for _, wrong := range []struct {
			members       apitest.Object
			pointer, code string
		}{
			{apitest.Object{"email": ""}, "/email", "required"}, {apitest.Object{"email": "x"}, "/email", "invalid_email"},
			{apitest.Object{"email": "a@example.com, b@example.com"}, "/email", "invalid_email"},
			{apitest.Object{"roles": many}, "/roles", "too_many"}, {apitest.Object{"roles": []string{"a", " "}}, "/roles/1", "required"},
			{apitest.Object{"entitlements": []string{strings.Repeat("x", 129)}}, "/entitlements/0", "too_long"},
			{apitest.Object{"roles": nil}, "/roles", "null_not_allowed"}, {apitest.Object{"metadata": nil}, "/metadata", "null_not_allowed"},
			{apitest.Object{"metadata": []int{1}}, "/metadata", "wrong_type"}, {apitest.Object{"locale": "xx"}, "/locale", "not_allowed"},
			{apitest.Object{"metadata": apitest.Object{"a": strings.Repeat("x", 8192)}}, "/metadata", "too_long"},
			{apitest.Object{"expires_in": 59}, "/expires_in", "out_of_range"}, {apitest.Object{"expires_in": 2592001}, "/expires_in", "out_of_range"},
			{apitest.Object{"expires_in": -1}, "/expires_in", "out_of_range"}, {apitest.Object{"expires_in": "60"}, "/expires_in", "wrong_type"},
			{apitest.Object{"expires_in": 60.5}, "/expires_in", "wrong_type"}, {apitest.Object{"send": "no"}, "/send", "wrong_type"},
			{apitest.Object{"code": "x"}, "/code", "unknown_member"}, {apitest.Object{"invited_by": "x"}, "/invited_by", "unknown_member"},
		} {
			h.Post(t, p.Admin+"/invitations", unsent("ada@example.com", wrong.members), apitest.AsOperator).
				Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError(wrong.pointer, wrong.code)
		}
		require.Equal(t, "0", h.QueryValue(t, "SELECT COUNT(*) FROM invitations"))
		for _, seconds := range []int{60, 2592000} {
			made := h.Post(t, p.Admin+"/invitations", unsent(fmt.Sprintf("%d@example.com", seconds), apitest.Object{"expires_in": seconds}), apitest.AsOperator).
				Status(http.StatusCreated)
			made.Is("expires_at", h.TimeAfter(time.Duration(seconds)*time.Second))
		}
	})
}
