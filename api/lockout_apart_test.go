package api_test

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// A lock shuts the password and nothing else.
func TestWhatALockLeavesAlone(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		ada := h.account(t, p)
		in, other := h.logIn(t, ada), h.logIn(t, ada)
		h.lock(t, p, ada.email, 5)

		h.get(t, p.front+"/me", bearer(in.access)).status(http.StatusOK).lacks("locked_until")
		h.patch(t, p.front+"/me", object{"given_name": "Ada"}, bearer(in.access)).status(http.StatusOK)
		require.Len(t, h.get(t, p.front+"/me/sessions", bearer(in.access)).status(http.StatusOK).list("items", "id"), 2)
		in = tokensOf(h.post(t, p.front+"/sessions/refresh", object{"refresh_token": in.refresh}).status(http.StatusOK))
		h.changePassword(t, p, in, wrongPassword, newPassword).problem(http.StatusForbidden, "current_password_incorrect")
		h.changePassword(t, p, in, ada.password, newPassword).status(http.StatusNoContent)
		h.get(t, p.front+"/me", bearer(in.access)).status(http.StatusOK)
		h.get(t, p.front+"/me", bearer(other.access)).problem(http.StatusUnauthorized, "access_token_invalid")
		h.post(t, p.front+"/lookup", object{"email": ada.email}).status(http.StatusOK).is("next", "password")
		h.post(t, p.front+"/logout", object{"refresh_token": in.refresh}).status(http.StatusNoContent)

		h.lockoutStatus(t, p, ada.email).is("locked", true) // a password changed from within proves no mailbox
		h.post(t, p.front+"/login", ada.credentials(object{"password": newPassword})).
			problem(http.StatusLocked, "account_locked")
		h.lockoutStatus(t, p, "bob@example.com").is("locked", false)
	})
}

func TestWrongCurrentPasswordsAtOnce(t *testing.T) {
	t.Parallel()
	eachFleet(t, func(t *testing.T, f fleet) {
		h := f[0]
		p := h.portal(t)
		ada := h.account(t, p)
		first, second := h.logIn(t, ada), h.logIn(t, ada)
		var tries []sent
		for range 16 {
			for _, in := range []tokens{first, second} {
				tries = append(tries, h.passwordChange(t, p, in, wrongPassword, newPassword))
			}
		}
		want := map[string]int{"423 account_locked": 27}
		for left := range 5 {
			want["403 current_password_incorrect "+strconv.Itoa(left)] = 1
		}
		require.Equal(t, want, tally(f.atOnce(t, tries...)))
		h.logIn(t, ada)
	})
}
