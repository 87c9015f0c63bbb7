package sessions_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

func TestCookieTransport(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.WithLoginOrigin(), apitest.Object{"refresh_token_ttl": 3600})
		ada := h.Account(t, p)
		in := h.Post(t, p.Front+"/login", ada.Credentials(apitest.Object{"transport": "cookie"}), apitest.Origin(apitest.LoginOrigin)).Status(http.StatusOK).
			Lacks("refresh_token").Is("refresh_expires_in", 3600).
			HasHeader("Access-Control-Allow-Origin", apitest.LoginOrigin).HasHeader("Access-Control-Allow-Credentials", "true")
		got := in.SetCookie()
		require.Equal(t, apitest.RefreshCookieName+"="+got.Value+"; Path=/v1/portals/acme; Max-Age=3600; HttpOnly; Secure; SameSite=Lax", got.Raw)
		require.NotContains(t, string(in.Body), got.Value)
		me := func(want int) {
			t.Helper()
			h.Get(t, p.Front+"/me", apitest.Bearer(in.Text("access_token"))).Status(want)
		}
		me(http.StatusOK)

		for _, elsewhere := range [][]apitest.Option{
			{}, {apitest.Origin("https://evil.example")}, {apitest.Origin("null")}, {apitest.Origin(apitest.LoginOrigin + "/")}, {apitest.Origin("http://login.acme.example")},
			{apitest.Origin(strings.ToUpper(apitest.LoginOrigin))}, {apitest.Origin(apitest.LoginOrigin + ".evil.example")}, {apitest.Origin(apitest.LoginOrigin), apitest.AddHeader("Origin", apitest.LoginOrigin)},
		} {
			with := append(elsewhere, apitest.RefreshCookie(got.Value))
			h.Post(t, p.Front+"/logout", nil, with...).Problem(http.StatusForbidden, "origin_not_allowed").
				Remedies("contact_administrator").HasHeader("Access-Control-Allow-Origin", "").HasHeader("Set-Cookie", "")
			before := h.RowCounts(t)
			h.Post(t, p.Front+"/login", ada.Credentials(apitest.Object{"transport": "cookie"}), elsewhere...).
				Problem(http.StatusForbidden, "origin_not_allowed").HasHeader("Set-Cookie", "")
			require.Equal(t, before, h.RowCounts(t))
		}
		me(http.StatusOK)

		out := h.Post(t, p.Front+"/logout", nil, apitest.RefreshCookie(got.Value), apitest.Origin(apitest.LoginOrigin)).Status(http.StatusNoContent).SetCookie()
		require.Equal(t, apitest.RefreshCookieName+"=; Path=/v1/portals/acme; Max-Age=0; HttpOnly; Secure; SameSite=Lax", out.Raw)
		me(http.StatusUnauthorized)
	})
}

func TestCookieFollowsTheSettings(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		below := h.Calling(h.NewServer(t, db, apitest.AtURL(apitest.PublicURL+"/auth/")))
		for setting, attribute := range map[string]string{"lax": "Lax", "strict": "Strict", "none": "None; Partitioned"} {
			p := h.Portal(t, apitest.WithLoginOrigin(), apitest.Object{"slug": setting, "cookie_same_site": setting})
			credentials := h.Account(t, p).Credentials(apitest.Object{"transport": "cookie"})
			c := h.Post(t, p.Front+"/login", credentials, apitest.Origin(apitest.LoginOrigin)).Status(http.StatusOK).SetCookie()
			require.Contains(t, c.Raw, "; Path=/v1/portals/"+setting+";")
			require.True(t, strings.HasSuffix(c.Raw, "; HttpOnly; Secure; SameSite="+attribute), c.Raw)
			c = below.Post(t, p.Front+"/login", credentials, apitest.Origin(apitest.LoginOrigin)).Status(http.StatusOK).SetCookie()
			require.Contains(t, c.Raw, "; Path=/auth/v1/portals/"+setting+";")
		}
	})
}

