package sessions_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

func TestRefreshing(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{"access_token_ttl": 120, "refresh_token_ttl": 3600})
		ada := h.Account(t, p, apitest.Object{"roles": []string{"editor"}})
		in := h.LogIn(t, ada)
		events := h.QueryValue(t, "SELECT COUNT(*) FROM audit_events")
		h.Clock.Advance(time.Minute)
		again := h.Refresh(t, p, in.Refresh).Status(http.StatusOK).Is("token_type", "Bearer").Is("expires_in", 120).
			Is("refresh_expires_in", 3600).Is("account.id", ada.ID).Is("account.email", ada.Email).
			Is("account.last_login_at", h.TimeAfter(-time.Minute)).HasHeader("Set-Cookie", "").HasHeader("Cache-Control", "no-store")
		require.NotEqual(t, in.Refresh, again.Text("refresh_token"))
		require.NotEqual(t, in.Access, again.Text("access_token"))
		_, before := apitest.DecodeToken(t, in.Access)
		_, after := apitest.DecodeToken(t, again.Text("access_token"))
		require.Equal(t, before["sid"], after["sid"], "the session is the same one")
		h.RequireAccess(t, p, again.Text("access_token"), true)
		h.RequireAccess(t, p, in.Access, true)
		require.Equal(t, "1", h.QueryValue(t, "SELECT COUNT(*) FROM sessions"))
		require.Equal(t, events, h.QueryValue(t, "SELECT COUNT(*) FROM audit_events"), "a refresh is nothing to tell of")

		// What an administrator changed shows at the next refresh, in the account and in the token.
		h.Patch(t, ada.Admin, apitest.Object{"roles": []string{"admin"}, "given_name": "Ada"}, apitest.AsOperator).Status(http.StatusOK)
		again = h.Refresh(t, p, again.Text("refresh_token")).Status(http.StatusOK).
			Is("account.roles", []string{"admin"}).Is("account.given_name", "Ada")
		_, after = apitest.DecodeToken(t, again.Text("access_token"))
		require.Equal(t, []any{"admin"}, after["roles"])
	})
}

// Within the grace nothing rotates twice, and the token before is forgiven: two tabs, a lost answer, a retry.
func TestRefreshGrace(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{"refresh_grace": 10})
		first := h.LogIn(t, h.Account(t, p)).Refresh
		second := h.MustRefresh(t, p, first).Refresh
		for _, later := range []time.Duration{0, 5 * time.Second, 4999 * time.Millisecond} {
			h.Clock.Advance(later)
			require.Equal(t, second, h.MustRefresh(t, p, second).Refresh, "the current one is answered again")
			require.Equal(t, second, h.MustRefresh(t, p, first).Refresh, "the one before gets the current one")
		}
		h.Clock.Advance(time.Millisecond)
		third := h.MustRefresh(t, p, second)
		require.NotEqual(t, second, third.Refresh)
		require.Equal(t, third.Refresh, h.MustRefresh(t, p, second).Refresh)
		h.RequireAccess(t, p, third.Access, true)
	})
}

// An old token that comes back was stolen, or its thief's was: the whole session ends, and no other.
func TestStolenRefreshToken(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{"refresh_grace": 10, "access_token_ttl": 86400})
		for name, steps := range map[string][]time.Duration{
			"two before, at once":         {10 * time.Second, 0},
			"two before, after the grace": {10 * time.Second, time.Minute},
			"two before, long after":      {10 * time.Second, time.Hour},
			"three before":                {10 * time.Second, 10 * time.Second, time.Hour},
			"the first of many":           {time.Minute, time.Minute, time.Minute, 0},
		} {
			ada := h.Account(t, p, apitest.Object{"email": strings.NewReplacer(" ", "-", ",", "").Replace(name) + "@example.com"})
			stolen, elsewhere := h.LogIn(t, ada), h.LogIn(t, ada)
			current := h.MustRefresh(t, p, stolen.Refresh)
			for i, wait := range steps {
				if i > 0 {
					current = h.MustRefresh(t, p, current.Refresh)
				}
				h.Clock.Advance(wait)
			}
			h.Refresh(t, p, stolen.Refresh).Problem(http.StatusUnauthorized, "refresh_token_reused").
				Remedies("log_in", "contact_support").HasHeader("WWW-Authenticate", `Bearer realm="latchkey"`)
			h.RequireSessionOver(t, p, current.Refresh)
			h.RequireSessionOver(t, p, stolen.Refresh)
			h.RequireAccess(t, p, h.MustRefresh(t, p, elsewhere.Refresh).Access, true)
			h.RequireAccess(t, p, current.Access, false)
			_, claims := apitest.DecodeToken(t, current.Access)
			require.Equal(t, "1", h.QueryValue(t, "SELECT COUNT(*) FROM sessions WHERE id = ? AND ended_at IS NOT NULL", claims["sid"]), name)
		}
		require.Equal(t, "5", h.QueryValue(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'session.refresh' "+
			"AND code = 'refresh_token_reused' AND account_id IS NOT NULL"))
	})
}

