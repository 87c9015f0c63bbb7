package admin_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// newestEvent is a column of the newest event of a type in a portal's trail; uuid.Nil is the installation's.
func newestEvent(t testing.TB, h *apitest.Harness, portalID, what, column string) string {
	t.Helper()
	return h.QueryValue(t, "SELECT "+column+" FROM audit_events WHERE portal_id = ? AND type = ? ORDER BY id DESC LIMIT 1", portalID, what)
}

// Every event about a portal, a key or an invitation names it. That of a portal outlives the portal.
func TestAuditEventsNameTheirTarget(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		requireTarget := func(portalID, what, kind, id, name string) {
			t.Helper()
			got := newestEvent(t, h, portalID, what, "target_kind || '|' || target_id || '|' || target_name")
			require.Equal(t, kind+"|"+id+"|"+name, got, what)
		}
		installation := uuid.Nil.String()
		p := h.Portal(t)
		requireTarget(installation, "portal.created", "portal", p.ID, "acme")
		h.Patch(t, p.Admin, apitest.Object{"name": "Other"}, apitest.AsOperator).Status(http.StatusOK)
		requireTarget(installation, "portal.changed", "portal", p.ID, "acme")

		key := h.APIKey(t, apitest.Object{"name": "Nightly"})
		requireTarget(p.ID, "api_key.created", "api_key", key.ID, "Nightly")
		h.Delete(t, apitest.APIKeysPath+"/"+key.ID, apitest.AsOperator).Status(http.StatusNoContent)
		requireTarget(p.ID, "api_key.revoked", "api_key", key.ID, "Nightly")

		kid := h.Post(t, signingKeys, apitest.Object{}, apitest.AsOperator).Status(http.StatusCreated).Text("id")
		requireTarget(installation, "signing_key.rotated", "signing_key", kid, kid)

		ada, bob := h.Invite(t, p, nil), h.Invite(t, p, apitest.Object{"email": "bob@example.com"})
		requireTarget(p.ID, "invitation.created", "invitation", bob.ID, "")
		h.PostInvitation(t, p, nil).Problem(http.StatusConflict, "invitation_pending")
		requireTarget(p.ID, "invitation.created", "", "", "") // none was made
		h.Clock.Advance(time.Minute)
		h.PostRenewal(t, ada).Status(http.StatusAccepted)
		requireTarget(p.ID, "invitation.resent", "invitation", ada.ID, "")
		h.AcceptInvitation(t, ada).Problem(http.StatusGone, "token_superseded")
		requireTarget(p.ID, "invitation", "invitation", ada.ID, "")
		ada.Code = h.ExportedCode(t, p, ada.Email)
		requireTarget(p.ID, "invitations.exported", "portal", p.ID, "acme")
		h.Delete(t, bob.Admin, apitest.AsOperator).Status(http.StatusNoContent)
		requireTarget(p.ID, "invitation.deleted", "invitation", bob.ID, "")
		h.AcceptInvitation(t, ada).Status(http.StatusCreated)
		requireTarget(p.ID, "invitation", "invitation", ada.ID, "")

		h.Delete(t, p.Admin, apitest.AsOperator).Status(http.StatusNoContent)
		requireTarget(installation, "portal.deleted", "portal", p.ID, "acme")
		require.Equal(t, "0", h.QueryValue(t, "SELECT COUNT(*) FROM audit_events WHERE portal_id = ?", p.ID))
	})
}

// An event says which members were changed, by the names of the request, and only those that got another value.
func TestAuditEventsSayWhatChanged(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{"lockout": apitest.Object{"threshold": 7}})
		ada := h.Account(t, p)
		requireChanged := func(portalID, what string, members ...string) {
			t.Helper()
			require.Equal(t, strings.Join(members, ","), newestEvent(t, h, portalID, what, "changed"))
		}
		members := apitest.Object{
			"phone": "+4915112345678", "roles": []string{"b", "a"}, "entitlements": []string{"crm"}, "locale": "fr",
			"given_name": "Ada", "family_name": "Lovelace", "disabled": true, "opted_out": true, "confirmed": false,
			"metadata": apitest.Object{"b": 12345678901234567, "a": []any{1.5, nil, "x"}},
		}
		for name, value := range members {
			for _, want := range []string{name, ""} { // the second time it is the same value
				h.Patch(t, ada.Admin, apitest.Object{name: value}, apitest.AsOperator).Status(http.StatusOK)
				requireChanged(p.ID, "account.changed", strings.Fields(want)...)
			}
		}
		for _, number := range []string{"12345678901234568", "12345678901234569"} { // one float64
			h.Patch(t, ada.Admin, `{"metadata": {"id": `+number+`}}`, apitest.AsOperator).Status(http.StatusOK)
			requireChanged(p.ID, "account.changed", "metadata")
		}
		members["password"], members["email"] = "another good passphrase", "Ada.L@example.com"
		members["roles"], members["entitlements"], members["locale"] = []string{"a"}, []string{}, "de"
		members["phone"], members["given_name"], members["family_name"] = nil, nil, "L"
		members["disabled"], members["opted_out"], members["confirmed"] = false, false, true
		h.Patch(t, ada.Admin, members, apitest.AsOperator).Status(http.StatusOK)
		requireChanged(p.ID, "account.changed", slices.Sorted(maps.Keys(members))...)
		h.Patch(t, ada.Admin, apitest.Object{"email": "ada.l@example.org"}, apitest.AsOperator).Status(http.StatusOK)
		requireChanged(p.ID, "account.changed", "confirmed", "email") // another address is not confirmed yet
		h.Patch(t, ada.Admin, apitest.Object{"confirmed": true}, apitest.AsOperator).Status(http.StatusOK)

		ada.Email, ada.Password = "ada.l@example.org", "another good passphrase"
		in := h.LogIn(t, ada)
		h.Patch(t, p.Front+"/me", apitest.Object{"given_name": "A.", "family_name": "L", "locale": "nl", "opted_out": true}, apitest.Bearer(in.Access)).
			Status(http.StatusOK)
		requireChanged(p.ID, "profile.changed", "given_name", "locale", "opted_out")

		h.Patch(t, p.Admin, apitest.Object{"lockout": apitest.Object{"threshold": 8}, "name": "Acme", "domains": []string{"a.example"}}, apitest.AsOperator).
			Status(http.StatusOK)
		requireChanged(uuid.Nil.String(), "portal.changed", "domains", "lockout")
		h.Patch(t, p.Admin, apitest.Object{"lockout": apitest.Object{"threshold": 8}}, apitest.AsOperator).Status(http.StatusOK)
		requireChanged(uuid.Nil.String(), "portal.changed")
	})
}
