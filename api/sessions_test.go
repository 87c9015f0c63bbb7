package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// refresh sends a refresh token in the body.
func (h *harness) refresh(t testing.TB, at portal, token string) *answer {
	t.Helper()
	return h.post(t, at.front+"/sessions/refresh", object{"refresh_token": token})
}

// refreshed wants a session's next tokens.
func (h *harness) refreshed(t testing.TB, at portal, token string) tokens {
	t.Helper()
	in := h.refresh(t, at, token).status(http.StatusOK)
	return tokens{access: in.text("access_token"), refresh: in.text("refresh_token")}
}

// over wants a refresh token to be good no more.
func (h *harness) over(t testing.TB, at portal, token string) {
	t.Helper()
	h.refresh(t, at, token).problem(http.StatusUnauthorized, "session_invalid").remedies("log_in").
		sets("WWW-Authenticate", `Bearer realm="latchkey"`)
}

// alive wants an access token to open the door, or not to.
func (h *harness) alive(t testing.TB, at portal, access string, want bool) {
	t.Helper()
	me := h.get(t, at.front+"/me", bearer(access))
	if want {
		me.status(http.StatusOK)
	} else {
		me.problem(http.StatusUnauthorized, "access_token_invalid")
	}
}

// stamp is the moment so long after now, as the API writes it.
func (h *harness) stamp(after time.Duration) string {
	return h.clock.now().Add(after).Format("2006-01-02T15:04:05.000Z")
}

func TestRefreshing(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, object{"access_token_ttl": 120, "refresh_token_ttl": 3600})
		ada := h.account(t, p, object{"roles": []string{"editor"}})
		in := h.logIn(t, ada)
		events := h.sql(t, "SELECT COUNT(*) FROM audit_events")
		h.clock.advance(time.Minute)
		again := h.refresh(t, p, in.refresh).status(http.StatusOK).is("token_type", "Bearer").is("expires_in", 120).
			is("refresh_expires_in", 3600).is("account.id", ada.id).is("account.email", ada.email).
			is("account.last_login_at", h.stamp(-time.Minute)).sets("Set-Cookie", "").sets("Cache-Control", "no-store")
		require.NotEqual(t, in.refresh, again.text("refresh_token"))
		require.NotEqual(t, in.access, again.text("access_token"))
		_, before := takenApart(t, in.access)
		_, after := takenApart(t, again.text("access_token"))
		require.Equal(t, before["sid"], after["sid"], "the session is the same one")
		h.alive(t, p, again.text("access_token"), true)
		h.alive(t, p, in.access, true)
		require.Equal(t, "1", h.sql(t, "SELECT COUNT(*) FROM sessions"))
		require.Equal(t, events, h.sql(t, "SELECT COUNT(*) FROM audit_events"), "a refresh is nothing to tell of")

		// What an administrator changed shows at the next refresh, in the account and in the token.
		h.patch(t, ada.admin, object{"roles": []string{"admin"}, "given_name": "Ada"}, asOperator).status(http.StatusOK)
		again = h.refresh(t, p, again.text("refresh_token")).status(http.StatusOK).
			is("account.roles", []string{"admin"}).is("account.given_name", "Ada")
		_, after = takenApart(t, again.text("access_token"))
		require.Equal(t, []any{"admin"}, after["roles"])
	})
}

// Within the grace nothing rotates twice, and the token before is forgiven: two tabs, a lost answer, a retry.
func TestRefreshGrace(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, object{"refresh_grace": 10})
		first := h.logIn(t, h.account(t, p)).refresh
		second := h.refreshed(t, p, first).refresh
		for _, later := range []time.Duration{0, 5 * time.Second, 4999 * time.Millisecond} {
			h.clock.advance(later)
			require.Equal(t, second, h.refreshed(t, p, second).refresh, "the current one is answered again")
			require.Equal(t, second, h.refreshed(t, p, first).refresh, "the one before gets the current one")
		}
		h.clock.advance(time.Millisecond)
		third := h.refreshed(t, p, second)
		require.NotEqual(t, second, third.refresh)
		require.Equal(t, third.refresh, h.refreshed(t, p, second).refresh)
		h.alive(t, p, third.access, true)
	})
}