// A restored backup has not reached the generation of the newest token: that is no theft, and ends nothing.
func TestRefreshTokenAfterRestoredBackup(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		first := h.LogIn(t, h.Account(t, p)).Refresh
		second := h.MustRefresh(t, p, first).Refresh
		h.Exec(t, "UPDATE sessions SET generation = 1, rotated_at = 0")
		h.RequireSessionOver(t, p, second)
		h.RequireAccess(t, p, h.MustRefresh(t, p, first).Access, true)
		require.Equal(t, "", h.QueryValue(t, "SELECT ended_at FROM sessions"))
	})
}

func TestIdleAndAbsoluteExpiry(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{"refresh_token_ttl": 300, "session_max_age": 900, "access_token_ttl": 86400})
		ada := h.Account(t, p)
		idle, used := h.LogIn(t, ada), h.LogIn(t, ada)
		for _, left := range []int{300, 300, 3} { // 300 s more, or what is left of 900 s
			h.Clock.Advance(299 * time.Second)
			a := h.Refresh(t, p, used.Refresh).Status(http.StatusOK).Is("refresh_expires_in", left)
			used = apitest.Tokens{Access: a.Text("access_token"), Refresh: a.Text("refresh_token")}
			h.RequireAccess(t, p, used.Access, true)
		}
		h.RequireAccess(t, p, idle.Access, false)
		h.RequireSessionOver(t, p, idle.Refresh)
		h.Clock.Advance(3*time.Second - time.Millisecond)
		h.Refresh(t, p, used.Refresh).Status(http.StatusOK).Is("refresh_expires_in", 1)
		h.Clock.Advance(time.Millisecond)
		h.RequireSessionOver(t, p, used.Refresh)
		h.RequireAccess(t, p, used.Access, false)

		idle = h.LogIn(t, ada)
		h.Clock.Advance(300*time.Second - time.Millisecond)
		idle = h.MustRefresh(t, p, idle.Refresh)
		h.Clock.Advance(300 * time.Second)
		h.RequireSessionOver(t, p, idle.Refresh)
	})
}

