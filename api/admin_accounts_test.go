package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

func TestAccounts(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, object{"default_locale": "fr"})
		made := h.post(t, p.admin+"/accounts", object{"email": " Ada@Example.com "}, asOperator).status(http.StatusCreated)
		path := p.admin + "/accounts/" + made.text("id")
		made.sets("Location", path).is("email", "Ada@Example.com").is("phone", nil).is("given_name", nil).is("family_name", nil).
			is("locale", "fr").is("roles", []string{}).is("entitlements", []string{}).is("metadata", object{}).
			is("confirmed", false).is("has_password", false).is("disabled", false).is("opted_out", false).is("last_login_at", nil).
			is("created_at", h.stamp(0))
		require.JSONEq(t, string(made.body), string(h.get(t, path, asOperator).status(http.StatusOK).body))

		h.patch(t, path, object{
			"password": goodPassword, "confirmed": true, "phone": "+45 (30) 30-30.30", "roles": []string{"a", "b", "a"},
			"entitlements": []string{"x"}, "locale": "da", "given_name": "Ada", "family_name": "Lovelace",
			"metadata": object{"a": []int{1}, "b": nil}, "disabled": true, "opted_out": true,
		}, asOperator).status(http.StatusOK).is("has_password", true).is("confirmed", true).is("phone", "+4530303030").
			is("roles", []string{"a", "b"}).is("entitlements", []string{"x"}).is("locale", "da").is("given_name", "Ada").
			is("metadata", object{"a": []int{1}, "b": nil}).is("disabled", true).is("opted_out", true)
		h.patch(t, path, object{"phone": nil, "roles": []string{}, "metadata": object{}, "given_name": nil, "disabled": false},
			asOperator).status(http.StatusOK).is("phone", nil).is("roles", []string{}).is("metadata", object{}).
			is("given_name", nil).is("family_name", "Lovelace").is("disabled", false).is("entitlements", []string{"x"})
		h.patch(t, path, object{}, asOperator).status(http.StatusOK).is("family_name", "Lovelace")

		h.delete(t, path, asOperator).status(http.StatusNoContent)
		h.get(t, path, asOperator).problem(http.StatusNotFound, "not_found")
		h.patch(t, path, object{}, asOperator).problem(http.StatusNotFound, "not_found")
		h.delete(t, path, asOperator).problem(http.StatusNotFound, "not_found")
		for _, id := range []string{
			"1", "x", strings.ToUpper(made.text("id")), "%7B" + made.text("id") + "%7D", uuid.Nil.String(), "urn:uuid:" + made.text("id"), "%00",
		} {
			h.get(t, p.admin+"/accounts/"+id, asOperator).problem(http.StatusNotFound, "not_found")
		}
	})
}

func TestCorrectingAnEmail(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		ada := h.account(t, h.portal(t))
		h.account(t, ada.portal, object{"email": "bob@example.com"})
		h.patch(t, ada.admin, object{"email": "ADA@example.com"}, asOperator).status(http.StatusOK).
			is("email", "ADA@example.com").is("confirmed", true)
		h.patch(t, ada.admin, object{"email": "BOB@example.com"}, asOperator).problem(http.StatusConflict, "email_already_registered")
		h.patch(t, ada.admin, object{"email": "ada@other.example"}, asOperator).status(http.StatusOK).is("confirmed", false)
		h.post(t, ada.portal.front+"/lookup", object{"email": "ada@example.com"}).problem(http.StatusNotFound, "email_not_found")
		h.post(t, ada.portal.front+"/login", ada.credentials(object{"email": "ada@other.example"})).
			problem(http.StatusForbidden, "email_not_confirmed")
		h.patch(t, ada.admin, object{"email": "ada@third.example", "confirmed": true}, asOperator).status(http.StatusOK).
			is("confirmed", true)
		h.post(t, ada.portal.front+"/login", ada.credentials(object{"email": "ada@third.example"})).status(http.StatusOK)
		h.account(t, ada.portal, object{"email": "ada@example.com"}) // the old address is free again
	})
}

func TestWhatIsUniqueInAPortal(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p, other := h.portal(t), h.portal(t, object{"slug": "other"})
		ada := object{"email": "ada@example.com", "phone": "+4530303030"}
		h.account(t, p, ada)
		h.account(t, other, ada)
		bob := h.account(t, p, object{"email": "bob@example.com"})
		create := func(members object) *answer { return h.post(t, p.admin+"/accounts", members, asOperator) }
		create(object{"email": "ADA@example.com"}).problem(http.StatusConflict, "email_already_registered").remedies("log_in", "reset_password")
		create(object{"email": "eve@example.com", "phone": "+45 30 30 30 30"}).problem(http.StatusConflict, "phone_already_registered")
		h.patch(t, bob.admin, object{"phone": "0045 3030 3030"}, asOperator).
			problem(http.StatusUnprocessableEntity, "validation_failed").field("/phone", "invalid")
		h.patch(t, bob.admin, object{"phone": "+45 3030 3030", "given_name": "Bob"}, asOperator).
			problem(http.StatusConflict, "phone_already_registered")
		h.get(t, bob.admin, asOperator).is("given_name", nil)
	})
}

