package sweeps_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// Until 30 days after its end an invitation is known for what it is; after that every genuine code has expired.
func TestSweepInvitations(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		all := map[string]apitest.Invitation{}
		for _, name := range []string{"used", "expired", "deleted", "renewed"} {
			all[name] = h.Invite(t, p, apitest.Object{"email": name + "@example.com"})
		}
		h.AcceptInvitation(t, all["used"]).Status(http.StatusCreated)
		h.Delete(t, all["deleted"].Admin, apitest.AsOperator).Status(http.StatusNoContent)
		h.PostRenewal(t, all["renewed"]).Status(http.StatusAccepted)
		living := h.Invite(t, p, apitest.Object{"email": "living@example.com", "expires_in": 30 * 86400})

		h.Clock.Advance(30 * apitest.Day)
		h.RequireCodeRefused(t, living, http.StatusGone, "token_expired")
		h.PostRenewal(t, living).Status(http.StatusAccepted)
		living.Code = h.ExportedCode(t, p, living.Email)
		h.Clock.Advance(7 * apitest.Day)
		h.Sweep(t, "invitations")
		for name, code := range map[string]string{
			"used": "token_used", "expired": "token_expired", "deleted": "token_expired", "renewed": "token_superseded",
		} {
			h.RequireCodeRefused(t, all[name], http.StatusGone, code)
		}
		h.Clock.Advance(time.Millisecond)
		h.Sweep(t, "invitations")
		for _, i := range all {
			h.RequireCodeRefused(t, i, http.StatusGone, "token_expired").Remedies("contact_administrator")
			h.Get(t, i.Admin, apitest.AsOperator).Problem(http.StatusNotFound, "not_found")
		}
		require.Equal(t, "1", h.CountRows(t, "invitations"))
		h.AcceptInvitation(t, living).Status(http.StatusCreated)
		// Numbers are not given twice: a swept code stays what it is.
		h.AcceptInvitation(t, h.Invite(t, p, apitest.Object{"email": "expired@example.com"})).Status(http.StatusCreated)
		h.RequireCodeRefused(t, all["expired"], http.StatusGone, "token_expired")
	})
}

// An unconfirmed registration is deleted 30 days after its last mail; other accounts stay.
func TestSweepUnconfirmedRegistrations(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		h.Account(t, p, apitest.Object{"email": "unconfirmed@example.com", "confirmed": false})
		h.Account(t, p)
		h.Post(t, p.Front+"/registrations", apitest.Object{"email": apitest.Newcomer, "password": apitest.GoodPassword}).Status(http.StatusCreated)
		look := func() *apitest.Answer {
			t.Helper()
			return h.Post(t, p.Front+"/lookup", apitest.Object{"email": apitest.Newcomer})
		}
		sweeps := func() { t.Helper(); h.Sweep(t, "unverified accounts"); h.Sweep(t, "deliveries") }
		h.Clock.Advance(29 * apitest.Day)
		sweeps()
		look().Status(http.StatusOK)
		h.Post(t, p.Front+"/confirmations", apitest.Object{"email": apitest.Newcomer}).Status(http.StatusAccepted)
		h.Clock.Advance(29 * apitest.Day)
		sweeps()
		look().Status(http.StatusOK)
		h.Clock.Advance(apitest.Day + time.Second)
		sweeps()
		look().Problem(http.StatusNotFound, "email_not_found")
		require.Equal(t, "2", h.CountRows(t, "accounts"))
		require.Equal(t, "0", h.CountRows(t, "deliveries"))
	})
}

// Ended sessions go, but an account keeps its newest, by which it knows when its person was last here.
func TestSweepSessions(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		ada := h.Account(t, h.Portal(t, apitest.Object{"refresh_token_ttl": 60 * 86400, "session_max_age": 60 * 86400}))
		for range 3 {
			in := h.LogIn(t, ada)
			h.Clock.Advance(time.Second)
			h.Post(t, ada.Portal.Front+"/logout", apitest.Object{"refresh_token": in.Refresh}).Status(http.StatusNoContent)
		}
		last := h.Get(t, ada.Admin, apitest.AsOperator).Text("last_login_at")
		h.Clock.Advance(29 * apitest.Day)
		h.Sweep(t, "sessions")
		require.Equal(t, "3", h.CountRows(t, "sessions"))
		h.Clock.Advance(2 * apitest.Day)
		h.Sweep(t, "sessions")
		require.Equal(t, "1", h.CountRows(t, "sessions"))
		h.Get(t, ada.Admin, apitest.AsOperator).Is("last_login_at", last)
		living := h.LogIn(t, ada)
		h.Sweep(t, "sessions")
		h.Clock.Advance(29 * apitest.Day)
		h.MustRefresh(t, ada.Portal, living.Refresh)
		h.Clock.Advance(29 * apitest.Day)
		h.Sweep(t, "sessions")
		require.Equal(t, "1", h.CountRows(t, "sessions"))
	})
}