// Whatever ends a session ends its refresh tokens too, and nothing brings them back.
func TestChangesThatEndRefreshTokens(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		for name, end := range map[string]func(who apitest.Person, in apitest.Tokens){
			"disabled": func(who apitest.Person, _ apitest.Tokens) {
				h.Patch(t, who.Admin, apitest.Object{"disabled": true}, apitest.AsOperator).Status(http.StatusOK)
			},
			"disabled-and-enabled": func(who apitest.Person, _ apitest.Tokens) {
				h.Patch(t, who.Admin, apitest.Object{"disabled": true}, apitest.AsOperator).Status(http.StatusOK)
				h.Patch(t, who.Admin, apitest.Object{"disabled": false}, apitest.AsOperator).Status(http.StatusOK)
			},
			"deleted": func(who apitest.Person, _ apitest.Tokens) {
				h.Delete(t, who.Admin, apitest.AsOperator).Status(http.StatusNoContent)
			},
			"new-password": func(who apitest.Person, _ apitest.Tokens) {
				h.Patch(t, who.Admin, apitest.Object{"password": "another good passphrase"}, apitest.AsOperator).Status(http.StatusOK)
			},
			"new-email": func(who apitest.Person, _ apitest.Tokens) {
				h.Patch(t, who.Admin, apitest.Object{"email": "someone.else@example.com"}, apitest.AsOperator).Status(http.StatusOK)
			},
			"logged-out": func(_ apitest.Person, in apitest.Tokens) {
				h.Post(t, p.Front+"/logout", apitest.Object{"refresh_token": in.Refresh}).Status(http.StatusNoContent)
			},
			"ended": func(_ apitest.Person, in apitest.Tokens) {
				_, claims := apitest.DecodeToken(t, in.Access)
				h.Delete(t, p.Front+"/me/sessions/"+claims["sid"].(string), apitest.Bearer(in.Access)).Status(http.StatusNoContent)
			},
			"ended-by-an-administrator": func(who apitest.Person, _ apitest.Tokens) {
				h.Delete(t, who.Admin+"/sessions", apitest.AsOperator).Status(http.StatusNoContent)
			},
		} {
			who := h.Account(t, p, apitest.Object{"email": name + "@example.com"})
			in := h.LogIn(t, who)
			next := h.MustRefresh(t, p, in.Refresh)
			end(who, next)
			for _, token := range []string{next.Refresh, in.Refresh, next.Refresh} {
				h.RequireSessionOver(t, p, token)
			}
			h.Clock.Advance(time.Minute) // the grace is over
			h.RequireSessionOver(t, p, next.Refresh)
			h.RequireSessionOver(t, p, in.Refresh)
			h.RequireAccess(t, p, next.Access, false)
			h.RequireAccess(t, p, in.Access, false)
		}
	})
}

func TestForgedRefreshTokens(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p, other := h.Portal(t), h.Portal(t, apitest.Object{"slug": "other"})
		in := h.LogIn(t, h.Account(t, p))
		there := h.LogIn(t, h.Account(t, other))
		h.RequireSessionOver(t, other, in.Refresh)
		h.RequireSessionOver(t, p, there.Refresh)
		for i := range in.Refresh {
			h.RequireSessionOver(t, p, in.Refresh[:i]+apitest.OtherBase64URL(in.Refresh[i])+in.Refresh[i+1:])
		}
		for _, forged := range []string{
			"nonsense", "A", "é", in.Access, in.Refresh + "A", in.Refresh + "=", in.Refresh[1:], in.Refresh[:len(in.Refresh)-1], " " + in.Refresh,
			in.Refresh + " ", strings.ToUpper(in.Refresh), strings.Repeat("A", len(in.Refresh)), strings.Repeat("A", 50_000), apitest.OperatorKey,
		} {
			h.RequireSessionOver(t, p, forged)
		}
		h.RequireAccess(t, p, h.MustRefresh(t, p, in.Refresh).Access, true)
		h.RequireAccess(t, other, h.MustRefresh(t, other, there.Refresh).Access, true)
	})
}

