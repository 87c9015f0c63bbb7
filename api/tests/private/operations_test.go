package private_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// publicOperation is something that a stranger can call. One that comes later is a line in publicOperations.
type publicOperation struct {
	name    string
	request func(f apitest.Fleet, t testing.TB, p apitest.Portal, email string, with apitest.Option) apitest.PreparedRequest
	// open is how an open portal's answer begins: by standing, else by what was typed before, else by who it is.
	open map[string]string
	// proves are the standings whose owner the call shows its caller to be; they are told the same at any portal.
	proves []string
}

func posting(path string, body func(email string) apitest.Object) func(apitest.Fleet, testing.TB, apitest.Portal, string, apitest.Option) apitest.PreparedRequest {
	return func(f apitest.Fleet, t testing.TB, p apitest.Portal, email string, with apitest.Option) apitest.PreparedRequest {
		t.Helper()
		return f[0].Prepare(t, http.MethodPost, p.Front+path, body(email), with)
	}
}

func naming(email string) apitest.Object { return apitest.Object{"email": email} }

func typing(secret string) func(string) apitest.Object {
	return func(email string) apitest.Object { return apitest.Object{"email": email, "password": secret} }
}

func withNonsense(string) apitest.Object { return apitest.Object{"refresh_token": "AQ"} }

// lookedUp is what an open portal says to a lookup.
var lookedUp = map[string]string{
	"unknown": "404 email_not_found", "active": "200 password", "disabled": "200 password", "imported": "200 password",
	"opted out": "200 password", "unconfirmed": "200 confirm_email", "unconfirmed and disabled": "200 confirm_email",
	"without a password": "200 set_password", "without either": "200 set_password",
	"invited": "200 redeem_invitation", "invited and expired": "404 email_not_found",
}

// mailedAgain is what an open portal says to who asks for an invitation again.
var mailedAgain = map[string]string{
	"unknown": "404 email_not_found", "invited": "202", "invited and expired": "410 token_expired",
	"active": "409 email_already_registered", "disabled": "409 email_already_registered",
	"imported": "409 email_already_registered", "opted out": "409 email_already_registered",
	"unconfirmed": "409 email_already_registered", "unconfirmed and disabled": "409 email_already_registered",
	"without a password": "409 email_already_registered", "without either": "409 email_already_registered",
}

// mailedTooSoon is what an open portal says to the second request.
var mailedTooSoon = func() map[string]string {
	again := maps.Clone(mailedAgain)
	again["invited"] = "429 resend_too_soon"
	return again
}()

// publicOperations are called in this order, each with every standing; what one leaves behind, the next must not tell
// either.
var publicOperations = []publicOperation{
	{name: "lookup", request: posting("/lookup", naming), open: lookedUp},
	{name: "lockout-status", request: posting("/lockout-status", naming), open: map[string]string{
		fresh: "200 0 failed", locked: "200 5 failed", off: "200 0 failed",
	}},
	{name: "the portal's face", open: map[string]string{fresh: "200", locked: "200", off: "200"},
		request: func(f apitest.Fleet, t testing.TB, p apitest.Portal, _ string, with apitest.Option) apitest.PreparedRequest {
			return f[0].Prepare(t, http.MethodGet, p.Front, nil, with)
		}},
	{name: "refresh", request: posting("/sessions/refresh", withNonsense), open: map[string]string{
		fresh: "401 session_invalid", locked: "401 session_invalid", off: "401 session_invalid",
	}},
	{name: "logout", request: posting("/logout", withNonsense), open: map[string]string{fresh: "204", locked: "204", off: "204"}},
	{name: "login with a wrong password", request: posting("/login", typing(apitest.WrongPassword)), open: map[string]string{
		fresh: "401 incorrect_credentials", locked: "423 account_locked", off: "403 password_reset_required",
		"without a password": "403 password_not_set", "without either": "403 password_not_set",
	}},
	{name: "lockout-status after a failure", request: posting("/lockout-status", naming), open: map[string]string{
		fresh: "200 1 failed", locked: "200 5 failed", off: "200 0 failed",
		"without a password": "200 0 failed", "without either": "200 0 failed",
	}},
	{name: "login with the password", request: posting("/login", typing(apitest.GoodPassword)), open: map[string]string{
		"unknown": "401 incorrect_credentials", "active": "200", "opted out": "200", "imported": "200",
		"disabled": "403 account_disabled", "unconfirmed and disabled": "403 account_disabled",
		"unconfirmed": "403 email_not_confirmed", "without a password": "403 password_not_set",
		"without either": "403 password_not_set", locked: "423 account_locked", off: "403 password_reset_required",
		"invited": "401 incorrect_credentials", "invited and expired": "401 incorrect_credentials",
	}, proves: []string{"active", "disabled", "opted out", "imported"}},
	{name: "invitations/resend", request: posting("/invitations/resend", naming), open: mailedAgain},
	{name: "invitations/resend too soon", request: posting("/invitations/resend", naming), open: mailedTooSoon},
	{name: "lookup at last", request: posting("/lookup", naming), open: lookedUp},
}

