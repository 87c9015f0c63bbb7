package admin_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

func TestAccounts(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{"default_locale": "fr"})
		made := h.Post(t, p.Admin+"/accounts", apitest.Object{"email": " Ada@Example.com "}, apitest.AsOperator).Status(http.StatusCreated)
		path := p.Admin + "/accounts/" + made.Text("id")
		made.HasHeader("Location", path).Is("email", "Ada@Example.com").Is("phone", nil).Is("given_name", nil).Is("family_name", nil).
			Is("locale", "fr").Is("roles", []string{}).Is("entitlements", []string{}).Is("metadata", apitest.Object{}).
			Is("confirmed", false).Is("has_password", false).Is("disabled", false).Is("opted_out", false).Is("last_login_at", nil).
			Is("created_at", h.TimeAfter(0))
		require.JSONEq(t, string(made.Body), string(h.Get(t, path, apitest.AsOperator).Status(http.StatusOK).Body))

		h.Patch(t, path, apitest.Object{
			"password": apitest.GoodPassword, "confirmed": true, "phone": "+45 (30) 30-30.30", "roles": []string{"a", "b", "a"},
			"entitlements": []string{"x"}, "locale": "da", "given_name": "Ada", "family_name": "Lovelace",
			"metadata": apitest.Object{"a": []int{1}, "b": nil}, "disabled": true, "opted_out": true,
		}, apitest.AsOperator).Status(http.StatusOK).Is("has_password", true).Is("confirmed", true).Is("phone", "+4530303030").
			Is("roles", []string{"a", "b"}).Is("entitlements", []string{"x"}).Is("locale", "da").Is("given_name", "Ada").
			Is("metadata", apitest.Object{"a": []int{1}, "b": nil}).Is("disabled", true).Is("opted_out", true)
		h.Patch(t, path, apitest.Object{"phone": nil, "roles": []string{}, "metadata": apitest.Object{}, "given_name": nil, "disabled": false},
			apitest.AsOperator).Status(http.StatusOK).Is("phone", nil).Is("roles", []string{}).Is("metadata", apitest.Object{}).
			Is("given_name", nil).Is("family_name", "Lovelace").Is("disabled", false).Is("entitlements", []string{"x"})
		h.Patch(t, path, apitest.Object{}, apitest.AsOperator).Status(http.StatusOK).Is("family_name", "Lovelace")

		h.Delete(t, path, apitest.AsOperator).Status(http.StatusNoContent)
		h.Get(t, path, apitest.AsOperator).Problem(http.StatusNotFound, "not_found")
		h.Patch(t, path, apitest.Object{}, apitest.AsOperator).Problem(http.StatusNotFound, "not_found")
		h.Delete(t, path, apitest.AsOperator).Problem(http.StatusNotFound, "not_found")
		for _, id := range []string{
			"1", "x", strings.ToUpper(made.Text("id")), "%7B" + made.Text("id") + "%7D", uuid.Nil.String(), "urn:uuid:" + made.Text("id"), "%00",
		} {
			h.Get(t, p.Admin+"/accounts/"+id, apitest.AsOperator).Problem(http.StatusNotFound, "not_found")
		}
	})
}

func TestCorrectEmail(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		ada := h.Account(t, h.Portal(t))
		h.Account(t, ada.Portal, apitest.Object{"email": "bob@example.com"})
		h.Patch(t, ada.Admin, apitest.Object{"email": "ADA@example.com"}, apitest.AsOperator).Status(http.StatusOK).
			Is("email", "ADA@example.com").Is("confirmed", true)
		h.Patch(t, ada.Admin, apitest.Object{"email": "BOB@example.com"}, apitest.AsOperator).Problem(http.StatusConflict, "email_already_registered")
		h.Patch(t, ada.Admin, apitest.Object{"email": "ada@other.example"}, apitest.AsOperator).Status(http.StatusOK).Is("confirmed", false)
		h.Post(t, ada.Portal.Front+"/lookup", apitest.Object{"email": "ada@example.com"}).Problem(http.StatusNotFound, "email_not_found")
		h.Post(t, ada.Portal.Front+"/login", ada.Credentials(apitest.Object{"email": "ada@other.example"})).
			Problem(http.StatusForbidden, "email_not_confirmed")
		h.Patch(t, ada.Admin, apitest.Object{"email": "ada@third.example", "confirmed": true}, apitest.AsOperator).Status(http.StatusOK).
			Is("confirmed", true)
		h.Post(t, ada.Portal.Front+"/login", ada.Credentials(apitest.Object{"email": "ada@third.example"})).Status(http.StatusOK)
		h.Account(t, ada.Portal, apitest.Object{"email": "ada@example.com"}) // the old address is free again
	})
}