// An old token that comes back was stolen, or its thief's was: the whole session ends, and no other.
func TestAStolenRefreshToken(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, object{"refresh_grace": 10, "access_token_ttl": 86400})
		for name, steps := range map[string][]time.Duration{
			"the one before, after the grace":    {10 * time.Second},
			"two before, at once":                {10 * time.Second, 0},
			"two before, after the grace":        {10 * time.Second, time.Minute},
			"the first of many":                  {time.Minute, time.Minute, time.Minute, 0},
			"the one before, long after, unused": {time.Hour},
		} {
			ada := h.account(t, p, object{"email": strings.NewReplacer(" ", "-", ",", "").Replace(name) + "@example.com"})
			stolen, elsewhere := h.logIn(t, ada), h.logIn(t, ada)
			current := h.refreshed(t, p, stolen.refresh)
			for i, wait := range steps {
				if i > 0 {
					current = h.refreshed(t, p, current.refresh)
				}
				h.clock.advance(wait)
			}
			h.refresh(t, p, stolen.refresh).problem(http.StatusUnauthorized, "refresh_token_reused").
				remedies("log_in", "contact_support").sets("WWW-Authenticate", `Bearer realm="latchkey"`)
			h.over(t, p, current.refresh)
			h.over(t, p, stolen.refresh)
			h.alive(t, p, h.refreshed(t, p, elsewhere.refresh).access, true)
			h.alive(t, p, current.access, false)
			_, claims := takenApart(t, current.access)
			require.Equal(t, "1", h.sql(t, "SELECT COUNT(*) FROM sessions WHERE id = ? AND ended_at IS NOT NULL", claims["sid"]), name)
		}
		require.Equal(t, "5", h.sql(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'session.refresh' "+
			"AND code = 'refresh_token_reused' AND account_id IS NOT NULL"))
	})
}

// A restored backup has not reached the generation of the newest token: that is no theft, and ends nothing.
func TestAGenerationFromTheFuture(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		first := h.logIn(t, h.account(t, p)).refresh
		second := h.refreshed(t, p, first).refresh
		h.exec(t, "UPDATE sessions SET generation = 1, rotated_at = 0")
		h.over(t, p, second)
		h.alive(t, p, h.refreshed(t, p, first).access, true)
		require.Equal(t, "", h.sql(t, "SELECT ended_at FROM sessions"))
	})
}

func TestIdleAndAbsoluteEnds(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, object{"refresh_token_ttl": 300, "session_max_age": 900, "access_token_ttl": 86400})
		ada := h.account(t, p)
		idle, used := h.logIn(t, ada), h.logIn(t, ada)
		for _, left := range []int{300, 300, 3} { // 300 s more, or what is left of 900 s
			h.clock.advance(299 * time.Second)
			a := h.refresh(t, p, used.refresh).status(http.StatusOK).is("refresh_expires_in", left)
			used = tokens{a.text("access_token"), a.text("refresh_token")}
			h.alive(t, p, used.access, true)
		}
		h.alive(t, p, idle.access, false)
		h.over(t, p, idle.refresh)
		h.clock.advance(3*time.Second - time.Millisecond)
		h.refresh(t, p, used.refresh).status(http.StatusOK).is("refresh_expires_in", 1)
		h.clock.advance(time.Millisecond)
		h.over(t, p, used.refresh)
		h.alive(t, p, used.access, false)

		idle = h.logIn(t, ada)
		h.clock.advance(300*time.Second - time.Millisecond)
		idle = h.refreshed(t, p, idle.refresh)
		h.clock.advance(300 * time.Second)
		h.over(t, p, idle.refresh)
	})
}

// Whatever ends a session ends its refresh tokens too, and nothing brings them back.
func TestWhatEndsRefreshTokens(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		for name, end := range map[string]func(who person, in tokens){
			"disabled": func(who person, _ tokens) {
				h.patch(t, who.admin, object{"disabled": true}, asOperator).status(http.StatusOK)
			},
			"disabled-and-enabled": func(who person, _ tokens) {
				h.patch(t, who.admin, object{"disabled": true}, asOperator).status(http.StatusOK)
				h.patch(t, who.admin, object{"disabled": false}, asOperator).status(http.StatusOK)
			},
			"deleted": func(who person, _ tokens) { h.delete(t, who.admin, asOperator).status(http.StatusNoContent) },
			"new-password": func(who person, _ tokens) {
				h.patch(t, who.admin, object{"password": "another good passphrase"}, asOperator).status(http.StatusOK)
			},
			"new-email": func(who person, _ tokens) {
				h.patch(t, who.admin, object{"email": "someone.else@example.com"}, asOperator).status(http.StatusOK)
			},
			"logged-out": func(_ person, in tokens) {
				h.post(t, p.front+"/logout", object{"refresh_token": in.refresh}).status(http.StatusNoContent)
			},
			"ended": func(_ person, in tokens) {
				_, claims := takenApart(t, in.access)
				h.delete(t, p.front+"/me/sessions/"+claims["sid"].(string), bearer(in.access)).status(http.StatusNoContent)
			},
			"ended-by-an-administrator": func(who person, _ tokens) {
				h.delete(t, who.admin+"/sessions", asOperator).status(http.StatusNoContent)
			},
		} {
			who := h.account(t, p, object{"email": name + "@example.com"})
			in := h.logIn(t, who)
			next := h.refreshed(t, p, in.refresh)
			end(who, next)
			for _, token := range []string{next.refresh, in.refresh, next.refresh} {
				h.over(t, p, token)
			}
			h.clock.advance(time.Minute) // the grace is over: nobody is taken for a thief
			h.over(t, p, next.refresh)
			h.over(t, p, in.refresh)
			h.alive(t, p, next.access, false)
			h.alive(t, p, in.access, false)
		}
	})
}

