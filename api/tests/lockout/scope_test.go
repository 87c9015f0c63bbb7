package lockout_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// A lock shuts the password and nothing else.
func TestLockScope(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		ada := h.Account(t, p)
		in, other := h.LogIn(t, ada), h.LogIn(t, ada)
		lock(t, h, p, ada.Email, 5)

		h.Get(t, p.Front+"/me", apitest.Bearer(in.Access)).Status(http.StatusOK).Lacks("locked_until")
		h.Patch(t, p.Front+"/me", apitest.Object{"given_name": "Ada"}, apitest.Bearer(in.Access)).Status(http.StatusOK)
		require.Len(t, h.Get(t, p.Front+"/me/sessions", apitest.Bearer(in.Access)).Status(http.StatusOK).List("items", "id"), 2)
		in = apitest.TokensOf(h.Post(t, p.Front+"/sessions/refresh", apitest.Object{"refresh_token": in.Refresh}).Status(http.StatusOK))
		h.ChangePassword(t, p, in, apitest.WrongPassword, apitest.OtherPassword).Problem(http.StatusForbidden, "current_password_incorrect")
		h.ChangePassword(t, p, in, ada.Password, apitest.OtherPassword).Status(http.StatusNoContent)
		h.Get(t, p.Front+"/me", apitest.Bearer(in.Access)).Status(http.StatusOK)
		h.Get(t, p.Front+"/me", apitest.Bearer(other.Access)).Problem(http.StatusUnauthorized, "access_token_invalid")
		h.Post(t, p.Front+"/lookup", apitest.Object{"email": ada.Email}).Status(http.StatusOK).Is("next", "password")
		h.Post(t, p.Front+"/logout", apitest.Object{"refresh_token": in.Refresh}).Status(http.StatusNoContent)

		h.LockoutStatus(t, p, ada.Email).Is("locked", true) // a password changed from within proves no mailbox
		h.Post(t, p.Front+"/login", ada.Credentials(apitest.Object{"password": apitest.OtherPassword})).
			Problem(http.StatusLocked, "account_locked")
		h.LockoutStatus(t, p, "bob@example.com").Is("locked", false)
	})
}
