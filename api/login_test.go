package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/password"
)

func TestLogin(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, object{"access_token_ttl": 120, "refresh_token_ttl": 3600, "session_max_age": 7200})
		ada := h.account(t, p, object{
			"given_name": "Ada", "family_name": "Lovelace", "roles": []string{"editor"}, "entitlements": []string{"reports"},
			"phone": "+45 30 30 30 30", "locale": "da", "metadata": object{"customer": "1815"},
		})
		h.get(t, ada.admin, asOperator).status(http.StatusOK).is("last_login_at", nil)
		h.clock.advance(time.Minute)

		in := h.post(t, p.front+"/login", ada.credentials(object{"resource": "reports", "device_name": "Ada's laptop"})).
			status(http.StatusOK).is("token_type", "Bearer").is("expires_in", 120).is("refresh_expires_in", 3600).
			is("account.id", ada.id).is("account.email", ada.email).is("account.phone", "+4530303030").
			is("account.roles", []string{"editor"}).is("account.entitlements", []string{"reports"}).
			is("account.metadata", object{"customer": "1815"}).is("account.locale", "da").is("account.has_password", true).
			is("account.last_login_at", h.stamp(0)).
			sets("Set-Cookie", "").sets("Cache-Control", "no-store")
		h.get(t, p.front+"/me", bearer(in.text("access_token"))).status(http.StatusOK).is("given_name", "Ada")
		h.get(t, ada.admin, asOperator).is("last_login_at", in.text("account.last_login_at"))
		require.Equal(t, "Ada's laptop", h.sql(t, "SELECT device_name FROM sessions"))

		again := h.logIn(t, ada)
		require.NotEqual(t, in.text("access_token"), again.access)
		require.NotEqual(t, in.text("refresh_token"), again.refresh)
	})
}

// A session lasts no longer than the portal lets it, however long its refresh token would be good for.
func TestTheSessionBoundsItsRefreshToken(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, object{"refresh_token_ttl": 3600, "session_max_age": 900, "access_token_ttl": 86400})
		ada := h.account(t, p)
		in := h.post(t, p.front+"/login", ada.credentials()).status(http.StatusOK).is("refresh_expires_in", 900)
		h.clock.advance(899 * time.Second)
		h.get(t, p.front+"/me", bearer(in.text("access_token"))).status(http.StatusOK)
		h.clock.advance(2 * time.Second)
		h.get(t, p.front+"/me", bearer(in.text("access_token"))).problem(http.StatusUnauthorized, "access_token_invalid")
	})
}

// Only who knows the password learns what else is wrong, and in the contract's order.
func TestLoginChecksInOrder(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		ada := h.account(t, p, object{"confirmed": false, "disabled": true})
		login := func(more ...object) *answer {
			t.Helper()
			return h.post(t, p.front+"/login", ada.credentials(append(more, object{"resource": "reports"})...))
		}
		login(object{"password": "not the right one"}).problem(http.StatusUnauthorized, "incorrect_credentials")
		login().problem(http.StatusForbidden, "account_disabled").remedies("contact_administrator")
		h.patch(t, ada.admin, object{"disabled": false}, asOperator).status(http.StatusOK)
		login(object{"password": "not the right one"}).problem(http.StatusUnauthorized, "incorrect_credentials")
		login().problem(http.StatusForbidden, "email_not_confirmed").remedies("resend_confirmation", "check_spam")
		h.patch(t, ada.admin, object{"confirmed": true}, asOperator).status(http.StatusOK)
		login().problem(http.StatusForbidden, "resource_not_granted").remedies("contact_administrator")
		require.Equal(t, "0", h.sql(t, "SELECT COUNT(*) FROM sessions"))
		h.patch(t, ada.admin, object{"entitlements": []string{"reports"}}, asOperator).status(http.StatusOK)
		login().status(http.StatusOK)
	})
}

func TestLoginBeforeAPasswordExists(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		ada := h.account(t, p, object{"password": nil})
		h.post(t, p.front+"/login", object{"email": ada.email, "password": goodPassword}).
			problem(http.StatusForbidden, "password_not_set").remedies("set_password", "check_spam")

		codes := h.portal(t, object{"slug": "codes", "login_methods": []string{"email_code"}})
		bob := h.account(t, codes)
		h.post(t, codes.front+"/login", bob.credentials()).problem(http.StatusConflict, "channel_unavailable").
			remedies("use_other_channel")
	})
}

// An address that has no account is answered as one with another password.
func TestLoginDoesNotTellWhoHasAnAccount(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		ada := h.account(t, p)
		said := func(email string) object {
			var body object
			h.post(t, p.front+"/login", object{"email": email, "password": "not the right one"}).
				problem(http.StatusUnauthorized, "incorrect_credentials").remedies("retry", "reset_password").
				is("remedies.1.body.email", email).into(&body)
			delete(body, "request_id")
			delete(body["remedies"].([]any)[1].(object), "body")
			return body
		}
		require.Equal(t, said(ada.email), said("nobody@example.com"))
	})
}