func TestForgedRefreshTokens(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p, other := h.portal(t), h.portal(t, object{"slug": "other"})
		in := h.logIn(t, h.account(t, p))
		there := h.logIn(t, h.account(t, other))
		h.over(t, other, in.refresh)
		h.over(t, p, there.refresh)
		for i := range in.refresh {
			h.over(t, p, in.refresh[:i]+next(in.refresh[i])+in.refresh[i+1:])
		}
		for _, forged := range []string{
			"nonsense", "A", "é", in.access, in.refresh + "A", in.refresh + "=", in.refresh[1:], in.refresh[:len(in.refresh)-1], " " + in.refresh,
			in.refresh + " ", strings.ToUpper(in.refresh), strings.Repeat("A", len(in.refresh)), strings.Repeat("A", 50_000), operatorKey,
		} {
			h.over(t, p, forged)
		}
		h.alive(t, p, h.refreshed(t, p, in.refresh).access, true)
		h.alive(t, other, h.refreshed(t, other, there.refresh).access, true)
	})
}

func TestRefreshingByCookie(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, withOrigin(), object{"refresh_token_ttl": 3600, "refresh_grace": 10})
		ada := h.account(t, p)
		logIn := func() string {
			t.Helper()
			return h.post(t, p.front+"/login", ada.credentials(object{"transport": "cookie"}), origin(page)).
				status(http.StatusOK).setCookie().Value
		}
		refresh := func(body any, with ...option) *answer {
			t.Helper()
			return h.post(t, p.front+"/sessions/refresh", body, with...)
		}
		first := logIn()
		for _, elsewhere := range [][]option{{}, {origin("https://evil.example")}, {origin("null")}, {origin(page), oneMore("Origin", page)}} {
			refresh(nil, append(elsewhere, cookie(first))...).problem(http.StatusForbidden, "origin_not_allowed").
				remedies("contact_administrator").sets("Set-Cookie", "")
		}
		refresh(object{"refresh_token": first}, cookie(first), origin(page)).
			problem(http.StatusUnprocessableEntity, "validation_failed").field("/refresh_token", "conflict")
		refresh(nil, origin(page)).problem(http.StatusUnauthorized, "session_invalid").remedies("log_in") // its cookie is gone
		for _, nothing := range []any{object{}, object{"refresh_token": ""}} {
			refresh(nothing, origin(page)).problem(http.StatusUnprocessableEntity, "validation_failed").field("/refresh_token", "required")
		}

		a := refresh(nil, cookie(first), origin(page)).status(http.StatusOK).lacks("refresh_token").is("refresh_expires_in", 3600)
		got := a.setCookie()
		require.NotEqual(t, first, got.Value)
		require.Equal(t, refreshCookie+"="+got.Value+"; Path=/v1/portals/acme; Max-Age=3600; HttpOnly; Secure; SameSite=Lax", got.Raw)
		require.Equal(t, got.Value, refresh(object{}, cookie(first), origin(page)).status(http.StatusOK).setCookie().Value)
		h.alive(t, p, a.text("access_token"), true)

		cleared := refreshCookie + "=; Path=/v1/portals/acme; Max-Age=0; HttpOnly; Secure; SameSite=Lax"
		h.clock.advance(10 * time.Second)
		for _, gone := range []struct{ token, code string }{
			{first, "refresh_token_reused"}, {got.Value, "session_invalid"}, {"nonsense", "session_invalid"},
		} {
			refused := refresh(nil, cookie(gone.token), origin(page)).problem(http.StatusUnauthorized, gone.code)
			require.Equal(t, cleared, refused.setCookie().Raw)
			refused.sets("Access-Control-Allow-Origin", page).sets("Access-Control-Allow-Credentials", "true")
		}
		h.over(t, p, "nonsense")
		h.refresh(t, p, "nonsense").sets("Set-Cookie", "")
	})
}

// In its last moments a session has a second left: a cookie of none would be one without an end.
func TestACookieInItsLastSecond(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, withOrigin(), object{"session_max_age": 300, "refresh_token_ttl": 300})
		ada := h.account(t, p)
		first := h.post(t, p.front+"/login", ada.credentials(object{"transport": "cookie"}), origin(page)).
			status(http.StatusOK).setCookie()
		require.Equal(t, 300, first.MaxAge)
		h.clock.advance(300*time.Second - time.Millisecond)
		a := h.post(t, p.front+"/sessions/refresh", nil, cookie(first.Value), origin(page)).status(http.StatusOK).is("refresh_expires_in", 1)
		require.Equal(t, 1, a.setCookie().MaxAge)
	})
}