func TestRefreshingByCookie(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.WithLoginOrigin(), apitest.Object{"refresh_token_ttl": 3600, "refresh_grace": 10})
		ada := h.Account(t, p)
		logIn := func() string {
			t.Helper()
			return h.Post(t, p.Front+"/login", ada.Credentials(apitest.Object{"transport": "cookie"}), apitest.Origin(apitest.LoginOrigin)).
				Status(http.StatusOK).SetCookie().Value
		}
		refresh := func(body any, with ...apitest.Option) *apitest.Answer {
			t.Helper()
			return h.Post(t, p.Front+"/sessions/refresh", body, with...)
		}
		first := logIn()
		for _, elsewhere := range [][]apitest.Option{{}, {apitest.Origin("https://evil.example")}, {apitest.Origin("null")}, {apitest.Origin(apitest.LoginOrigin), apitest.AddHeader("Origin", apitest.LoginOrigin)}} {
			refresh(nil, append(elsewhere, apitest.RefreshCookie(first))...).Problem(http.StatusForbidden, "origin_not_allowed").
				Remedies("contact_administrator").HasHeader("Set-Cookie", "")
		}
		refresh(apitest.Object{"refresh_token": first}, apitest.RefreshCookie(first), apitest.Origin(apitest.LoginOrigin)).
			Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/refresh_token", "conflict")
		refresh(nil, apitest.Origin(apitest.LoginOrigin)).Problem(http.StatusUnauthorized, "session_invalid").Remedies("log_in") // its cookie is gone
		for _, nothing := range []any{apitest.Object{}, apitest.Object{"refresh_token": ""}} {
			refresh(nothing, apitest.Origin(apitest.LoginOrigin)).Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/refresh_token", "required")
		}

		a := refresh(nil, apitest.RefreshCookie(first), apitest.Origin(apitest.LoginOrigin)).Status(http.StatusOK).Lacks("refresh_token").Is("refresh_expires_in", 3600)
		got := a.SetCookie()
		require.NotEqual(t, first, got.Value)
		require.Equal(t, apitest.RefreshCookieName+"="+got.Value+"; Path=/v1/portals/acme; Max-Age=3600; HttpOnly; Secure; SameSite=Lax", got.Raw)
		require.Equal(t, got.Value, refresh(apitest.Object{}, apitest.RefreshCookie(first), apitest.Origin(apitest.LoginOrigin)).Status(http.StatusOK).SetCookie().Value)
		h.RequireAccess(t, p, a.Text("access_token"), true)
		require.Equal(t, got.Value, refresh(nil, apitest.RefreshCookie(got.Value), apitest.Origin(apitest.LoginOrigin)).
			Status(http.StatusOK).SetCookie().Value)

		cleared := apitest.RefreshCookieName + "=; Path=/v1/portals/acme; Max-Age=0; HttpOnly; Secure; SameSite=Lax"
		h.Clock.Advance(10 * time.Second)
		for _, gone := range []struct{ token, code string }{
			{first, "refresh_token_reused"}, {got.Value, "session_invalid"}, {"nonsense", "session_invalid"},
		} {
			refused := refresh(nil, apitest.RefreshCookie(gone.token), apitest.Origin(apitest.LoginOrigin)).Problem(http.StatusUnauthorized, gone.code)
			require.Equal(t, cleared, refused.SetCookie().Raw)
			refused.HasHeader("Access-Control-Allow-Origin", apitest.LoginOrigin).HasHeader("Access-Control-Allow-Credentials", "true")
		}
		h.RequireSessionOver(t, p, "nonsense")
		h.Refresh(t, p, "nonsense").HasHeader("Set-Cookie", "")
	})
}

// In its last moments a session has a second left: a cookie of none would be one without an end.
func TestCookieInLastSecond(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.WithLoginOrigin(), apitest.Object{"session_max_age": 300, "refresh_token_ttl": 300})
		ada := h.Account(t, p)
		first := h.Post(t, p.Front+"/login", ada.Credentials(apitest.Object{"transport": "cookie"}), apitest.Origin(apitest.LoginOrigin)).
			Status(http.StatusOK).SetCookie()
		require.Equal(t, 300, first.MaxAge)
		h.Clock.Advance(300*time.Second - time.Millisecond)
		a := h.Post(t, p.Front+"/sessions/refresh", nil, apitest.RefreshCookie(first.Value), apitest.Origin(apitest.LoginOrigin)).Status(http.StatusOK).Is("refresh_expires_in", 1)
		require.Equal(t, 1, a.SetCookie().MaxAge)
	})
}

