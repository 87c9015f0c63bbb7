package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// lockStatus is what lockout-status says of an address.
func (h *harness) lockStatus(t testing.TB, at portal, email string) object {
	t.Helper()
	var status object
	h.post(t, at.front+"/lockout-status", object{"email": email}).status(http.StatusOK).into(&status)
	return status
}

// wrongly tries to log in with a wrong password.
func (h *harness) wrongly(t testing.TB, at portal, email string) *answer {
	t.Helper()
	return h.post(t, at.front+"/login", object{"email": email, "password": "not the right one"})
}

func TestLockoutStatus(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, object{"lockout": object{"threshold": 3, "duration": 60, "max_duration": 600}})
		ada := h.account(t, p)
		for _, email := range []string{ada.email, "nobody@example.com"} {
			status := func(locked bool, until any, wait, failed, left int) {
				t.Helper()
				require.JSONEq(t, string(encoded(t, object{
					"locked": locked, "locked_until": until, "retry_after_seconds": wait, "failed_attempts": failed,
					"attempts_remaining": left, "threshold": 3,
				})), string(encoded(t, h.lockStatus(t, p, email))), email)
			}
			status(false, nil, 0, 0, 3)
			for failed := range 3 {
				h.wrongly(t, p, email).problem(http.StatusUnauthorized, "incorrect_credentials").is("attempts_remaining", 2-failed)
				if failed < 2 {
					status(false, nil, 0, failed+1, 2-failed)
				}
			}
			until := h.stamp(time.Minute)
			status(true, until, 60, 3, 0)
			h.clock.advance(20500 * time.Millisecond)
			h.wrongly(t, p, email).problem(http.StatusLocked, "account_locked").is("locked_until", until).
				sets("Retry-After", "40").remedies("wait", "reset_password", "contact_support")
			status(true, until, 40, 3, 0)
			h.clock.advance(39500 * time.Millisecond)
			status(false, nil, 0, 0, 3)
		}
	})
}

// At a private portal the counts of an address are nobody's business.
func TestLockoutStatusInPrivate(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, object{"enumeration": "private"})
		require.Equal(t, object{
			"locked": false, "locked_until": nil, "retry_after_seconds": 0.0, "failed_attempts": nil, "attempts_remaining": nil, "threshold": 5.0,
		}, h.lockStatus(t, p, "nobody@example.com"))
	})
}

func TestAnAdministratorUnlocks(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p, other := h.portal(t), h.portal(t, object{"slug": "other"})
		ada := h.account(t, p)
		h.account(t, p, object{"email": "bob@example.com"})
		h.account(t, other)
		for _, at := range []portal{p, other} {
			for range 5 {
				h.wrongly(t, at, ada.email).problem(http.StatusUnauthorized, "incorrect_credentials")
			}
		}
		until := h.stamp(15 * time.Minute)
		h.get(t, ada.admin, asOperator).status(http.StatusOK).is("locked_until", until)
		require.Equal(t, []any{nil, until}, h.get(t, p.admin+"/accounts", asOperator).status(http.StatusOK).list("items", "locked_until"))
		h.patch(t, ada.admin, object{"given_name": "Ada"}, asOperator).status(http.StatusOK).is("locked_until", until)

		for _, missing := range []string{
			other.admin + "/accounts/" + ada.id, p.admin + "/accounts/" + uuid.Must(uuid.NewV7()).String(), p.admin + "/accounts/x",
		} {
			h.post(t, missing+"/unlock", nil, asOperator).problem(http.StatusNotFound, "not_found")
		}
		h.post(t, p.front+"/login", ada.credentials()).problem(http.StatusLocked, "account_locked")
		h.post(t, ada.admin+"/unlock", nil, asOperator).status(http.StatusOK).is("id", ada.id).is("locked_until", nil)
		h.logIn(t, ada)
		h.post(t, ada.admin+"/unlock", object{}, asOperator).status(http.StatusOK).is("locked_until", nil)
		h.post(t, other.front+"/login", ada.credentials()).problem(http.StatusLocked, "account_locked")
		require.Equal(t, "2", h.sql(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'account.unlocked'"))
	})
}