// Events stay for as long as their portal says; the installation's for a year.
func TestSweepAuditTrail(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		brief := h.Portal(t, apitest.Object{"slug": "brief", "audit_retention": 86400 * 30})
		year := h.Portal(t, apitest.Object{"slug": "year"})
		h.Patch(t, brief.Admin, apitest.Object{"enabled": false}, apitest.AsOperator).Status(http.StatusOK)
		for _, p := range []apitest.Portal{brief, year} {
			h.Account(t, p)
		}
		events := func(p apitest.Portal) string {
			t.Helper()
			return h.QueryValue(t, "SELECT COUNT(*) FROM audit_events WHERE portal_id = ? AND type = 'account.created'", p.ID)
		}
		all := h.CountRows(t, "audit_events")
		h.Sweep(t, "audit")
		require.Equal(t, all, h.CountRows(t, "audit_events"))
		h.Clock.Advance(31 * apitest.Day)
		h.Account(t, brief, apitest.Object{"email": "later@example.com"})
		h.Sweep(t, "audit")
		require.Equal(t, "1", events(brief), "the later one")
		require.Equal(t, "1", events(year))
		h.Clock.Advance(335 * apitest.Day)
		h.Sweep(t, "audit")
		require.Equal(t, "0", h.CountRows(t, "audit_events"))
	})
}

// Counts of failures go when they are of no use, but a password that is off stays off.
func TestSweepLockouts(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{"lockout": apitest.Object{"threshold": 100}})
		h.LogInWrong(t, p, "nobody@example.com")
		for range 100 {
			h.LogInWrong(t, p, "off@example.com")
		}
		h.Clock.Advance(29 * apitest.Day)
		h.Sweep(t, "lockouts")
		require.Equal(t, "2", h.CountRows(t, "lockouts"))
		h.Clock.Advance(2 * apitest.Day)
		h.Sweep(t, "lockouts")
		require.Equal(t, "1", h.CountRows(t, "lockouts"))
		h.LogInWrong(t, p, "off@example.com").Problem(http.StatusForbidden, "password_reset_required")
	})
}

// Until 30 days after its end a secret is known for what it is; after that every genuine one has expired.
func TestSweepSecrets(t *testing.T) {
	t.Parallel()
	apitest.EachSecretKind(t, func(t *testing.T, o *apitest.MailHarness, k apitest.SecretKind, ada apitest.Person) {
		p := ada.Portal
		used := o.RequestSecret(t, p, k.Path, ada.Email)
		o.Clock.Advance(apitest.ResendInterval)
		newest := o.RequestSecret(t, p, k.Path, ada.Email)
		o.Clock.Advance(k.TTL + 29*apitest.Day)
		o.Sweep(t, "secrets")
		o.RequireRefused(t, p, k, used.ByLink(), apitest.Refusal(http.StatusGone, "token_superseded"))
		o.RequireRefused(t, p, k, newest.ByLink(), apitest.Refusal(http.StatusGone, "token_expired"))
		o.Clock.Advance(apitest.Day + time.Second)
		o.Sweep(t, "secrets")
		require.Equal(t, "0", o.CountRows(t, "onetime_secrets"))
		for _, mail := range []apitest.Mail{used, newest} {
			o.RequireRefused(t, p, k, mail.ByLink(), apitest.Refusal(http.StatusGone, "token_expired"))
			o.Post(t, p.Front+"/"+k.Path, apitest.Object{"token": mail.Token}).Problem(http.StatusGone, "token_expired").
				Remedies(k.Remedy)
		}
		o.Redeem(t, p, k.Path, o.RequestSecret(t, p, k.Path, ada.Email).ByLink()).Status(http.StatusOK)
	})
}

// A sweep goes on until nothing is left, batch after batch.
func TestSweepManyBatches(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		h.Post(t, p.Front+"/registrations", apitest.Object{"email": apitest.Newcomer, "password": apitest.GoodPassword}).Status(http.StatusCreated)
		count := "SELECT n FROM (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 1200) SELECT n FROM c) numbers"
		h.Exec(t, "INSERT INTO recipients (suppressed, digest, messages, updated_at) SELECT FALSE, CAST(n AS "+
			map[database.Dialect]string{database.Postgres: "TEXT)::BYTEA", database.SQLite: "BLOB)"}[db.Dialect()]+", '', n FROM ("+count+") many")
		h.Sweep(t, "deliveries")
		require.Equal(t, "1", h.CountRows(t, "recipients"), "the newcomer's is new")
		require.Equal(t, "1", h.CountRows(t, "deliveries"))
	})
}