func TestUniqueWithinPortal(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p, other := h.Portal(t), h.Portal(t, apitest.Object{"slug": "other"})
		ada := apitest.Object{"email": "ada@example.com", "phone": "+4530303030"}
		h.Account(t, p, ada)
		h.Account(t, other, ada)
		bob := h.Account(t, p, apitest.Object{"email": "bob@example.com"})
		create := func(members apitest.Object) *apitest.Answer {
			return h.Post(t, p.Admin+"/accounts", members, apitest.AsOperator)
		}
		create(apitest.Object{"email": "ADA@example.com"}).Problem(http.StatusConflict, "email_already_registered").Remedies("log_in", "reset_password")
		create(apitest.Object{"email": "eve@example.com", "phone": "+45 30 30 30 30"}).Problem(http.StatusConflict, "phone_already_registered")
		h.Patch(t, bob.Admin, apitest.Object{"phone": "0045 3030 3030"}, apitest.AsOperator).
			Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/phone", "invalid")
		h.Patch(t, bob.Admin, apitest.Object{"phone": "+45 3030 3030", "given_name": "Bob"}, apitest.AsOperator).
			Problem(http.StatusConflict, "phone_already_registered")
		h.Get(t, bob.Admin, apitest.AsOperator).Is("given_name", nil)
	})
}

func TestRejectedPasswords(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{"name": "Umbrella"})
		ada := h.Account(t, p, apitest.Object{"email": "lovelace@example.com"})
		for secret, reasons := range map[string][]any{
			"2short":                   {"too_short"},
			strings.Repeat("long", 40): {"too_long"},
			"lovelace1234":             {"contains_email"},
			"Umbrella1234":             {"contains_portal_name"},
			"lovelace":                 {"too_short", "contains_email"},
		} {
			want := func(a *apitest.Answer) {
				t.Helper()
				a.Problem(http.StatusUnprocessableEntity, "password_rejected").Remedies("retry")
				require.Subset(t, a.List("reasons", "code"), reasons, secret)
			}
			want(h.Patch(t, ada.Admin, apitest.Object{"password": secret, "given_name": "Changed"}, apitest.AsOperator))
			want(h.Post(t, p.Admin+"/accounts", apitest.Object{"email": "lovelace@other.example", "password": secret}, apitest.AsOperator))
		}
		h.Patch(t, ada.Admin, apitest.Object{"password": "password1234"}, apitest.AsOperator).Problem(http.StatusUnprocessableEntity, "password_rejected")
		h.Get(t, ada.Admin, apitest.AsOperator).Is("given_name", nil)
		h.LogIn(t, ada)
		require.Equal(t, "1", h.QueryValue(t, "SELECT COUNT(*) FROM accounts"))
	})
}

func TestSearchingAccounts(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p, other := h.Portal(t), h.Portal(t, apitest.Object{"slug": "other"})
		for _, members := range []apitest.Object{
			{"email": "ada@example.com", "given_name": "Ada", "family_name": "Lovelace", "phone": "+4530303030"},
			{"email": "grace@navy.example", "given_name": "Grace", "family_name": "Hopper"},
			{"email": "100%_sure!@example.com", "given_name": "Per_Cent", "family_name": "100%"},
			{"email": "zoë@bücher.example", "given_name": "ZOË", "family_name": "O'Neill \\ Söhne"},
		} {
			h.Account(t, p, members, apitest.Object{"password": nil})
		}
		h.Account(t, other, apitest.Object{"email": "ada@elsewhere.example", "given_name": "Ada"})
		const ada, grace, percent, zoe = "ada@example.com", "grace@navy.example", "100%_sure!@example.com", "zoë@bücher.example"
		for q, want := range map[string][]any{
			"":                         {zoe, percent, grace, ada},
			"ada":                      {ada},
			"ADA":                      {ada},
			"ada lovelace":             {ada},
			"lovelace ada":             {ada},
			"%20lovelace%20":           {ada},
			"%2B4530":                  {ada},
			"@example.com":             {percent, ada},
			"navy":                     {grace},
			"%25":                      {percent},
			"_":                        {percent},
			"!":                        {percent},
			"100%25_s":                 {percent},
			"%25%25":                   {},
			"zo%C3%AB":                 {zoe},
			"ZOE%CC%88":                {zoe},
			"xn--bcher":                {zoe},
			"o'neill":                  {zoe},
			"%5C":                      {zoe},
			"';DROP TABLE accounts;--": {},
			"example.com%0A":           nil,
			"nobody":                   {},
			"elsewhere":                {},
			strings.Repeat("a", 254):   {},
			strings.Repeat("a", 255):   nil,
			"%FF":                      nil,
			"%00":                      nil,
		} {
			a := h.Get(t, p.Admin+"/accounts?q="+strings.ReplaceAll(strings.ReplaceAll(q, " ", "+"), ";", "%3B"), apitest.AsOperator)
			if want == nil {
				a.Problem(http.StatusUnprocessableEntity, "validation_failed")
			} else {
				require.Equal(t, want, a.Status(http.StatusOK).List("items", "email"), "q=%s", q)
			}
		}
	})
}