func TestLogout(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p, other := h.Portal(t, apitest.WithLoginOrigin()), h.Portal(t, apitest.Object{"slug": "other"})
		ada := h.Account(t, p)
		first, second := h.LogIn(t, ada), h.LogIn(t, ada)
		out := func(at apitest.Portal, body any, with ...apitest.Option) *apitest.Answer {
			t.Helper()
			return h.Post(t, at.Front+"/logout", body, with...)
		}
		lives := func(in apitest.Tokens) {
			t.Helper()
			h.Get(t, p.Front+"/me", apitest.Bearer(in.Access)).Status(http.StatusOK)
		}
		for _, nonsense := range []string{
			"nonsense", first.Access, first.Refresh + "A", first.Refresh + "=", first.Refresh[1:], strings.ToUpper(first.Refresh),
			" " + first.Refresh, strings.Repeat("A", 5000), "AQ", "é",
		} {
			out(p, apitest.Object{"refresh_token": nonsense}).Status(http.StatusNoContent)
		}
		out(other, apitest.Object{"refresh_token": first.Refresh}).Status(http.StatusNoContent)
		lives(first)

		out(p, nil).Status(http.StatusNoContent) // a browser whose cookie is gone
		for _, body := range []any{apitest.Object{}, apitest.Object{"refresh_token": ""}} {
			out(p, body).Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/refresh_token", "required")
		}
		out(p, apitest.Object{"refresh_token": first.Refresh}, apitest.RefreshCookie(first.Refresh), apitest.Origin(apitest.LoginOrigin)).
			Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/refresh_token", "conflict")
		lives(first)

		out(p, apitest.Object{"refresh_token": first.Refresh}).Status(http.StatusNoContent).HasHeader("Set-Cookie", "")
		h.Get(t, p.Front+"/me", apitest.Bearer(first.Access)).Problem(http.StatusUnauthorized, "access_token_invalid")
		out(p, apitest.Object{"refresh_token": first.Refresh}).Status(http.StatusNoContent)
		lives(second)
		require.Equal(t, "1", h.QueryValue(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'logout'"), "once, for the one that lived")
	})
}

func TestSessionExpiry(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{"access_token_ttl": 86400, "refresh_token_ttl": 300})
		in := h.LogIn(t, h.Account(t, p))
		h.Clock.Advance(299 * time.Second)
		h.Get(t, p.Front+"/me", apitest.Bearer(in.Access)).Status(http.StatusOK)
		h.Clock.Advance(2 * time.Second)
		h.Get(t, p.Front+"/me", apitest.Bearer(in.Access)).Problem(http.StatusUnauthorized, "access_token_invalid").Remedies("log_in")
	})
}

// Another host of the domain can set a cookie of the same name, to bring a person into a session of its own. Which one is
// the portal's own cannot be told, so neither is taken, and all are cleared.
func TestTwoRefreshCookies(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.WithLoginOrigin())
		ada, eve := h.Account(t, p), h.Account(t, p, apitest.Object{"email": "eve@example.com"})
		own, foreign := h.LogIn(t, ada), h.LogIn(t, eve)
		both := []apitest.Option{apitest.RefreshCookie(foreign.Refresh), apitest.RefreshCookie(own.Refresh)}
		h.Post(t, p.Front+"/sessions/refresh", nil, append(both, apitest.Origin("https://evil.example"))...).
			Problem(http.StatusForbidden, "origin_not_allowed").HasHeader("Set-Cookie", "")
		both = append(both, apitest.Origin(apitest.LoginOrigin))
		a := h.Post(t, p.Front+"/sessions/refresh", nil, both...).Problem(http.StatusUnauthorized, "session_invalid")
		cleared := map[string]bool{}
		for _, cookie := range (&http.Response{Header: a.Header}).Cookies() {
			require.Equal(t, apitest.RefreshCookieName, cookie.Name)
			require.Empty(t, cookie.Value)
			require.Equal(t, -1, cookie.MaxAge)
			require.True(t, cookie.Secure)
			cleared[cookie.Domain+cookie.Path] = true
		}
		for _, where := range []string{"/v1/portals/acme", "/", "auth.example/", "auth.example/v1/portals/acme", "auth.example/v1/portals/acme/sessions/refresh"} {
			require.True(t, cleared[where], "%s in %v", where, cleared)
		}
		h.RequireAccess(t, p, own.Access, true)

		h.Post(t, p.Front+"/logout", nil, both...).Status(http.StatusNoContent)
		h.RequireAccess(t, p, own.Access, false)
		h.RequireAccess(t, p, foreign.Access, false)
	})
}

// A cookie for pages of other sites is partitioned, because browsers that block third-party cookies keep those.
func TestCookiesOfOtherSitesArePartitioned(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		for _, setting := range []string{"lax", "strict", "none"} {
			p := h.Portal(t, apitest.WithLoginOrigin(), apitest.Object{"slug": setting, "cookie_same_site": setting})
			ada := h.Account(t, p)
			cookie := h.Post(t, p.Front+"/login", ada.Credentials(apitest.Object{"transport": "cookie"}), apitest.Origin(apitest.LoginOrigin)).
				Status(http.StatusOK).SetCookie()
			require.Equal(t, setting == "none", cookie.Partitioned, setting)
			gone := h.Post(t, p.Front+"/logout", nil, apitest.RefreshCookie(cookie.Value), apitest.Origin(apitest.LoginOrigin)).SetCookie()
			require.Equal(t, setting == "none", gone.Partitioned, setting)
		}
	})
}
