package api_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// newestEvent is a column of the newest event of a type in a portal's trail; uuid.Nil is the installation's.
func (h *harness) newestEvent(t testing.TB, portalID, what, column string) string {
	t.Helper()
	return h.sql(t, "SELECT "+column+" FROM audit_events WHERE portal_id = ? AND type = ? ORDER BY id DESC LIMIT 1", portalID, what)
}

// Every event about a portal, a key or an invitation names it. That of a portal outlives the portal.
func TestAuditEventsNameTheirTarget(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		requireTarget := func(portalID, what, kind, id, name string) {
			t.Helper()
			got := h.newestEvent(t, portalID, what, "target_kind || '|' || target_id || '|' || target_name")
			require.Equal(t, kind+"|"+id+"|"+name, got, what)
		}
		installation := uuid.Nil.String()
		p := h.portal(t)
		requireTarget(installation, "portal.created", "portal", p.id, "acme")
		h.patch(t, p.admin, object{"name": "Other"}, asOperator).status(http.StatusOK)
		requireTarget(installation, "portal.changed", "portal", p.id, "acme")

		key := h.apiKey(t, object{"name": "Nightly"})
		requireTarget(p.id, "api_key.created", "api_key", key.id, "Nightly")
		h.delete(t, apiKeys+"/"+key.id, asOperator).status(http.StatusNoContent)
		requireTarget(p.id, "api_key.revoked", "api_key", key.id, "Nightly")

		kid := h.post(t, signingKeys, object{}, asOperator).status(http.StatusCreated).text("id")
		requireTarget(installation, "signing_key.rotated", "signing_key", kid, kid)

		ada, bob := h.invite(t, p, nil), h.invite(t, p, object{"email": "bob@example.com"})
		requireTarget(p.id, "invitation.created", "invitation", bob.id, "")
		h.invites(t, p, nil).problem(http.StatusConflict, "invitation_pending")
		requireTarget(p.id, "invitation.created", "", "", "") // none was made
		h.clock.advance(time.Minute)
		h.renews(t, ada).status(http.StatusAccepted)
		requireTarget(p.id, "invitation.resent", "invitation", ada.id, "")
		h.accepts(t, ada).problem(http.StatusGone, "token_superseded")
		requireTarget(p.id, "invitation", "invitation", ada.id, "")
		ada.code = h.exported(t, p, ada.email)
		requireTarget(p.id, "invitations.exported", "portal", p.id, "acme")
		h.delete(t, bob.admin, asOperator).status(http.StatusNoContent)
		requireTarget(p.id, "invitation.deleted", "invitation", bob.id, "")
		h.accepts(t, ada).status(http.StatusCreated)
		requireTarget(p.id, "invitation", "invitation", ada.id, "")

		h.delete(t, p.admin, asOperator).status(http.StatusNoContent)
		requireTarget(installation, "portal.deleted", "portal", p.id, "acme")
		require.Equal(t, "0", h.sql(t, "SELECT COUNT(*) FROM audit_events WHERE portal_id = ?", p.id))
	})
}

// An event says which members were changed, by the names of the request, and only those that got another value.
func TestAuditEventsSayWhatChanged(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, object{"lockout": object{"threshold": 7}})
		ada := h.account(t, p)
		requireChanged := func(portalID, what string, members ...string) {
			t.Helper()
			require.Equal(t, strings.Join(members, ","), h.newestEvent(t, portalID, what, "changed"))
		}
		members := object{
			"phone": "+4915112345678", "roles": []string{"b", "a"}, "entitlements": []string{"crm"}, "locale": "fr",
			"given_name": "Ada", "family_name": "Lovelace", "disabled": true, "opted_out": true, "confirmed": false,
			"metadata": object{"b": 12345678901234567, "a": []any{1.5, nil, "x"}},
		}
		for name, value := range members {
			for _, want := range []string{name, ""} { // the second time it is the same value
				h.patch(t, ada.admin, object{name: value}, asOperator).status(http.StatusOK)
				requireChanged(p.id, "account.changed", strings.Fields(want)...)
			}
		}
		for _, number := range []string{"12345678901234568", "12345678901234569"} { // one float64
			h.patch(t, ada.admin, `{"metadata": {"id": `+number+`}}`, asOperator).status(http.StatusOK)
			requireChanged(p.id, "account.changed", "metadata")
		}
		members["password"], members["email"] = "another good passphrase", "Ada.L@example.com"
		members["roles"], members["entitlements"], members["locale"] = []string{"a"}, []string{}, "de"
		members["phone"], members["given_name"], members["family_name"] = nil, nil, "L"
		members["disabled"], members["opted_out"], members["confirmed"] = false, false, true
		h.patch(t, ada.admin, members, asOperator).status(http.StatusOK)
		requireChanged(p.id, "account.changed", slices.Sorted(maps.Keys(members))...)
		h.patch(t, ada.admin, object{"email": "ada.l@example.org"}, asOperator).status(http.StatusOK)
		requireChanged(p.id, "account.changed", "confirmed", "email") // another address is not confirmed yet
		h.patch(t, ada.admin, object{"confirmed": true}, asOperator).status(http.StatusOK)

		ada.email, ada.password = "ada.l@example.org", "another good passphrase"
		in := h.logIn(t, ada)
		h.patch(t, p.front+"/me", object{"given_name": "A.", "family_name": "L", "locale": "nl", "opted_out": true}, bearer(in.access)).
			status(http.StatusOK)
		requireChanged(p.id, "profile.changed", "given_name", "locale", "opted_out")

		h.patch(t, p.admin, object{"lockout": object{"threshold": 8}, "name": "Acme", "domains": []string{"a.example"}}, asOperator).
			status(http.StatusOK)
		requireChanged(uuid.Nil.String(), "portal.changed", "domains", "lockout")
		h.patch(t, p.admin, object{"lockout": object{"threshold": 8}}, asOperator).status(http.StatusOK)
		requireChanged(uuid.Nil.String(), "portal.changed")
	})
}