func TestMySessions(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, object{"refresh_token_ttl": 3600, "session_max_age": 7200, "access_token_ttl": 86400})
		ada := h.account(t, p)
		bob := h.logIn(t, h.account(t, p, object{"email": "bob@example.com"}))
		sid := func(in tokens) string {
			_, claims := takenApart(t, in.access)
			return claims["sid"].(string)
		}
		laptop := h.post(t, p.front+"/login", ada.credentials(object{"device_name": "Ada's laptop"}),
			header("User-Agent", "Firefox/140.0")).status(http.StatusOK)
		here := tokens{laptop.text("access_token"), laptop.text("refresh_token")}
		mine := p.front + "/me/sessions"
		h.get(t, mine, bearer(here.access)).status(http.StatusOK).is("next_cursor", nil).is("items", []object{{
			"id": sid(here), "current": true, "device_name": "Ada's laptop", "network": "192.0.2.77", "user_agent": "Firefox/140.0",
			"created_at": h.stamp(0), "last_used_at": h.stamp(0), "expires_at": h.stamp(time.Hour),
		}})
		h.clock.advance(time.Minute)
		phone := h.logIn(t, ada)
		h.clock.advance(64 * time.Minute / 2)
		here = h.refreshed(t, p, here.refresh)
		h.get(t, mine, bearer(here.access)).status(http.StatusOK).
			is("items.0.id", sid(phone)).is("items.0.current", false).is("items.0.device_name", nil).
			is("items.1.id", sid(here)).is("items.1.current", true).is("items.1.last_used_at", h.stamp(0)).
			is("items.1.expires_at", h.stamp(time.Hour)).is("items.1.created_at", h.stamp(-33*time.Minute))
		h.get(t, mine, bearer(phone.access)).is("items.0.current", true).is("items.1.current", false)

		end := func(id string, in tokens) *answer { t.Helper(); return h.delete(t, mine+"/"+id, bearer(in.access)) }
		for _, not := range []string{sid(bob), uuid.Must(uuid.NewV7()).String(), "x", strings.ToUpper(sid(phone)), "%00"} {
			end(not, here).problem(http.StatusNotFound, "not_found")
		}
		h.alive(t, p, bob.access, true)
		end(sid(phone), here).status(http.StatusNoContent)
		end(sid(phone), here).problem(http.StatusNotFound, "not_found")
		h.alive(t, p, phone.access, false)
		require.Equal(t, []any{sid(here)}, h.get(t, mine, bearer(here.access)).list("items", "id"))

		var want []any
		for range 4 {
			want = append([]any{sid(h.logIn(t, ada))}, want...)
		}
		want = append(want, sid(here))
		require.Equal(t, want, h.walk(t, mine+"?limit=2", "id", 3, bearer(here.access)))
		require.Equal(t, want, h.walk(t, mine+"?limit=5", "id", 1, bearer(here.access)))
		h.clock.advance(30 * time.Minute)
		here = h.refreshed(t, p, here.refresh)
		h.clock.advance(30 * time.Minute)
		require.Equal(t, []any{sid(here)}, h.get(t, mine, bearer(here.access)).list("items", "id"), "the others are over")

		h.delete(t, mine+"/"+sid(here), bearer(here.access)).status(http.StatusNoContent)
		h.alive(t, p, here.access, false)
		h.over(t, p, here.refresh)
		require.Equal(t, "2", h.sql(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'session.ended'"))
	})
}

func TestAnAdministratorEndsSessions(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p, other := h.portal(t), h.portal(t, object{"slug": "other"})
		ada, bob := h.account(t, p), h.account(t, p, object{"email": "bob@example.com"})
		adas := []tokens{h.logIn(t, ada), h.logIn(t, ada)}
		bobs := h.logIn(t, bob)
		for _, missing := range []string{
			other.admin + "/accounts/" + ada.id, p.admin + "/accounts/" + uuid.Must(uuid.NewV7()).String(), p.admin + "/accounts/x",
		} {
			h.delete(t, missing+"/sessions", asOperator).problem(http.StatusNotFound, "not_found")
		}
		h.alive(t, p, adas[0].access, true)
		for range 2 {
			h.delete(t, ada.admin+"/sessions", asOperator).status(http.StatusNoContent)
		}
		for _, in := range adas {
			h.alive(t, p, in.access, false)
			h.over(t, p, in.refresh)
		}
		h.alive(t, p, bobs.access, true)
		h.logIn(t, ada)
	})
}