func TestHintsComeFromWhatWasTyped(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, object{"lockout": object{"threshold": 100}})
		ada := h.account(t, p)
		for typed, hints := range map[string][]string{
			" " + goodPassword:             {"surrounding_whitespace"},
			strings.ToUpper(goodPassword):  {"all_caps"},
			"сщккусе рщкыу":                {"unusual_script"},
			"short":                        {"below_minimum_length"},
			" SHORTЙ ":                     {"surrounding_whitespace", "all_caps", "unusual_script", "below_minimum_length"},
			"something else, long enough.": nil,
		} {
			for _, email := range []string{ada.email, "nobody@example.com"} {
				a := h.post(t, p.front+"/login", object{"email": email, "password": typed}).
					problem(http.StatusUnauthorized, "incorrect_credentials")
				if hints == nil {
					a.lacks("hints")
				} else {
					a.is("hints", hints)
				}
			}
		}
	})
}

func TestPasswordsAreComparedInNFC(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		ada := h.account(t, h.portal(t), object{"password": "Bücherwürmer überall"})
		for _, typed := range []string{"Bücherwürmer überall", "Bu\u0308cherwu\u0308rmer u\u0308berall"} {
			h.post(t, ada.portal.front+"/login", ada.credentials(object{"password": typed})).status(http.StatusOK)
		}
	})
}

// Hashes that came from another system, or of yesterday's parameters, are replaced by a right password, and only then.
func TestOldHashesAreReplacedAtLogin(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, object{"lockout": object{"threshold": 100}})
		foreign, err := bcrypt.GenerateFromPassword([]byte(goodPassword), bcrypt.MinCost)
		require.NoError(t, err)
		costlier := password.Params{MemoryKiB: 16, Iterations: 2, Parallelism: 1}
		outdated, err := password.NewPool(1, time.Minute, costlier).Hash(context.Background(), goodPassword)
		require.NoError(t, err)
		for name, hash := range map[string]string{"bcrypt": string(foreign), "argon2": outdated} {
			who := h.account(t, p, object{"email": name + "@example.com"})
			h.setHash(t, who, hash)
			h.post(t, p.front+"/login", who.credentials(object{"password": "not the right one"})).
				problem(http.StatusUnauthorized, "incorrect_credentials")
			require.Equal(t, hash, h.hashOf(t, who))
			in := h.logIn(t, who)
			replaced := h.hashOf(t, who)
			require.True(t, strings.HasPrefix(replaced, "$argon2id$v=19$m=8,t=1,p=1$"), replaced)
			h.get(t, p.front+"/me", bearer(in.access)).status(http.StatusOK) // a better hash of the same password ends nothing
			h.logIn(t, who)
			require.Equal(t, replaced, h.hashOf(t, who))
		}
	})
}

func TestAnUnreadableHashIsAWrongPassword(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		ada := h.account(t, h.portal(t))
		const unreadable = "$argon2id$v=19$m=99999999,t=1,p=1$c2FsdHNhbHRzYWx0$a2V5a2V5a2V5a2V5a2V5a2V5"
		h.log.forbid(unreadable)
		h.setHash(t, ada, unreadable)
		h.post(t, ada.portal.front+"/login", ada.credentials()).problem(http.StatusUnauthorized, "incorrect_credentials")
		require.Contains(t, h.log.String(), "unreadable")
		require.Equal(t, unreadable, h.hashOf(t, ada))
	})
}

// A try that waits for a slot in vain decides nothing: it is 503, and no outcome is recorded.
func TestAFullHashingQueue(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		ada := h.account(t, h.portal(t))
		pool := password.NewPool(1, time.Millisecond, password.Cheapest)
		full := h.calling(h.another(t, db, func(o *options) { o.App.Passwords = pool }))

		const slow = "$pbkdf2-sha256$600000$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U"
		done := make(chan error, 1)
		go func() {
			_, err := pool.Verify(context.Background(), goodPassword, slow)
			done <- err
		}()
		require.Eventually(t, func() bool { return pool.Stats().Running == 1 }, 5*time.Second, time.Millisecond)
		before := h.sql(t, "SELECT COUNT(*) FROM audit_events")
		for _, email := range []string{ada.email, "nobody@example.com"} {
			full.post(t, ada.portal.front+"/login", ada.credentials(object{"email": email})).
				problem(http.StatusServiceUnavailable, "overloaded").remedies("retry").sets("Retry-After", "1")
		}
		full.post(t, ada.portal.admin+"/accounts", object{"email": "bob@example.com", "password": goodPassword}, asOperator).
			problem(http.StatusServiceUnavailable, "overloaded")
		require.Equal(t, before, h.sql(t, "SELECT COUNT(*) FROM audit_events"))
		require.NoError(t, <-done)
		full.logIn(t, ada)
	})
}
