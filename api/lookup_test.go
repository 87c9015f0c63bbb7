package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

func TestLookupSaysWhatComesNext(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		acme := h.portal(t)
		lax := h.portal(t, object{"slug": "lax", "require_confirmation": false})
		codes := h.portal(t, object{"slug": "codes", "login_methods": []string{"email_code", "sms_code"}})
		unconfirmed, passwordless := object{"confirmed": false}, object{"password": nil}
		for _, tt := range []struct {
			name    string
			portal  portal
			members []object
			next    string
			methods []string
		}{
			{"ready", acme, nil, "password", []string{"password"}},
			{"unconfirmed", acme, []object{unconfirmed}, "confirm_email", []string{"password"}},
			{"no password", acme, []object{passwordless}, "set_password", []string{"password"}},
			{"neither", acme, []object{unconfirmed, passwordless}, "set_password", []string{"password"}},
			{"disabled", acme, []object{{"disabled": true}}, "password", []string{"password"}},
			{"unconfirmed, not required", lax, []object{unconfirmed}, "password", []string{"password"}},
			{"no password, not required", lax, []object{passwordless}, "set_password", []string{"password"}},
			{"without passwords", codes, nil, "login_code", []string{"email_code", "sms_code"}},
			{"without passwords, unconfirmed", codes, []object{unconfirmed}, "login_code", []string{"email_code", "sms_code"}},
		} {
			email := strings.NewReplacer(" ", "-", ",", "").Replace(tt.name) + "@example.com"
			h.account(t, tt.portal, append(tt.members, object{"email": email})...)
			h.post(t, tt.portal.front+"/lookup", object{"email": email}).status(http.StatusOK).
				is("next", tt.next).is("methods", tt.methods)
		}
	})
}

func TestLookupOfAnUnknownAddress(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, object{"support": object{"email": "help@acme.example"}})
		other := h.portal(t, object{"slug": "other"})
		h.account(t, other, object{"email": "ada@gmail.com"})

		h.post(t, p.front+"/lookup", object{"email": "ada@gmial.com"}).problem(http.StatusNotFound, "email_not_found").
			is("did_you_mean", []string{"ada@gmail.com"}).remedies("correct_email", "contact_administrator").
			is("support", object{"email": "help@acme.example", "url": nil})
		h.post(t, p.front+"/lookup", object{"email": "ada@gmail.com"}).problem(http.StatusNotFound, "email_not_found").
			lacks("did_you_mean")
		h.post(t, p.front+"/lookup", object{"email": "ada@gmail.com"}, language("da, en;q=0.5")).
			problem(http.StatusNotFound, "email_not_found").sets("Content-Language", "da")
	})
}

// spellings are one address, and must lead to one account whichever was typed.
var spellings = []string{
	"Ada.Lovelace@bücher.example", "ada.lovelace@bücher.example", "  ADA.LOVELACE@BÜCHER.EXAMPLE ", "ada.lovelace@bu\u0308cher.example",
	"ada.lovelace@xn--bcher-kva.example", "ada.lovelace＠bücher.example", "ａｄａ.lovelace@bücher。example",
	"\u00a0ada.lovelace@XN--BCHER-KVA.example\u3000",
}

func TestEverySpellingIsOneAddress(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		ada := h.account(t, p, object{"email": spellings[0]})
		for _, spelling := range spellings {
			h.post(t, p.front+"/lookup", object{"email": spelling}).status(http.StatusOK).is("next", "password")
			h.post(t, p.front+"/login", ada.credentials(object{"email": spelling})).status(http.StatusOK).
				is("account.id", ada.id).is("account.email", spellings[0])
			h.post(t, p.admin+"/accounts", object{"email": spelling}, asOperator).
				problem(http.StatusConflict, "email_already_registered")
		}
	})
}

func TestWhatIsNoAddress(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		for _, typed := range []string{
			"ada", "ada@", "@example.com", "ada@localhost", "ada@example..com", "ada@@example.com", "ada@example.com,bob@example.com",
			"ada@example.com bob@example.com", "Ada <ada@example.com>", "<ada@example.com>", `"ada"@example.com`,
			"ada@[192.0.2.1]", "ada(comment)@example.com", "a\u200bda@example.com", "ada@exa\u202emple.com",
			strings.Repeat("a", 250) + "@example.com",
		} {
			h.post(t, p.front+"/lookup", object{"email": typed}).problem(http.StatusUnprocessableEntity, "validation_failed").
				field("/email", "invalid_email").remedies("correct_email")
			h.post(t, p.front+"/login", object{"email": typed, "password": goodPassword}).
				problem(http.StatusUnprocessableEntity, "validation_failed").field("/email", "invalid_email")
			h.post(t, p.admin+"/accounts", object{"email": typed}, asOperator).
				problem(http.StatusUnprocessableEntity, "validation_failed").field("/email", "invalid_email")
		}
		h.post(t, p.front+"/lookup", object{"email": " \u3000 "}).problem(http.StatusUnprocessableEntity, "validation_failed").
			field("/email", "required")
	})
}

func TestAPortalThatIsNotThere(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		in := h.logIn(t, h.account(t, p))
		off := h.portal(t, object{"slug": "off", "enabled": false, "domains": []string{"login.off.example"}})
		h.account(t, off) // administrators reach a portal that is switched off

		for _, op := range contract().operations {
			if !strings.HasPrefix(op.path, "/v1/portals/{portal}") && !strings.HasPrefix(op.path, "/v1/admin/portals/{portal}") {
				continue
			}
			for _, slug := range []string{"acm", "acme-", "ACME", "off", "acme%00", "acme%20", "%C3%A1cme", strings.Repeat("a", 64)} {
				authorized := bearer(in.access)
				if strings.HasPrefix(op.path, "/v1/admin") {
					authorized = asOperator
					if slug == "off" {
						continue
					}
				}
				h.call(t, op.method, fill(op.path, slug), example(op), authorized).problem(http.StatusNotFound, "organization_not_found")
			}
		}
		h.get(t, "/v1/portals?domain=login.off.example").problem(http.StatusNotFound, "organization_not_found")
		h.get(t, off.admin, asOperator).status(http.StatusOK).is("enabled", false)
		h.patch(t, off.admin, object{"enabled": true}, asOperator).status(http.StatusOK)
		h.get(t, off.front).status(http.StatusOK)
	})
}