func TestPasswordsThatAreRejected(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, object{"name": "Umbrella"})
		ada := h.account(t, p, object{"email": "lovelace@example.com"})
		for secret, reasons := range map[string][]any{
			"2short":                   {"too_short"},
			strings.Repeat("long", 40): {"too_long"},
			"lovelace1234":             {"contains_email"},
			"Umbrella1234":             {"contains_portal_name"},
			"lovelace":                 {"too_short", "contains_email"},
		} {
			want := func(a *answer) {
				t.Helper()
				a.problem(http.StatusUnprocessableEntity, "password_rejected").remedies("retry")
				require.Subset(t, a.list("reasons", "code"), reasons, secret)
			}
			want(h.patch(t, ada.admin, object{"password": secret, "given_name": "Changed"}, asOperator))
			want(h.post(t, p.admin+"/accounts", object{"email": "lovelace@other.example", "password": secret}, asOperator))
		}
		h.patch(t, ada.admin, object{"password": "password1234"}, asOperator).problem(http.StatusUnprocessableEntity, "password_rejected")
		h.get(t, ada.admin, asOperator).is("given_name", nil)
		h.logIn(t, ada)
		require.Equal(t, "1", h.sql(t, "SELECT COUNT(*) FROM accounts"))
	})
}

func TestSearchingAccounts(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p, other := h.portal(t), h.portal(t, object{"slug": "other"})
		for _, members := range []object{
			{"email": "ada@example.com", "given_name": "Ada", "family_name": "Lovelace", "phone": "+4530303030"},
			{"email": "grace@navy.example", "given_name": "Grace", "family_name": "Hopper"},
			{"email": "100%_sure!@example.com", "given_name": "Per_Cent", "family_name": "100%"},
			{"email": "zoë@bücher.example", "given_name": "ZOË", "family_name": "O'Neill \\ Söhne"},
		} {
			h.account(t, p, members, object{"password": nil})
		}
		h.account(t, other, object{"email": "ada@elsewhere.example", "given_name": "Ada"})
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
			a := h.get(t, p.admin+"/accounts?q="+strings.ReplaceAll(strings.ReplaceAll(q, " ", "+"), ";", "%3B"), asOperator)
			if want == nil {
				a.problem(http.StatusUnprocessableEntity, "validation_failed")
			} else {
				require.Equal(t, want, a.status(http.StatusOK).list("items", "email"), "q=%s", q)
			}
		}
	})
}

func TestListingAccounts(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		var want []any
		for i := range 7 {
			who := h.account(t, p, object{"email": fmt.Sprintf("person%d@example.com", i), "password": nil})
			want = append([]any{who.id}, want...)
		}
		list := p.admin + "/accounts"
		require.Equal(t, want, h.walk(t, list+"?limit=2", "id", 4))
		require.Equal(t, want, h.walk(t, list+"?limit=7", "id", 1))
		require.Equal(t, want, h.walk(t, list+"?q=PERSON&limit=3", "id", 3))
		require.Equal(t, want[3:4], h.walk(t, list+"?q=person3&limit=1", "id", 1))

		// A page goes on where the last one ended, whatever was deleted or made meanwhile.
		first := h.get(t, list+"?limit=3", asOperator)
		h.delete(t, list+"/"+want[2].(string), asOperator).status(http.StatusNoContent)
		h.account(t, p, object{"email": "newer@example.com", "password": nil})
		rest := h.get(t, list+"?cursor="+first.text("next_cursor"), asOperator).status(http.StatusOK).list("items", "id")
		require.Equal(t, want[3:], rest)
	})
}

func TestLimitsOfAnAccount(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		ada := h.account(t, h.portal(t))
		set := func(members any) *answer { t.Helper(); return h.patch(t, ada.admin, members, asOperator) }
		many := func(n int) []string {
			var names []string
			for i := range n {
				names = append(names, fmt.Sprintf("%03d%s", i, strings.Repeat("é", 125)))
			}
			return names
		}
		for _, member := range []string{"roles", "entitlements"} {
			set(object{member: many(64)}).status(http.StatusOK)
			set(object{member: many(65)}).problem(http.StatusUnprocessableEntity, "validation_failed").field("/"+member, "too_many")
			set(object{member: []string{"ok", strings.Repeat("é", 129)}}).problem(http.StatusUnprocessableEntity, "validation_failed").
				field("/"+member+"/1", "too_long")
			set(object{member: []string{"ok", " "}}).problem(http.StatusUnprocessableEntity, "validation_failed").
				field("/"+member+"/1", "required")
		}
		full := strings.Repeat("x", 8192-len(`{"a":""}`))
		set(object{"metadata": object{"a": full}}).status(http.StatusOK).is("metadata.a", full)
		set(object{"metadata": object{"a": full + "x"}}).problem(http.StatusUnprocessableEntity, "validation_failed").
			field("/metadata", "too_long")
		nested := func(depth int) string {
			return `{"metadata":` + strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth) + "}"
		}
		set(nested(32)).status(http.StatusOK)
		set(nested(33)).problem(http.StatusUnprocessableEntity, "validation_failed")
		for text, pointer := range map[string]string{
			`{"metadata":{"a":{"b":[1,1e999]}}}`: "/metadata/a/b/1", `{"metadata":{"a":-1e999}}`: "/metadata/a",
		} {
			set(text).problem(http.StatusUnprocessableEntity, "validation_failed").field(pointer, "invalid")
		}
		for _, text := range []string{`[]`, `"x"`, `1`, `true`} {
			set(`{"metadata":`+text+`}`).problem(http.StatusUnprocessableEntity, "validation_failed").field("/metadata", "wrong_type")
		}
		for _, phone := range []string{"", "30303030", "+45", "+4530303030303030303", "+45 3030 303O", "+45+3030303", "tel:+4530303030"} {
			set(object{"phone": phone}).problem(http.StatusUnprocessableEntity, "validation_failed").field("/phone", "invalid")
		}
	})
}
