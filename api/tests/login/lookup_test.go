package login_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

func TestLookupNextStep(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		acme := h.Portal(t)
		lax := h.Portal(t, apitest.Object{"slug": "lax", "require_confirmation": false})
		codes := h.Portal(t, apitest.Object{"slug": "codes", "login_methods": []string{"email_code", "sms_code"}})
		unconfirmed, passwordless := apitest.Object{"confirmed": false}, apitest.Object{"password": nil}
		for _, tt := range []struct {
			name    string
			portal  apitest.Portal
			members []apitest.Object
			next    string
			methods []string
		}{
			{"ready", acme, nil, "password", []string{"password"}},
			{"unconfirmed", acme, []apitest.Object{unconfirmed}, "confirm_email", []string{"password"}},
			{"no password", acme, []apitest.Object{passwordless}, "set_password", []string{"password"}},
			{"neither", acme, []apitest.Object{unconfirmed, passwordless}, "set_password", []string{"password"}},
			{"disabled", acme, []apitest.Object{{"disabled": true}}, "password", []string{"password"}},
			{"unconfirmed, not required", lax, []apitest.Object{unconfirmed}, "password", []string{"password"}},
			{"no password, not required", lax, []apitest.Object{passwordless}, "set_password", []string{"password"}},
			{"without passwords", codes, nil, "login_code", []string{"email_code", "sms_code"}},
			{"without passwords, unconfirmed", codes, []apitest.Object{unconfirmed}, "login_code", []string{"email_code", "sms_code"}},
		} {
			email := strings.NewReplacer(" ", "-", ",", "").Replace(tt.name) + "@example.com"
			h.Account(t, tt.portal, append(tt.members, apitest.Object{"email": email})...)
			h.Post(t, tt.portal.Front+"/lookup", apitest.Object{"email": email}).Status(http.StatusOK).
				Is("next", tt.next).Is("methods", tt.methods)
		}
	})
}

func TestLookupOfAnUnknownAddress(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{"support": apitest.Object{"email": "help@acme.example"}})
		other := h.Portal(t, apitest.Object{"slug": "other"})
		h.Account(t, other, apitest.Object{"email": "ada@gmail.com"})

		h.Post(t, p.Front+"/lookup", apitest.Object{"email": "ada@gmial.com"}).Problem(http.StatusNotFound, "email_not_found").
			Is("did_you_mean", []string{"ada@gmail.com"}).Remedies("correct_email", "contact_administrator").
			Is("support", apitest.Object{"email": "help@acme.example", "url": nil})
		h.Post(t, p.Front+"/lookup", apitest.Object{"email": "ada@gmail.com"}).Problem(http.StatusNotFound, "email_not_found").
			Lacks("did_you_mean")
		h.Post(t, p.Front+"/lookup", apitest.Object{"email": "ada@gmail.com"}, apitest.Language("da, en;q=0.5")).
			Problem(http.StatusNotFound, "email_not_found").HasHeader("Content-Language", "da")
	})
}

func TestLookupAddressSpellings(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		ada := h.Account(t, p, apitest.Object{"email": apitest.AddressSpellings[0]})
		for _, spelling := range apitest.AddressSpellings {
			h.Post(t, p.Front+"/lookup", apitest.Object{"email": spelling}).Status(http.StatusOK).Is("next", "password")
			h.Post(t, p.Front+"/login", ada.Credentials(apitest.Object{"email": spelling})).Status(http.StatusOK).
				Is("account.id", ada.ID).Is("account.email", apitest.AddressSpellings[0])
			h.Post(t, p.Admin+"/accounts", apitest.Object{"email": spelling}, apitest.AsOperator).
				Problem(http.StatusConflict, "email_already_registered")
		}
	})
}

func TestLookupInvalidAddress(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		for _, typed := range []string{
			"ada", "ada@", "@example.com", "ada@localhost", "ada@example..com", "ada@@example.com", "ada@example.com,bob@example.com",
			"ada@example.com bob@example.com", "Ada <ada@example.com>", "<ada@example.com>", `"ada"@example.com`,
			"ada@[192.0.2.1]", "ada(comment)@example.com", "a\u200bda@example.com", "ada@exa\u202emple.com",
			strings.Repeat("a", 250) + "@example.com",
		} {
			h.Post(t, p.Front+"/lookup", apitest.Object{"email": typed}).Problem(http.StatusUnprocessableEntity, "validation_failed").
				FieldError("/email", "invalid_email").Remedies("correct_email")
			h.Post(t, p.Front+"/login", apitest.Object{"email": typed, "password": apitest.GoodPassword}).
				Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/email", "invalid_email")
			h.Post(t, p.Admin+"/accounts", apitest.Object{"email": typed}, apitest.AsOperator).
				Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/email", "invalid_email")
		}
		h.Post(t, p.Front+"/lookup", apitest.Object{"email": " \u3000 "}).Problem(http.StatusUnprocessableEntity, "validation_failed").
			FieldError("/email", "required")
	})
}

func TestUnknownPortal(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		in := h.LogIn(t, h.Account(t, p))
		off := h.Portal(t, apitest.Object{"slug": "off", "enabled": false, "domains": []string{"login.off.example"}})
		h.Account(t, off) // administrators reach a portal that is switched off

		for _, op := range apitest.OpenAPI().Operations {
			if !strings.HasPrefix(op.Path, "/v1/portals/{portal}") && !strings.HasPrefix(op.Path, "/v1/admin/portals/{portal}") {
				continue
			}
			for _, slug := range []string{"acm", "acme-", "ACME", "off", "acme%00", "acme%20", "%C3%A1cme", strings.Repeat("a", 64)} {
				authorized := apitest.Bearer(in.Access)
				if strings.HasPrefix(op.Path, "/v1/admin") {
					authorized = apitest.AsOperator
					if slug == "off" {
						continue
					}
				}
				h.Call(t, op.Method, apitest.FillPath(op.Path, slug), apitest.ExampleBody(op), authorized).Problem(http.StatusNotFound, "organization_not_found")
			}
		}
		h.Get(t, "/v1/portals?domain=login.off.example").Problem(http.StatusNotFound, "organization_not_found")
		h.Get(t, off.Admin, apitest.AsOperator).Status(http.StatusOK).Is("enabled", false)
		h.Patch(t, off.Admin, apitest.Object{"enabled": true}, apitest.AsOperator).Status(http.StatusOK)
		h.Get(t, off.Front).Status(http.StatusOK)
	})
}