func TestListingAccounts(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		var want []any
		for i := range 7 {
			who := h.Account(t, p, apitest.Object{"email": fmt.Sprintf("person%d@example.com", i), "password": nil})
			want = append([]any{who.ID}, want...)
		}
		list := p.Admin + "/accounts"
		require.Equal(t, want, h.ListAll(t, list+"?limit=2", "id", 4))
		require.Equal(t, want, h.ListAll(t, list+"?limit=7", "id", 1))
		require.Equal(t, want, h.ListAll(t, list+"?q=PERSON&limit=3", "id", 3))
		require.Equal(t, want[3:4], h.ListAll(t, list+"?q=person3&limit=1", "id", 1))

		// A page goes on where the last one ended, whatever was deleted or made meanwhile.
		first := h.Get(t, list+"?limit=3", apitest.AsOperator)
		h.Delete(t, list+"/"+want[2].(string), apitest.AsOperator).Status(http.StatusNoContent)
		h.Account(t, p, apitest.Object{"email": "newer@example.com", "password": nil})
		rest := h.Get(t, list+"?cursor="+first.Text("next_cursor"), apitest.AsOperator).Status(http.StatusOK).List("items", "id")
		require.Equal(t, want[3:], rest)
	})
}

func TestAccountLimits(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		ada := h.Account(t, h.Portal(t))
		set := func(members any) *apitest.Answer {
			t.Helper()
			return h.Patch(t, ada.Admin, members, apitest.AsOperator)
		}
		many := func(n int) []string {
			var names []string
			for i := range n {
				names = append(names, fmt.Sprintf("%03d%s", i, strings.Repeat("é", 125)))
			}
			return names
		}
		for _, member := range []string{"roles", "entitlements"} {
			set(apitest.Object{member: many(64)}).Status(http.StatusOK)
			set(apitest.Object{member: many(65)}).Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/"+member, "too_many")
			set(apitest.Object{member: []string{"ok", strings.Repeat("é", 129)}}).Problem(http.StatusUnprocessableEntity, "validation_failed").
				FieldError("/"+member+"/1", "too_long")
			set(apitest.Object{member: []string{"ok", " "}}).Problem(http.StatusUnprocessableEntity, "validation_failed").
				FieldError("/"+member+"/1", "required")
		}
		full := strings.Repeat("x", 8192-len(`{"a":""}`))
		set(apitest.Object{"metadata": apitest.Object{"a": full}}).Status(http.StatusOK).Is("metadata.a", full)
		set(apitest.Object{"metadata": apitest.Object{"a": full + "x"}}).Problem(http.StatusUnprocessableEntity, "validation_failed").
			FieldError("/metadata", "too_long")
		nested := func(depth int) string {
			return `{"metadata":` + strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth) + "}"
		}
		set(nested(32)).Status(http.StatusOK)
		set(nested(33)).Problem(http.StatusUnprocessableEntity, "validation_failed")
		for text, pointer := range map[string]string{
			`{"metadata":{"a":{"b":[1,1e999]}}}`: "/metadata/a/b/1", `{"metadata":{"a":-1e999}}`: "/metadata/a",
		} {
			set(text).Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError(pointer, "invalid")
		}
		for _, text := range []string{`[]`, `"x"`, `1`, `true`} {
			set(`{"metadata":`+text+`}`).Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/metadata", "wrong_type")
		}
		for _, phone := range []string{"", "30303030", "+45", "+4530303030303030303", "+45 3030 303O", "+45+3030303", "tel:+4530303030"} {
			set(apitest.Object{"phone": phone}).Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/phone", "invalid")
		}
	})
}
