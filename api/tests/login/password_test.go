package login_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/password"
)

func TestLogin(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{"access_token_ttl": 120, "refresh_token_ttl": 3600, "session_max_age": 7200})
		ada := h.Account(t, p, apitest.Object{
			"given_name": "Ada", "family_name": "Lovelace", "roles": []string{"editor"}, "entitlements": []string{"reports"},
			"phone": "+45 30 30 30 30", "locale": "da", "metadata": apitest.Object{"customer": "1815"},
		})
		h.Get(t, ada.Admin, apitest.AsOperator).Status(http.StatusOK).Is("last_login_at", nil)
		h.Clock.Advance(time.Minute)

		in := h.Post(t, p.Front+"/login", ada.Credentials(apitest.Object{"resource": "reports", "device_name": "Ada's laptop"})).
			Status(http.StatusOK).Is("token_type", "Bearer").Is("expires_in", 120).Is("refresh_expires_in", 3600).
			Is("account.id", ada.ID).Is("account.email", ada.Email).Is("account.phone", "+4530303030").
			Is("account.roles", []string{"editor"}).Is("account.entitlements", []string{"reports"}).
			Is("account.metadata", apitest.Object{"customer": "1815"}).Is("account.locale", "da").Is("account.has_password", true).
			Is("account.last_login_at", h.TimeAfter(0)).
			HasHeader("Set-Cookie", "").HasHeader("Cache-Control", "no-store")
		h.Get(t, p.Front+"/me", apitest.Bearer(in.Text("access_token"))).Status(http.StatusOK).Is("given_name", "Ada")
		h.Get(t, ada.Admin, apitest.AsOperator).Is("last_login_at", in.Text("account.last_login_at"))
		require.Equal(t, "Ada's laptop", h.QueryValue(t, "SELECT device_name FROM sessions"))

		again := h.LogIn(t, ada)
		require.NotEqual(t, in.Text("access_token"), again.Access)
		require.NotEqual(t, in.Text("refresh_token"), again.Refresh)
	})
}

// A session lasts no longer than the portal lets it, however long its refresh token would be good for.
func TestSessionLifetimeBoundsRefreshToken(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{"refresh_token_ttl": 3600, "session_max_age": 900, "access_token_ttl": 86400})
		ada := h.Account(t, p)
		in := h.Post(t, p.Front+"/login", ada.Credentials()).Status(http.StatusOK).Is("refresh_expires_in", 900)
		h.Clock.Advance(899 * time.Second)
		h.Get(t, p.Front+"/me", apitest.Bearer(in.Text("access_token"))).Status(http.StatusOK)
		h.Clock.Advance(2 * time.Second)
		h.Get(t, p.Front+"/me", apitest.Bearer(in.Text("access_token"))).Problem(http.StatusUnauthorized, "access_token_invalid")
	})
}

// Only a caller with the right password learns what else is wrong, in a fixed order.
func TestLoginCheckOrder(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		ada := h.Account(t, p, apitest.Object{"confirmed": false, "disabled": true})
		login := func(more ...apitest.Object) *apitest.Answer {
			t.Helper()
			return h.Post(t, p.Front+"/login", ada.Credentials(append(more, apitest.Object{"resource": "reports"})...))
		}
		login(apitest.Object{"password": "not the right one"}).Problem(http.StatusUnauthorized, "incorrect_credentials")
		login().Problem(http.StatusForbidden, "account_disabled").Remedies("contact_administrator")
		h.Patch(t, ada.Admin, apitest.Object{"disabled": false}, apitest.AsOperator).Status(http.StatusOK)
		login(apitest.Object{"password": "not the right one"}).Problem(http.StatusUnauthorized, "incorrect_credentials")
		login().Problem(http.StatusForbidden, "email_not_confirmed").Remedies("resend_confirmation", "check_spam")
		h.Patch(t, ada.Admin, apitest.Object{"confirmed": true}, apitest.AsOperator).Status(http.StatusOK)
		login().Problem(http.StatusForbidden, "resource_not_granted").Remedies("contact_administrator")
		require.Equal(t, "0", h.QueryValue(t, "SELECT COUNT(*) FROM sessions"))
		h.Patch(t, ada.Admin, apitest.Object{"entitlements": []string{"reports"}}, apitest.AsOperator).Status(http.StatusOK)
		login().Status(http.StatusOK)
	})
}

func TestLoginWithoutPasswordSet(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		ada := h.Account(t, p, apitest.Object{"password": nil})
		h.Post(t, p.Front+"/login", apitest.Object{"email": ada.Email, "password": apitest.GoodPassword}).
			Problem(http.StatusForbidden, "password_not_set").Remedies("set_password", "check_spam")

		codes := h.Portal(t, apitest.Object{"slug": "codes", "login_methods": []string{"email_code"}})
		bob := h.Account(t, codes)
		h.Post(t, codes.Front+"/login", bob.Credentials()).Problem(http.StatusConflict, "channel_unavailable").
			Remedies("use_other_channel")
	})
}

