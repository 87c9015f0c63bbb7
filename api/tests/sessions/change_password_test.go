package sessions_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

func TestChangePassword(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		ada := h.Account(t, p)
		here, there := h.LogIn(t, ada), h.LogIn(t, ada)
		there = h.MustRefresh(t, p, there.Refresh)

		h.ChangePassword(t, p, here, "not the right one", apitest.OtherPassword).
			Problem(http.StatusForbidden, "current_password_incorrect").Is("attempts_remaining", 4).Remedies("retry", "reset_password")
		a := h.ChangePassword(t, p, here, apitest.GoodPassword, "short").
			Problem(http.StatusUnprocessableEntity, "password_rejected").Remedies("retry")
		require.Contains(t, a.List("reasons", "code"), "too_short")
		h.ChangePassword(t, p, here, "", "").Problem(http.StatusUnprocessableEntity, "validation_failed").
			FieldError("/current_password", "required").FieldError("/new_password", "required")
		h.RequireAccess(t, p, there.Access, true)
		h.LogIn(t, ada)

		h.ChangePassword(t, p, here, apitest.GoodPassword, apitest.OtherPassword).Status(http.StatusNoContent)
		h.RequireAccess(t, p, there.Access, false)
		h.RequireSessionOver(t, p, there.Refresh)
		h.RequireAccess(t, p, here.Access, true)
		h.RequireAccess(t, p, h.MustRefresh(t, p, here.Refresh).Access, true)
		h.Post(t, p.Front+"/login", ada.Credentials()).Problem(http.StatusUnauthorized, "incorrect_credentials")
		h.Post(t, p.Front+"/login", ada.Credentials(apitest.Object{"password": apitest.OtherPassword})).Status(http.StatusOK)
		h.ChangePassword(t, p, here, apitest.GoodPassword, apitest.OtherPassword).Problem(http.StatusForbidden, "current_password_incorrect").
			Is("attempts_remaining", 4) // the change has cleared the count
		require.Equal(t, "1", h.QueryValue(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'password.changed' AND outcome = 'success'"))
	})
}

// Wrong current passwords are counted apart from failed logins: neither locks the other.
func TestCurrentPasswordFailuresCountApart(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		ada := h.Account(t, p)
		in := h.LogIn(t, ada)
		for left := range 5 {
			h.ChangePassword(t, p, in, "not the right one", apitest.OtherPassword).
				Problem(http.StatusForbidden, "current_password_incorrect").Is("attempts_remaining", 4-left)
		}
		until := h.TimeAfter(15 * time.Minute)
		h.Clock.Advance(time.Minute)
		for _, secret := range []string{"not the right one", apitest.GoodPassword} {
			h.ChangePassword(t, p, in, secret, apitest.OtherPassword).Problem(http.StatusLocked, "account_locked").
				Is("locked_until", until).HasHeader("Retry-After", "840").Remedies("wait", "reset_password", "contact_support")
		}
		h.Get(t, ada.Admin, apitest.AsOperator).Status(http.StatusOK).Is("locked_until", nil)
		in = h.LogIn(t, ada)
		h.ChangePassword(t, p, in, apitest.GoodPassword, apitest.OtherPassword).Problem(http.StatusLocked, "account_locked")
		h.Post(t, ada.Admin+"/unlock", nil, apitest.AsOperator).Status(http.StatusOK)
		h.ChangePassword(t, p, in, apitest.GoodPassword, apitest.OtherPassword).Status(http.StatusNoContent)

		for range 5 {
			h.Post(t, p.Front+"/login", ada.Credentials(apitest.Object{"password": "not the right one"})).
				Problem(http.StatusUnauthorized, "incorrect_credentials")
		}
		h.Post(t, p.Front+"/login", ada.Credentials(apitest.Object{"password": apitest.OtherPassword})).Problem(http.StatusLocked, "account_locked")
		h.ChangePassword(t, p, in, apitest.OtherPassword, apitest.GoodPassword).Status(http.StatusNoContent)
		h.RequireAccess(t, p, in.Access, true)
	})
}

// Who has no password yet has none to change.
func TestChangePasswordNotSet(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		ada := h.Account(t, h.Portal(t))
		in := h.LogIn(t, ada)
		h.Exec(t, "UPDATE accounts SET password_hash = NULL WHERE id = ?", ada.ID)
		h.ChangePassword(t, ada.Portal, in, apitest.GoodPassword, apitest.OtherPassword).Problem(http.StatusConflict, "password_not_set").
			Remedies("set_password", "check_spam")
		h.Post(t, ada.Portal.Front+"/login", ada.Credentials()).Problem(http.StatusForbidden, "password_not_set")
	})
}
