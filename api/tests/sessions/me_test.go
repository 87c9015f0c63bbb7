package sessions_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

func TestMyAccount(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{"default_locale": "nl"})
		ada := h.Account(t, p, apitest.Object{"given_name": " Ada ", "roles": []string{"editor"}})
		in := h.LogIn(t, ada)
		me := p.Front + "/me"
		h.Get(t, me, apitest.Bearer(in.Access)).Status(http.StatusOK).Is("id", ada.ID).Is("email", ada.Email).Is("given_name", "Ada").
			Is("family_name", nil).Is("locale", "nl").Is("opted_out", false).Is("roles", []string{"editor"}).
			Is("entitlements", []string{}).Is("metadata", apitest.Object{}).Is("confirmed", true).Is("disabled", false)

		h.Patch(t, me, apitest.Object{"family_name": "Lovelace", "locale": "da", "opted_out": true}, apitest.Bearer(in.Access)).
			Status(http.StatusOK).Is("given_name", "Ada").Is("family_name", "Lovelace").Is("locale", "da").Is("opted_out", true)
		h.Patch(t, me, apitest.Object{}, apitest.Bearer(in.Access)).Status(http.StatusOK).Is("family_name", "Lovelace")
		h.Patch(t, me, apitest.Object{"given_name": nil, "family_name": "  "}, apitest.Bearer(in.Access)).Status(http.StatusOK).
			Is("given_name", nil).Is("family_name", nil).Is("opted_out", true)
		h.Patch(t, me, apitest.Object{"given_name": strings.Repeat("é", 100)}, apitest.Bearer(in.Access)).Status(http.StatusOK)
		h.Patch(t, me, apitest.Object{"given_name": strings.Repeat("é", 101), "locale": "sv", "family_name": strings.Repeat("x", 101)},
			apitest.Bearer(in.Access)).Problem(http.StatusUnprocessableEntity, "validation_failed").
			FieldError("/given_name", "too_long").FieldError("/family_name", "too_long").FieldError("/locale", "not_allowed")
		h.Get(t, me, apitest.Bearer(in.Access)).Status(http.StatusOK).Is("given_name", strings.Repeat("é", 100)).Is("locale", "da")

		// What administrators alone may set, a person cannot.
		for _, member := range []string{
			"id", "email", "phone", "password", "roles", "entitlements", "metadata", "confirmed", "disabled", "has_password",
		} {
			h.Patch(t, me, apitest.Object{member: nil}, apitest.Bearer(in.Access)).Problem(http.StatusUnprocessableEntity, "validation_failed").
				FieldError("/"+member, "unknown_member")
		}
	})
}

func TestChangesThatEndSessions(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		for name, change := range map[string]apitest.Object{
			"password": {"password": "another good passphrase"},
			"email":    {"email": "someone.else@example.com"},
			"disabled": {"disabled": true},
			"deleted":  nil,
		} {
			who := h.Account(t, p, apitest.Object{"email": name + "@example.com"})
			first, second := h.LogIn(t, who), h.LogIn(t, who)
			h.Get(t, p.Front+"/me", apitest.Bearer(first.Access)).Status(http.StatusOK)
			if change == nil {
				h.Delete(t, who.Admin, apitest.AsOperator).Status(http.StatusNoContent)
			} else {
				h.Patch(t, who.Admin, change, apitest.AsOperator).Status(http.StatusOK)
			}
			for _, in := range []apitest.Tokens{first, second} {
				h.Get(t, p.Front+"/me", apitest.Bearer(in.Access)).Problem(http.StatusUnauthorized, "access_token_invalid").
					Remedies("log_in").HasHeader("WWW-Authenticate", `Bearer realm="latchkey", error="invalid_token"`)
				h.Patch(t, p.Front+"/me", apitest.Object{}, apitest.Bearer(in.Access)).Problem(http.StatusUnauthorized, "access_token_invalid")
			}
		}
	})
}

func TestChangesThatKeepSessions(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		ada := h.Account(t, h.Portal(t))
		in := h.LogIn(t, ada)
		for _, change := range []apitest.Object{
			{"email": "ADA@Example.com"}, {"confirmed": false}, {"confirmed": true}, {"disabled": false}, {"opted_out": true},
			{"roles": []string{"editor"}, "entitlements": []string{"reports"}}, {"phone": "+4530303030"}, {"locale": "fr"},
			{"metadata": apitest.Object{"a": 1}}, {"given_name": "Ada"}, {},
		} {
			h.Patch(t, ada.Admin, change, apitest.AsOperator).Status(http.StatusOK)
			h.Get(t, ada.Portal.Front+"/me", apitest.Bearer(in.Access)).Status(http.StatusOK)
		}
		h.LogIn(t, ada)
		h.Get(t, ada.Portal.Front+"/me", apitest.Bearer(in.Access)).Status(http.StatusOK)
	})
}

// A session of one portal is nothing at another, though the same person has an account at both.
func TestAccessTokenOfOtherPortal(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		acme, other := h.Portal(t), h.Portal(t, apitest.Object{"slug": "other"})
		here := h.Account(t, acme)
		there := h.Account(t, other, apitest.Object{"password": "another good passphrase"})
		in := h.LogIn(t, here)

		h.Get(t, other.Front+"/me", apitest.Bearer(in.Access)).Problem(http.StatusUnauthorized, "access_token_invalid")
		h.Patch(t, other.Front+"/me", apitest.Object{}, apitest.Bearer(in.Access)).Problem(http.StatusUnauthorized, "access_token_invalid")
		h.Post(t, other.Front+"/login", here.Credentials()).Problem(http.StatusUnauthorized, "incorrect_credentials")
		h.Post(t, other.Front+"/logout", apitest.Object{"refresh_token": in.Refresh}).Status(http.StatusNoContent)
		h.Get(t, acme.Front+"/me", apitest.Bearer(in.Access)).Status(http.StatusOK).Is("id", here.ID)

		path := other.Admin + "/accounts/" + here.ID
		h.Get(t, path, apitest.AsOperator).Problem(http.StatusNotFound, "not_found")
		h.Patch(t, path, apitest.Object{"disabled": true}, apitest.AsOperator).Problem(http.StatusNotFound, "not_found")
		h.Patch(t, path, apitest.Object{"password": "yet another passphrase"}, apitest.AsOperator).Problem(http.StatusNotFound, "not_found")
		h.Delete(t, path, apitest.AsOperator).Problem(http.StatusNotFound, "not_found")
		require.Equal(t, []any{there.ID}, h.Get(t, other.Admin+"/accounts", apitest.AsOperator).List("items", "id"))

		h.Delete(t, other.Admin, apitest.AsOperator).Status(http.StatusNoContent)
		h.Get(t, acme.Front+"/me", apitest.Bearer(in.Access)).Status(http.StatusOK)
		h.LogIn(t, here)
	})
}