// An address that has no account is answered as one with another password.
func TestLoginHidesUnknownAddress(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		ada := h.Account(t, p)
		said := func(email string) apitest.Object {
			var body apitest.Object
			h.Post(t, p.Front+"/login", apitest.Object{"email": email, "password": "not the right one"}).
				Problem(http.StatusUnauthorized, "incorrect_credentials").Remedies("retry", "reset_password").
				Is("remedies.1.body.email", email).Decode(&body)
			delete(body, "request_id")
			delete(body["remedies"].([]any)[1].(apitest.Object), "body")
			return body
		}
		require.Equal(t, said(ada.Email), said("nobody@example.com"))
	})
}

func TestLoginHints(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{"lockout": apitest.Object{"threshold": 100}})
		ada := h.Account(t, p)
		for typed, hints := range map[string][]string{
			" " + apitest.GoodPassword:            {"surrounding_whitespace"},
			strings.ToUpper(apitest.GoodPassword): {"all_caps"},
			"сщккусе рщкыу":                       {"unusual_script"},
			"short":                               {"below_minimum_length"},
			" SHORTЙ ":                            {"surrounding_whitespace", "all_caps", "unusual_script", "below_minimum_length"},
			"something else, long enough.":        nil,
		} {
			for _, email := range []string{ada.Email, "nobody@example.com"} {
				a := h.Post(t, p.Front+"/login", apitest.Object{"email": email, "password": typed}).
					Problem(http.StatusUnauthorized, "incorrect_credentials")
				if hints == nil {
					a.Lacks("hints")
				} else {
					a.Is("hints", hints)
				}
			}
		}
	})
}

func TestPasswordNormalization(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		ada := h.Account(t, h.Portal(t), apitest.Object{"password": "Bücherwürmer überall"})
		for _, typed := range []string{"Bücherwürmer überall", "Bu\u0308cherwu\u0308rmer u\u0308berall"} {
			h.Post(t, ada.Portal.Front+"/login", ada.Credentials(apitest.Object{"password": typed})).Status(http.StatusOK)
		}
	})
}

// Hashes that came from another system, or of yesterday's parameters, are replaced by a right password, and only then.
func TestOldHashesAreReplaced(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{"lockout": apitest.Object{"threshold": 100}})
		foreign, err := bcrypt.GenerateFromPassword([]byte(apitest.GoodPassword), bcrypt.MinCost)
		require.NoError(t, err)
		costlier := password.Params{MemoryKiB: 16, Iterations: 2, Parallelism: 1}
		outdated, err := password.NewPool(1, time.Minute, costlier).For(ids.Portal{}).Hash(context.Background(), apitest.GoodPassword)
		require.NoError(t, err)
		for name, hash := range map[string]string{"bcrypt": string(foreign), "argon2": outdated} {
			who := h.Account(t, p, apitest.Object{"email": name + "@example.com"})
			h.SetPasswordHash(t, who, hash)
			h.Post(t, p.Front+"/login", who.Credentials(apitest.Object{"password": "not the right one"})).
				Problem(http.StatusUnauthorized, "incorrect_credentials")
			require.Equal(t, hash, h.PasswordHash(t, who))
			in := h.LogIn(t, who)
			replaced := h.PasswordHash(t, who)
			require.True(t, strings.HasPrefix(replaced, "$argon2id$v=19$m=8,t=1,p=1$"), replaced)
			h.Get(t, p.Front+"/me", apitest.Bearer(in.Access)).Status(http.StatusOK) // a better hash of the same password ends nothing
			h.LogIn(t, who)
			require.Equal(t, replaced, h.PasswordHash(t, who))
		}
	})
}

func TestUnreadableHash(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		ada := h.Account(t, h.Portal(t))
		const unreadable = "$argon2id$v=19$m=99999999,t=1,p=1$c2FsdHNhbHRzYWx0$a2V5a2V5a2V5a2V5a2V5a2V5"
		h.Log.Forbid(unreadable)
		h.SetPasswordHash(t, ada, unreadable)
		h.Post(t, ada.Portal.Front+"/login", ada.Credentials()).Problem(http.StatusUnauthorized, "incorrect_credentials")
		require.Contains(t, h.Log.String(), "unreadable")
		require.Equal(t, unreadable, h.PasswordHash(t, ada))
	})
}

// A locked address is refused, with the right password too.
func TestLoginWhileLocked(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		ada := h.Account(t, h.Portal(t))
		for range 5 {
			h.LogInWrong(t, ada.Portal, ada.Email).Status(http.StatusUnauthorized)
		}
		h.LogInRight(t, ada.Portal, ada.Email).Problem(http.StatusLocked, "account_locked")
	})
}
