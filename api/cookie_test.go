package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

const page = "https://login.acme.example" // an origin of the portals below

func withOrigin() object { return object{"origins": []string{page}} }

// setCookie is the one cookie that an answer sets.
func (a *answer) setCookie() *http.Cookie {
	a.t.Helper()
	cookies := (&http.Response{Header: a.header}).Cookies()
	require.Len(a.t, cookies, 1)
	return cookies[0]
}

func TestCookieTransport(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, withOrigin(), object{"refresh_token_ttl": 3600})
		ada := h.account(t, p)
		in := h.post(t, p.front+"/login", ada.credentials(object{"transport": "cookie"}), origin(page)).status(http.StatusOK).
			lacks("refresh_token").is("refresh_expires_in", 3600).
			sets("Access-Control-Allow-Origin", page).sets("Access-Control-Allow-Credentials", "true")
		got := in.setCookie()
		require.Equal(t, refreshCookie+"="+got.Value+"; Path=/v1/portals/acme; Max-Age=3600; HttpOnly; Secure; SameSite=Lax", got.Raw)
		require.NotContains(t, string(in.body), got.Value)
		me := func(want int) {
			t.Helper()
			h.get(t, p.front+"/me", bearer(in.text("access_token"))).status(want)
		}
		me(http.StatusOK)

		for _, elsewhere := range [][]option{
			{}, {origin("https://evil.example")}, {origin("null")}, {origin(page + "/")}, {origin("http://login.acme.example")},
			{origin(strings.ToUpper(page))}, {origin(page + ".evil.example")}, {origin(page), oneMore("Origin", page)},
		} {
			with := append(elsewhere, cookie(got.Value))
			h.post(t, p.front+"/logout", nil, with...).problem(http.StatusForbidden, "origin_not_allowed").
				remedies("contact_administrator").sets("Access-Control-Allow-Origin", "").sets("Set-Cookie", "")
			before := h.counts(t)
			h.post(t, p.front+"/login", ada.credentials(object{"transport": "cookie"}), elsewhere...).
				problem(http.StatusForbidden, "origin_not_allowed").sets("Set-Cookie", "")
			require.Equal(t, before, h.counts(t))
		}
		me(http.StatusOK)

		out := h.post(t, p.front+"/logout", nil, cookie(got.Value), origin(page)).status(http.StatusNoContent).setCookie()
		require.Equal(t, refreshCookie+"=; Path=/v1/portals/acme; Max-Age=0; HttpOnly; Secure; SameSite=Lax", out.Raw)
		me(http.StatusUnauthorized)
	})
}

func TestCookieFollowsTheSettings(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		below := h.calling(h.another(t, db, func(o *options) { o.App.PublicURL = publicURL + "/auth/" }))
		for setting, attribute := range map[string]string{"lax": "Lax", "strict": "Strict", "none": "None"} {
			p := h.portal(t, withOrigin(), object{"slug": setting, "cookie_same_site": setting})
			credentials := h.account(t, p).credentials(object{"transport": "cookie"})
			c := h.post(t, p.front+"/login", credentials, origin(page)).status(http.StatusOK).setCookie()
			require.Contains(t, c.Raw, "; Path=/v1/portals/"+setting+";")
			require.True(t, strings.HasSuffix(c.Raw, "; HttpOnly; Secure; SameSite="+attribute), c.Raw)
			c = below.post(t, p.front+"/login", credentials, origin(page)).status(http.StatusOK).setCookie()
			require.Contains(t, c.Raw, "; Path=/auth/v1/portals/"+setting+";")
		}
	})
}

func TestLogout(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p, other := h.portal(t, withOrigin()), h.portal(t, object{"slug": "other"})
		ada := h.account(t, p)
		first, second := h.logIn(t, ada), h.logIn(t, ada)
		out := func(at portal, body any, with ...option) *answer {
			t.Helper()
			return h.post(t, at.front+"/logout", body, with...)
		}
		lives := func(in tokens) {
			t.Helper()
			h.get(t, p.front+"/me", bearer(in.access)).status(http.StatusOK)
		}
		for _, nonsense := range []string{
			"nonsense", first.access, first.refresh + "A", first.refresh + "=", first.refresh[1:], strings.ToUpper(first.refresh),
			" " + first.refresh, strings.Repeat("A", 5000), "AQ", "é",
		} {
			out(p, object{"refresh_token": nonsense}).status(http.StatusNoContent)
		}
		out(other, object{"refresh_token": first.refresh}).status(http.StatusNoContent)
		lives(first)

		out(p, nil).status(http.StatusNoContent) // a browser whose cookie is gone
		for _, body := range []any{object{}, object{"refresh_token": ""}} {
			out(p, body).problem(http.StatusUnprocessableEntity, "validation_failed").field("/refresh_token", "required")
		}
		out(p, object{"refresh_token": first.refresh}, cookie(first.refresh), origin(page)).
			problem(http.StatusUnprocessableEntity, "validation_failed").field("/refresh_token", "conflict")
		lives(first)

		out(p, object{"refresh_token": first.refresh}).status(http.StatusNoContent).sets("Set-Cookie", "")
		h.get(t, p.front+"/me", bearer(first.access)).problem(http.StatusUnauthorized, "access_token_invalid")
		out(p, object{"refresh_token": first.refresh}).status(http.StatusNoContent)
		lives(second)
		require.Equal(t, "1", h.sql(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'logout'"), "once, for the one that lived")
	})
}

func TestASessionEndsWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, object{"access_token_ttl": 86400, "refresh_token_ttl": 300})
		in := h.logIn(t, h.account(t, p))
		h.clock.advance(299 * time.Second)
		h.get(t, p.front+"/me", bearer(in.access)).status(http.StatusOK)
		h.clock.advance(2 * time.Second)
		h.get(t, p.front+"/me", bearer(in.access)).problem(http.StatusUnauthorized, "access_token_invalid").remedies("log_in")
	})
}
