package lockout_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// lockStatus is what lockout-status says of an address.
func lockStatus(t testing.TB, h *apitest.Harness, at apitest.Portal, email string) apitest.Object {
	t.Helper()
	var status apitest.Object
	h.Post(t, at.Front+"/lockout-status", apitest.Object{"email": email}).Status(http.StatusOK).Decode(&status)
	return status
}

func TestLockoutStatus(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{"lockout": apitest.Object{"threshold": 3, "duration": 60, "max_duration": 600}})
		ada := h.Account(t, p)
		for _, email := range []string{ada.Email, "nobody@example.com"} {
			status := func(locked bool, until any, wait, failed, left int) {
				t.Helper()
				require.JSONEq(t, string(apitest.Encode(t, apitest.Object{
					"locked": locked, "locked_until": until, "retry_after_seconds": wait, "failed_attempts": failed,
					"attempts_remaining": left, "threshold": 3,
				})), string(apitest.Encode(t, lockStatus(t, h, p, email))), email)
			}
			status(false, nil, 0, 0, 3)
			for failed := range 3 {
				h.LogInWrong(t, p, email).Problem(http.StatusUnauthorized, "incorrect_credentials").Is("attempts_remaining", 2-failed)
				if failed < 2 {
					status(false, nil, 0, failed+1, 2-failed)
				}
			}
			until := h.TimeAfter(time.Minute)
			status(true, until, 60, 3, 0)
			h.Clock.Advance(20500 * time.Millisecond)
			h.LogInWrong(t, p, email).Problem(http.StatusLocked, "account_locked").Is("locked_until", until).
				HasHeader("Retry-After", "40").Remedies("wait", "reset_password", "contact_support")
			status(true, until, 40, 3, 0)
			h.Clock.Advance(39500 * time.Millisecond)
			status(false, nil, 0, 0, 3)
		}
	})
}

// A private portal does not show the counts of an address.
func TestLockoutStatusAtPrivatePortal(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{"enumeration": "private"})
		require.Equal(t, apitest.Object{
			"locked": false, "locked_until": nil, "retry_after_seconds": 0.0, "failed_attempts": nil, "attempts_remaining": nil, "threshold": 5.0,
		}, lockStatus(t, h, p, "nobody@example.com"))
	})
}

func TestAdminUnlocks(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p, other := h.Portal(t), h.Portal(t, apitest.Object{"slug": "other"})
		ada := h.Account(t, p)
		h.Account(t, p, apitest.Object{"email": "bob@example.com"})
		h.Account(t, other)
		for _, at := range []apitest.Portal{p, other} {
			for range 5 {
				h.LogInWrong(t, at, ada.Email).Problem(http.StatusUnauthorized, "incorrect_credentials")
			}
		}
		until := h.TimeAfter(15 * time.Minute)
		h.Get(t, ada.Admin, apitest.AsOperator).Status(http.StatusOK).Is("locked_until", until)
		require.Equal(t, []any{nil, until}, h.Get(t, p.Admin+"/accounts", apitest.AsOperator).Status(http.StatusOK).List("items", "locked_until"))
		h.Patch(t, ada.Admin, apitest.Object{"given_name": "Ada"}, apitest.AsOperator).Status(http.StatusOK).Is("locked_until", until)

		for _, missing := range []string{
			other.Admin + "/accounts/" + ada.ID, p.Admin + "/accounts/" + uuid.Must(uuid.NewV7()).String(), p.Admin + "/accounts/x",
		} {
			h.Post(t, missing+"/unlock", nil, apitest.AsOperator).Problem(http.StatusNotFound, "not_found")
		}
		h.Post(t, p.Front+"/login", ada.Credentials()).Problem(http.StatusLocked, "account_locked")
		h.Post(t, ada.Admin+"/unlock", nil, apitest.AsOperator).Status(http.StatusOK).Is("id", ada.ID).Is("locked_until", nil)
		h.LogIn(t, ada)
		h.Post(t, ada.Admin+"/unlock", apitest.Object{}, apitest.AsOperator).Status(http.StatusOK).Is("locked_until", nil)
		h.Post(t, other.Front+"/login", ada.Credentials()).Problem(http.StatusLocked, "account_locked")
		require.Equal(t, "2", h.QueryValue(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'account.unlocked'"))
	})
}
