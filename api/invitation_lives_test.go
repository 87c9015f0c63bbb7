package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// An invitation ends on time; an administrator gives it another code and another term, and the newest alone counts.
func TestAnInvitationExpires(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t)
		first, _ := o.invite(t, p, object{"expires_in": 3600})
		o.clock.advance(time.Hour - time.Millisecond)
		o.verifies(t, p, first.code).status(http.StatusOK).is("expires_at", o.stamp(time.Millisecond))
		o.stands(t, first, "pending")
		o.clock.advance(time.Millisecond)
		o.refuses(t, first, http.StatusGone, "token_expired").remedies("contact_administrator")
		o.accepts(t, first, object{"email": "eve@example.com"}).problem(http.StatusGone, "token_expired")
		o.resends(t, p, invitee).problem(http.StatusGone, "token_expired").remedies("contact_administrator")
		o.post(t, p.front+"/lookup", object{"email": invitee}).problem(http.StatusNotFound, "email_not_found")
		o.stands(t, first, "expired")
		require.Equal(t, 1, o.quiet(t))

		o.clock.advance(day)
		a := o.renews(t, first).status(http.StatusAccepted).is("status", "pending").is("expires_at", o.stamp(time.Hour)).
			is("resend_after_seconds", 60).is("expires_in", 3600).is("sent_at", o.stamp(0)).is("id", first.id)
		second := first
		second.code = o.mail(t, a).code
		require.NotEqual(t, first.code, second.code)
		o.refuses(t, first, http.StatusGone, "token_superseded").remedies("check_spam", "resend_invitation").
			is("remedies.1.href", p.front+"/invitations/resend").is("remedies.1.body.email", invitee)
		o.verifies(t, p, second.code).status(http.StatusOK)
		o.clock.advance(nextAsk)
		third := o.renewed(t, first)
		for _, older := range []invited{first, second} {
			o.refuses(t, older, http.StatusGone, "token_superseded")
		}
		o.accepts(t, third).status(http.StatusCreated)
		o.refuses(t, third, http.StatusGone, "token_used")
		o.refuses(t, second, http.StatusGone, "token_superseded")
		o.renews(t, third).problem(http.StatusConflict, "email_already_registered")
		o.delete(t, third.admin, asOperator).problem(http.StatusConflict, "email_already_registered")
		o.verifies(t, p, third.code).problem(http.StatusGone, "token_used")
	})
}

// What is deleted is worth nothing; what took its place is what counts.
func TestADeletedInvitation(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p, other := h.portal(t), h.portal(t, object{"slug": "other"})
		first := h.invite(t, p, object{"roles": []string{"editor"}})
		h.delete(t, other.admin+"/invitations/"+first.id, asOperator).problem(http.StatusNotFound, "not_found")
		h.post(t, other.admin+"/invitations/"+first.id+"/resend", nil, asOperator).problem(http.StatusNotFound, "not_found")
		h.verifies(t, p, first.code).status(http.StatusOK)

		h.delete(t, first.admin, asOperator).status(http.StatusNoContent)
		h.refuses(t, first, http.StatusGone, "token_expired").remedies("contact_administrator")
		h.resends(t, p, invitee).problem(http.StatusNotFound, "email_not_found").remedies("correct_email", "contact_administrator")
		h.delete(t, first.admin, asOperator).problem(http.StatusNotFound, "not_found")
		h.renews(t, first).problem(http.StatusNotFound, "not_found")
		h.get(t, first.admin, asOperator).problem(http.StatusNotFound, "not_found")
		require.NotContains(t, h.dump(t), invitee)

		second := h.invite(t, p, object{"roles": []string{"reader"}})
		require.NotEqual(t, first.code, second.code)
		h.refuses(t, first, http.StatusGone, "token_superseded").remedies("check_spam", "resend_invitation")
		h.accepts(t, second).status(http.StatusCreated).is("account.roles", []string{"reader"})
		h.refuses(t, first, http.StatusGone, "token_superseded")

		// One that expired makes room for another, and can be deleted as well.
		older := h.invite(t, p, object{"email": "bob@example.com", "expires_in": 60})
		h.clock.advance(time.Minute)
		newer := h.invite(t, p, object{"email": "bob@example.com"})
		h.refuses(t, older, http.StatusGone, "token_superseded")
		h.renews(t, older).problem(http.StatusConflict, "invitation_pending").is("invitation_id", newer.id)
		h.stands(t, older, "expired")
		h.delete(t, older.admin, asOperator).status(http.StatusNoContent)
		h.refuses(t, older, http.StatusGone, "token_superseded")
		h.accepts(t, newer).status(http.StatusCreated)
	})
}