// wants is what an open portal answers to a standing.
func (o publicOperation) wants(t testing.TB, s standing) string {
	t.Helper()
	for _, key := range []string{s.name, s.typed, s.who()} {
		if said, ok := o.open[key]; ok {
			return said
		}
	}
	t.Fatalf("%s: what does an open portal say when an address is %s?", o.name, s.name)
	return ""
}

// said is the part of an answer that tells standings apart: status, and code, next or failures.
func said(a *apitest.Answer) string {
	text := fmt.Sprint(a.HTTPStatus)
	if len(a.Body) == 0 {
		return text
	}
	for _, member := range []string{"code", "next"} {
		if value, ok := a.At(member); ok {
			return text + " " + value.(string)
		}
	}
	if failed, ok := a.At("failed_attempts"); ok {
		return fmt.Sprintf("%s %v failed", text, failed)
	}
	return text
}

// rounds counts the calls of callAll.
var rounds atomic.Int32

// callAll calls an operation for every standing, each from a network of its own, which no other round uses: failures of a
// network count at all portals, and a success does not.
func (o publicOperation) callAll(t testing.TB, f apitest.Fleet, p apitest.Portal) []*apitest.Answer {
	t.Helper()
	round := rounds.Add(1)
	requests := make([]apitest.PreparedRequest, len(standings))
	for i, s := range standings {
		from := fmt.Sprintf("198.%d.%d.%d:4711", 18+round/250, round%250, i+1)
		requests[i] = o.request(f, t, p, s.email(), func(r *http.Request) { r.RemoteAddr = from })
	}
	return f.SendAtOnce(t, requests...)
}

// What an open portal says of each standing, a private one says of none: every operation answers all alike, in status,
// headers and body, except to a caller who proves to be the owner.
func TestPublicOperationsHideAccounts(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db, apitest.RateLimited)
		f := apitest.Fleet{h}
		open, private := h.Portal(t), h.Portal(t, apitest.Object{"slug": "private", "enumeration": "private"})
		for _, p := range []apitest.Portal{open, private} {
			bringAll(t, h, p)
		}
		for _, o := range publicOperations {
			for i, a := range o.callAll(t, f, open) {
				require.True(t, strings.HasPrefix(said(a), o.wants(t, standings[i])), "%s: %s: %s", o.name, standings[i].name, a.Body)
			}
			first := map[string]string{}
			for i, a := range o.callAll(t, f, private) {
				s := standings[i]
				if slices.Contains(o.proves, s.name) {
					require.True(t, strings.HasPrefix(said(a), o.wants(t, s)), "%s: %s: %s", o.name, s.name, a.Body)
					continue
				}
				seen := apitest.VisibleAnswer(a, s.email())
				if first[s.typed] == "" {
					first[s.typed] = seen
				}
				require.Equal(t, first[s.typed], seen, "%s tells of an address that it is %s", o.name, s.name)
				require.NotContains(t, revealing, said(a), o.name)
			}
		}
	})
}

// revealing never appear at a private portal.
var revealing = []string{
	"404 email_not_found", "404 phone_not_found", "403 email_not_confirmed", "403 password_not_set", "409 pending_invitation",
	"409 email_already_registered", "409 email_already_confirmed", "409 communication_opted_out", "410 token_expired",
	"200 redeem_invitation",
}

// A private portal keeps counts to itself and is not told by what it looks up.
func TestPrivatePortalLookup(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{"enumeration": "private"})
		codes := h.Portal(t, apitest.Object{"slug": "codes", "enumeration": "private", "login_methods": []string{"email_code"}})
		ada := h.Account(t, p, apitest.Object{"confirmed": false})
		h.Post(t, p.Front+"/lookup", apitest.Object{"email": "ada@gmial.com"}).Status(http.StatusOK).Is("next", "password").
			Is("methods", []string{"password"})
		h.Post(t, codes.Front+"/lookup", apitest.Object{"email": ada.Email}).Status(http.StatusOK).Is("next", "login_code").
			Is("methods", []string{"email_code"})
		h.Post(t, codes.Front+"/login", ada.Credentials()).Problem(http.StatusConflict, "channel_unavailable")
		h.LockoutStatus(t, p, ada.Email).Is("failed_attempts", nil).Is("attempts_remaining", nil).Is("threshold", 5)
		h.LogInRight(t, p, ada.Email).Problem(http.StatusUnauthorized, "incorrect_credentials").Is("attempts_remaining", nil)

		h.Patch(t, p.Admin, apitest.Object{"require_confirmation": false}, apitest.AsOperator).
			Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/require_confirmation", "conflict")
		h.Patch(t, ada.Admin, apitest.Object{"confirmed": true}, apitest.AsOperator).Status(http.StatusOK)
		h.LogIn(t, ada)
		require.Equal(t, "0", h.QueryValue(t, "SELECT in_a_row FROM lockouts"))
		h.Patch(t, p.Admin, apitest.Object{"enumeration": "open"}, apitest.AsOperator).Status(http.StatusOK)
		h.LockoutStatus(t, p, ada.Email).Is("failed_attempts", 1) // a success at a private portal clears only the run
		h.LogIn(t, ada)
		h.LockoutStatus(t, p, ada.Email).Is("failed_attempts", 0)
	})
}
