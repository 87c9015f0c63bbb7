package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

const newPassword = "a bicycle for two in the rain"

// changePassword is a person's change of password in a session.
func (h *harness) changePassword(t testing.TB, at portal, in tokens, current, next string) *answer {
	t.Helper()
	return h.post(t, at.front+"/me/password", object{"current_password": current, "new_password": next}, bearer(in.access))
}

func TestChangingMyPassword(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		ada := h.account(t, p)
		here, there := h.logIn(t, ada), h.logIn(t, ada)
		there = h.refreshed(t, p, there.refresh)

		h.changePassword(t, p, here, "not the right one", newPassword).
			problem(http.StatusForbidden, "current_password_incorrect").is("attempts_remaining", 4).remedies("retry", "reset_password")
		a := h.changePassword(t, p, here, goodPassword, "short").
			problem(http.StatusUnprocessableEntity, "password_rejected").remedies("retry")
		require.Contains(t, a.list("reasons", "code"), "too_short")
		h.changePassword(t, p, here, "", "").problem(http.StatusUnprocessableEntity, "validation_failed").
			field("/current_password", "required").field("/new_password", "required")
		h.alive(t, p, there.access, true)
		h.logIn(t, ada)

		h.changePassword(t, p, here, goodPassword, newPassword).status(http.StatusNoContent)
		h.alive(t, p, there.access, false)
		h.over(t, p, there.refresh)
		h.alive(t, p, here.access, true)
		h.alive(t, p, h.refreshed(t, p, here.refresh).access, true)
		h.post(t, p.front+"/login", ada.credentials()).problem(http.StatusUnauthorized, "incorrect_credentials")
		h.post(t, p.front+"/login", ada.credentials(object{"password": newPassword})).status(http.StatusOK)
		h.changePassword(t, p, here, goodPassword, newPassword).problem(http.StatusForbidden, "current_password_incorrect").
			is("attempts_remaining", 4) // the change has cleared the count
		require.Equal(t, "1", h.sql(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'password.changed' AND outcome = 'success'"))
	})
}

// Wrong current passwords have a count of their own: neither door's failures shut the other.
func TestCurrentPasswordsAreCountedApart(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		ada := h.account(t, p)
		in := h.logIn(t, ada)
		for left := range 5 {
			h.changePassword(t, p, in, "not the right one", newPassword).
				problem(http.StatusForbidden, "current_password_incorrect").is("attempts_remaining", 4-left)
		}
		until := h.stamp(15 * time.Minute)
		h.clock.advance(time.Minute)
		for _, secret := range []string{"not the right one", goodPassword} {
			h.changePassword(t, p, in, secret, newPassword).problem(http.StatusLocked, "account_locked").
				is("locked_until", until).sets("Retry-After", "840").remedies("wait", "reset_password", "contact_support")
		}
		h.get(t, ada.admin, asOperator).status(http.StatusOK).is("locked_until", nil)
		in = h.logIn(t, ada)
		h.changePassword(t, p, in, goodPassword, newPassword).problem(http.StatusLocked, "account_locked")
		h.post(t, ada.admin+"/unlock", nil, asOperator).status(http.StatusOK)
		h.changePassword(t, p, in, goodPassword, newPassword).status(http.StatusNoContent)

		for range 5 {
			h.post(t, p.front+"/login", ada.credentials(object{"password": "not the right one"})).
				problem(http.StatusUnauthorized, "incorrect_credentials")
		}
		h.post(t, p.front+"/login", ada.credentials(object{"password": newPassword})).problem(http.StatusLocked, "account_locked")
		h.changePassword(t, p, in, newPassword, goodPassword).status(http.StatusNoContent)
		h.alive(t, p, in.access, true)
	})
}

// Who has no password yet has none to change.
func TestChangingAPasswordThatIsNotSet(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		ada := h.account(t, h.portal(t))
		in := h.logIn(t, ada)
		h.exec(t, "UPDATE accounts SET password_hash = NULL WHERE id = ?", ada.id)
		h.changePassword(t, ada.portal, in, goodPassword, newPassword).problem(http.StatusConflict, "password_not_set").
			remedies("set_password", "check_spam")
		h.post(t, ada.portal.front+"/login", ada.credentials()).problem(http.StatusForbidden, "password_not_set")
	})
}