// An account that an administrator gives the address ends its invitation, and whoever holds the code is told of it.
func TestAnAccountEndsTheInvitation(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		for name, take := range map[string]func(email string) (account string){
			"created": func(email string) string {
				return h.account(t, p, object{"email": email, "password": nil, "confirmed": false}).admin
			},
			"corrected": func(email string) string {
				who := h.account(t, p, object{"email": "wrong@example.com"})
				h.patch(t, who.admin, object{"email": " " + email}, asOperator).status(http.StatusOK)
				return who.admin
			},
		} {
			i := h.invite(t, p, object{"email": name + "@example.com"})
			h.clock.advance(time.Hour)
			owner := take(i.email)
			h.refuses(t, i, http.StatusConflict, "email_already_registered").remedies("log_in", "reset_password").
				is("remedies.0.href", p.front+"/login").is("remedies.1.body.email", i.email)
			h.accepts(t, i, object{"email": "eve@example.com"}).problem(http.StatusForbidden, "invitation_email_mismatch")
			h.stands(t, i, "expired").is("expires_at", h.stamp(0)).is("accepted_at", nil)
			list := h.get(t, p.admin+"/invitations?status=expired&q="+i.email, asOperator).status(http.StatusOK)
			require.Equal(t, []any{i.id}, list.list("items", "id"))
			require.Empty(t, h.get(t, p.admin+"/invitations?status=pending", asOperator).status(http.StatusOK).list("items", "id"))
			h.resends(t, p, i.email).problem(http.StatusConflict, "email_already_registered").remedies("log_in", "reset_password")
			h.renews(t, i).problem(http.StatusConflict, "email_already_registered")
			h.invites(t, p, object{"email": i.email}).problem(http.StatusConflict, "email_already_registered")

			// Without the account the address is free, but its invitation is over until it is renewed.
			h.patch(t, owner, object{"email": "elsewhere." + i.email}, asOperator).status(http.StatusOK)
			h.refuses(t, i, http.StatusGone, "token_expired")
			h.renews(t, i).status(http.StatusAccepted)
			h.refuses(t, i, http.StatusGone, "token_superseded")
			i.code = h.exported(t, p, i.email)
			h.accepts(t, i).status(http.StatusCreated)
		}
	})
}

// Who invited and has gone is not named any more.
func TestTheInviterIsGone(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		grace := h.account(t, p, object{"email": newcomer, "roles": []string{"admin"}, "given_name": "Grace"})
		i := h.invite(t, p, object{}, bearer(h.logIn(t, grace).access))
		h.verifies(t, p, i.code).status(http.StatusOK).is("invited_by", "Grace")
		h.stands(t, i, "pending").is("invited_by", newcomer)
		h.delete(t, grace.admin, asOperator).status(http.StatusNoContent)
		h.verifies(t, p, i.code).status(http.StatusOK).is("invited_by", "Acme")
		h.stands(t, i, "pending").is("invited_by", nil)
		h.accepts(t, i).status(http.StatusCreated)
		h.verifies(t, p, h.invite(t, p, object{"email": "bob@example.com"}).code).status(http.StatusOK).is("invited_by", "Acme")
	})
}
