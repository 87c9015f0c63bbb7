package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

func TestMyAccount(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, object{"default_locale": "nl"})
		ada := h.account(t, p, object{"given_name": " Ada ", "roles": []string{"editor"}})
		in := h.logIn(t, ada)
		me := p.front + "/me"
		h.get(t, me, bearer(in.access)).status(http.StatusOK).is("id", ada.id).is("email", ada.email).is("given_name", "Ada").
			is("family_name", nil).is("locale", "nl").is("opted_out", false).is("roles", []string{"editor"}).
			is("entitlements", []string{}).is("metadata", object{}).is("confirmed", true).is("disabled", false)

		h.patch(t, me, object{"family_name": "Lovelace", "locale": "da", "opted_out": true}, bearer(in.access)).
			status(http.StatusOK).is("given_name", "Ada").is("family_name", "Lovelace").is("locale", "da").is("opted_out", true)
		h.patch(t, me, object{}, bearer(in.access)).status(http.StatusOK).is("family_name", "Lovelace")
		h.patch(t, me, object{"given_name": nil, "family_name": "  "}, bearer(in.access)).status(http.StatusOK).
			is("given_name", nil).is("family_name", nil).is("opted_out", true)
		h.patch(t, me, object{"given_name": strings.Repeat("é", 100)}, bearer(in.access)).status(http.StatusOK)
		h.patch(t, me, object{"given_name": strings.Repeat("é", 101), "locale": "sv", "family_name": strings.Repeat("x", 101)},
			bearer(in.access)).problem(http.StatusUnprocessableEntity, "validation_failed").
			field("/given_name", "too_long").field("/family_name", "too_long").field("/locale", "not_allowed")
		h.get(t, me, bearer(in.access)).status(http.StatusOK).is("given_name", strings.Repeat("é", 100)).is("locale", "da")

		// What administrators alone may set, a person cannot.
		for _, member := range []string{
			"id", "email", "phone", "password", "roles", "entitlements", "metadata", "confirmed", "disabled", "has_password",
		} {
			h.patch(t, me, object{member: nil}, bearer(in.access)).problem(http.StatusUnprocessableEntity, "validation_failed").
				field("/"+member, "unknown_member")
		}
	})
}

func TestWhatEndsSessions(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		for name, change := range map[string]object{
			"password": {"password": "another good passphrase"},
			"email":    {"email": "someone.else@example.com"},
			"disabled": {"disabled": true},
			"deleted":  nil,
		} {
			who := h.account(t, p, object{"email": name + "@example.com"})
			first, second := h.logIn(t, who), h.logIn(t, who)
			h.get(t, p.front+"/me", bearer(first.access)).status(http.StatusOK)
			if change == nil {
				h.delete(t, who.admin, asOperator).status(http.StatusNoContent)
			} else {
				h.patch(t, who.admin, change, asOperator).status(http.StatusOK)
			}
			for _, in := range []tokens{first, second} {
				h.get(t, p.front+"/me", bearer(in.access)).problem(http.StatusUnauthorized, "access_token_invalid").
					remedies("log_in").sets("WWW-Authenticate", `Bearer realm="latchkey", error="invalid_token"`)
				h.patch(t, p.front+"/me", object{}, bearer(in.access)).problem(http.StatusUnauthorized, "access_token_invalid")
			}
		}
	})
}

func TestWhatEndsNoSession(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		ada := h.account(t, h.portal(t))
		in := h.logIn(t, ada)
		for _, change := range []object{
			{"email": "ADA@Example.com"}, {"confirmed": false}, {"confirmed": true}, {"disabled": false}, {"opted_out": true},
			{"roles": []string{"editor"}, "entitlements": []string{"reports"}}, {"phone": "+4530303030"}, {"locale": "fr"},
			{"metadata": object{"a": 1}}, {"given_name": "Ada"}, {},
		} {
			h.patch(t, ada.admin, change, asOperator).status(http.StatusOK)
			h.get(t, ada.portal.front+"/me", bearer(in.access)).status(http.StatusOK)
		}
		h.logIn(t, ada)
		h.get(t, ada.portal.front+"/me", bearer(in.access)).status(http.StatusOK)
	})
}

// A session of one portal is nothing at another, though the same person has an account at both.
func TestPortalsAreApart(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		acme, other := h.portal(t), h.portal(t, object{"slug": "other"})
		here := h.account(t, acme)
		there := h.account(t, other, object{"password": "another good passphrase"})
		in := h.logIn(t, here)

		h.get(t, other.front+"/me", bearer(in.access)).problem(http.StatusUnauthorized, "access_token_invalid")
		h.patch(t, other.front+"/me", object{}, bearer(in.access)).problem(http.StatusUnauthorized, "access_token_invalid")
		h.post(t, other.front+"/login", here.credentials()).problem(http.StatusUnauthorized, "incorrect_credentials")
		h.post(t, other.front+"/logout", object{"refresh_token": in.refresh}).status(http.StatusNoContent)
		h.get(t, acme.front+"/me", bearer(in.access)).status(http.StatusOK).is("id", here.id)

		path := other.admin + "/accounts/" + here.id
		h.get(t, path, asOperator).problem(http.StatusNotFound, "not_found")
		h.patch(t, path, object{"disabled": true}, asOperator).problem(http.StatusNotFound, "not_found")
		h.patch(t, path, object{"password": "yet another passphrase"}, asOperator).problem(http.StatusNotFound, "not_found")
		h.delete(t, path, asOperator).problem(http.StatusNotFound, "not_found")
		require.Equal(t, []any{there.id}, h.get(t, other.admin+"/accounts", asOperator).list("items", "id"))

		h.delete(t, other.admin, asOperator).status(http.StatusNoContent)
		h.get(t, acme.front+"/me", bearer(in.access)).status(http.StatusOK)
		h.logIn(t, here)
	})
}