func TestMySessions(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{"refresh_token_ttl": 3600, "session_max_age": 7200, "access_token_ttl": 86400})
		ada := h.Account(t, p)
		bob := h.LogIn(t, h.Account(t, p, apitest.Object{"email": "bob@example.com"}))
		sid := func(in apitest.Tokens) string {
			_, claims := apitest.DecodeToken(t, in.Access)
			return claims["sid"].(string)
		}
		laptop := h.Post(t, p.Front+"/login", ada.Credentials(apitest.Object{"device_name": "Ada's laptop"}),
			apitest.Header("User-Agent", "Firefox/140.0")).Status(http.StatusOK)
		here := apitest.Tokens{Access: laptop.Text("access_token"), Refresh: laptop.Text("refresh_token")}
		mine := p.Front + "/me/sessions"
		h.Get(t, mine, apitest.Bearer(here.Access)).Status(http.StatusOK).Is("next_cursor", nil).Is("items", []apitest.Object{{
			"id": sid(here), "current": true, "device_name": "Ada's laptop", "network": "192.0.2.77", "user_agent": "Firefox/140.0",
			"created_at": h.TimeAfter(0), "last_used_at": h.TimeAfter(0), "expires_at": h.TimeAfter(time.Hour),
		}})
		h.Clock.Advance(time.Minute)
		phone := h.LogIn(t, ada)
		h.Clock.Advance(64 * time.Minute / 2)
		here = h.MustRefresh(t, p, here.Refresh)
		h.Get(t, mine, apitest.Bearer(here.Access)).Status(http.StatusOK).
			Is("items.0.id", sid(phone)).Is("items.0.current", false).Is("items.0.device_name", nil).
			Is("items.1.id", sid(here)).Is("items.1.current", true).Is("items.1.last_used_at", h.TimeAfter(0)).
			Is("items.1.expires_at", h.TimeAfter(time.Hour)).Is("items.1.created_at", h.TimeAfter(-33*time.Minute))
		h.Get(t, mine, apitest.Bearer(phone.Access)).Is("items.0.current", true).Is("items.1.current", false)

		end := func(id string, in apitest.Tokens) *apitest.Answer {
			t.Helper()
			return h.Delete(t, mine+"/"+id, apitest.Bearer(in.Access))
		}
		for _, not := range []string{sid(bob), uuid.Must(uuid.NewV7()).String(), "x", strings.ToUpper(sid(phone)), "%00"} {
			end(not, here).Problem(http.StatusNotFound, "not_found")
		}
		h.RequireAccess(t, p, bob.Access, true)
		end(sid(phone), here).Status(http.StatusNoContent)
		end(sid(phone), here).Problem(http.StatusNotFound, "not_found")
		h.RequireAccess(t, p, phone.Access, false)
		require.Equal(t, []any{sid(here)}, h.Get(t, mine, apitest.Bearer(here.Access)).List("items", "id"))

		var want []any
		for range 4 {
			want = append([]any{sid(h.LogIn(t, ada))}, want...)
		}
		want = append(want, sid(here))
		require.Equal(t, want, h.ListAll(t, mine+"?limit=2", "id", 3, apitest.Bearer(here.Access)))
		require.Equal(t, want, h.ListAll(t, mine+"?limit=5", "id", 1, apitest.Bearer(here.Access)))
		h.Clock.Advance(30 * time.Minute)
		here = h.MustRefresh(t, p, here.Refresh)
		h.Clock.Advance(30 * time.Minute)
		require.Equal(t, []any{sid(here)}, h.Get(t, mine, apitest.Bearer(here.Access)).List("items", "id"), "the others are over")

		h.Delete(t, mine+"/"+sid(here), apitest.Bearer(here.Access)).Status(http.StatusNoContent)
		h.RequireAccess(t, p, here.Access, false)
		h.RequireSessionOver(t, p, here.Refresh)
		require.Equal(t, "2", h.QueryValue(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'session.ended'"))
	})
}

func TestAdminEndsSessions(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p, other := h.Portal(t), h.Portal(t, apitest.Object{"slug": "other"})
		ada, bob := h.Account(t, p), h.Account(t, p, apitest.Object{"email": "bob@example.com"})
		adas := []apitest.Tokens{h.LogIn(t, ada), h.LogIn(t, ada)}
		bobs := h.LogIn(t, bob)
		for _, missing := range []string{
			other.Admin + "/accounts/" + ada.ID, p.Admin + "/accounts/" + uuid.Must(uuid.NewV7()).String(), p.Admin + "/accounts/x",
		} {
			h.Delete(t, missing+"/sessions", apitest.AsOperator).Problem(http.StatusNotFound, "not_found")
		}
		h.RequireAccess(t, p, adas[0].Access, true)
		for range 2 {
			h.Delete(t, ada.Admin+"/sessions", apitest.AsOperator).Status(http.StatusNoContent)
		}
		for _, in := range adas {
			h.RequireAccess(t, p, in.Access, false)
			h.RequireSessionOver(t, p, in.Refresh)
		}
		h.RequireAccess(t, p, bobs.Access, true)
		h.LogIn(t, ada)
	})
}
