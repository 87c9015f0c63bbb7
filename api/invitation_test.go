package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// From the administrator's form to the first page behind the login, through a mail that a real relay took.
func TestAcceptingAnInvitation(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t, object{"support": object{"email": "help@acme.example"}})
		grace := o.logIn(t, o.account(t, p, object{
			"email": newcomer, "roles": []string{"admin"}, "given_name": "Grace", "family_name": "Hopper",
		}))
		i, mail := o.invite(t, p, object{
			"roles": []string{"editor", "author"}, "entitlements": []string{"reports"}, "metadata": object{"customer": "1815"},
			"locale": "da",
		}, bearer(grace.access))
		require.Equal(t, []string{invitee}, mail.To)
		require.Contains(t, mail.HTML, `lang="da"`)
		require.Contains(t, mail.Text, "Grace Hopper")
		require.Contains(t, mail.Text, invitePage+i.code+"\n")
		require.Contains(t, mail.Text, "\n    "+i.code+"\n")
		require.Contains(t, mail.HTML, `href="`+invitePage+i.code+`"`)
		require.NotContains(t, mail.Text, "192.0.2.77", "where the administrator sits is nobody's business")
		o.quiet(t)

		before, record := o.counts(t), string(o.get(t, i.admin, asOperator).body)
		for range 3 {
			o.verifies(t, p, i.code).status(http.StatusOK).is("email", "a•••@example.com").is("invited_by", "Grace Hopper").
				is("roles", []string{"editor", "author"}).is("expires_at", o.stamp(7*day)).sets("Cache-Control", "no-store")
		}
		require.Equal(t, before, o.counts(t), "verify consumes nothing")
		require.Equal(t, record, string(o.get(t, i.admin, asOperator).body))
		o.post(t, p.front+"/lookup", object{"email": invitee}).status(http.StatusOK).is("next", "redeem_invitation").lacks("delivery")

		o.clock.advance(time.Hour)
		in := o.accepts(t, i, object{"given_name": "Ada", "family_name": "Lovelace", "device_name": "her laptop"}).
			status(http.StatusCreated).is("account.email", invitee).is("account.roles", []string{"editor", "author"}).
			is("account.entitlements", []string{"reports"}).is("account.metadata", object{"customer": "1815"}).
			is("account.given_name", "Ada").is("account.family_name", "Lovelace").is("account.locale", "da").
			is("account.confirmed", true).is("account.has_password", true).sets("Cache-Control", "no-store")
		got := tokensOf(in)
		o.get(t, p.front+"/me", bearer(got.access)).status(http.StatusOK).is("id", in.text("account.id"))
		_, claims := takenApart(t, got.access)
		require.Equal(t, []any{"editor", "author"}, claims["roles"])
		o.get(t, p.front+"/me/sessions", bearer(got.access)).status(http.StatusOK).is("items.0.device_name", "her laptop").
			is("items.0.current", true).lacks("items.1")
		o.alive(t, p, o.refreshed(t, p, got.refresh).access, true)
		o.logIn(t, person{portal: p, email: invitee, password: goodPassword})
		o.stands(t, i, "accepted").is("accepted_at", o.stamp(0)).is("invited_by", newcomer)
		o.post(t, p.front+"/lookup", object{"email": invitee}).status(http.StatusOK).is("next", "password")

		o.refuses(t, i, http.StatusGone, "token_used").remedies("log_in", "reset_password").
			is("remedies.0.href", p.front+"/login").is("remedies.1.href", p.front+"/password-resets").
			is("remedies.1.body.email", invitee)
		require.Equal(t, "1", o.sql(t, "SELECT COUNT(*) FROM accounts WHERE email = ?", invitee))
		require.Equal(t, "1", o.sql(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'invitation' AND outcome = 'success' AND account_id = ?",
			in.text("account.id")))
		require.Equal(t, 1, o.quiet(t), "accepting mails nothing")
	})
}

// What a person brings beside the invitation, and what it says itself.
func TestWhoAPersonIsByInvitation(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, object{"default_locale": "nl"})
		for name, tt := range map[string]struct {
			invitation, given object
			want              object // of the account
		}{
			"bare":       {object{}, object{}, object{"locale": "nl", "given_name": nil, "roles": []string{}, "metadata": object{}}},
			"recorded":   {object{"locale": "fr"}, object{}, object{"locale": "fr"}},
			"chosen":     {object{"locale": "fr"}, object{"locale": "de"}, object{"locale": "de"}},
			"named":      {object{}, object{"given_name": " Ada "}, object{"given_name": "Ada", "family_name": nil}},
			"entitled":   {object{"entitlements": []string{"a", "b"}}, object{}, object{"entitlements": []string{"a", "b"}, "roles": []string{}}},
			"tokens":     {object{"roles": []string{"editor"}}, object{"transport": "token"}, object{"roles": []string{"editor"}}},
			"deep":       {object{"metadata": object{"a": object{"b": []any{1, nil}}}}, object{}, object{"metadata": object{"a": object{"b": []any{1, nil}}}}},
			"administer": {object{"roles": []string{"admin"}}, object{}, object{"roles": []string{"admin"}}},
		} {
			tt.invitation["email"] = name + "@example.com"
			i := h.invite(t, p, tt.invitation)
			a := h.accepts(t, i, tt.given).status(http.StatusCreated).is("account.confirmed", true)
			for member, value := range tt.want {
				a.is("account."+member, value)
				h.get(t, p.front+"/me", bearer(a.text("access_token"))).status(http.StatusOK).is(member, value)
			}
			if name == "administer" {
				h.get(t, p.admin+"/accounts", bearer(a.text("access_token"))).status(http.StatusOK)
			}
		}
	})
}

// Roles come from the record alone: a request that names what is not a person's to say is refused, and nothing happens.
func TestNobodyInvitesHimselfHigher(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		i := h.invite(t, p, object{"roles": []string{"reader"}})
		before := h.counts(t)
		for _, member := range []string{
			"roles", "entitlements", "metadata", "confirmed", "phone", "opted_out", "disabled", "role", "Roles", "id", "account",
		} {
			h.accepts(t, i, object{member: []string{"admin"}}).problem(http.StatusUnprocessableEntity, "validation_failed").
				field("/"+member, "unknown_member")
			h.post(t, p.front+"/invitations/verify", object{"code": i.code, member: "admin"}).
				problem(http.StatusUnprocessableEntity, "validation_failed").field("/"+member, "unknown_member")
		}
		require.Equal(t, before, h.counts(t))
		h.accepts(t, i).status(http.StatusCreated).is("account.roles", []string{"reader"})
	})
}

// Only who was invited may accept, however he spells his address; anybody else leaves the code as it was.
func TestAnInvitationIsForOneAddress(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		h.account(t, p, object{"email": newcomer})
		for _, spelling := range spellings {
			i := h.invite(t, p, object{"email": spellings[0]})
			accounts := h.rows(t, "accounts")
			for _, other := range []string{"eve@example.com", newcomer, "ada.lovelace@example.com", "adalovelace@bücher.example", "аda.lovelace@bücher.example"} {
				h.accepts(t, i, object{"email": other}).problem(http.StatusForbidden, "invitation_email_mismatch").
					remedies("correct_email", "contact_administrator")
			}
			require.Equal(t, accounts, h.rows(t, "accounts"))
			h.verifies(t, p, i.code).status(http.StatusOK)
			in := h.accepts(t, i, object{"email": spelling}).status(http.StatusCreated).is("account.email", spellings[0])
			h.stands(t, i, "accepted")
			h.delete(t, p.admin+"/accounts/"+in.text("account.id"), asOperator).status(http.StatusNoContent)
		}
		// Whose code is bad is not told whose it was.
		i := h.invite(t, p, object{})
		h.delete(t, i.admin, asOperator).status(http.StatusNoContent)
		h.accepts(t, i, object{"email": "eve@example.com"}).problem(http.StatusGone, "token_expired")
	})
}

// A password that is rejected leaves the code good, and is told after what is wrong with the code.
func TestAPasswordThatIsRejectedWithAnInvitation(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		i := h.invite(t, p, object{})
		for secret, reason := range map[string]string{
			"short": "too_short", "passwordpassword": "common", invitee: "contains_email", "Acme Acme Acme": "contains_portal_name",
		} {
			a := h.accepts(t, i, object{"password": secret}).problem(http.StatusUnprocessableEntity, "password_rejected").remedies("retry")
			require.Contains(t, a.list("reasons", "code"), any(reason))
			h.verifies(t, p, i.code).status(http.StatusOK)
		}
		for pointer, tt := range map[string]struct {
			body object
			code string
		}{
			"/password":   {object{"password": ""}, "required"},
			"/email":      {object{"email": "ada"}, "invalid_email"},
			"/code":       {object{"code": " "}, "required"},
			"/locale":     {object{"locale": "sv"}, "not_allowed"},
			"/transport":  {object{"transport": "pigeon"}, "not_allowed"},
			"/given_name": {object{"given_name": strings.Repeat("x", 101)}, "too_long"},
		} {
			h.accepts(t, i, tt.body).problem(http.StatusUnprocessableEntity, "validation_failed").field(pointer, tt.code)
		}
		h.accepts(t, i, object{"password": "short", "email": "eve@example.com"}).problem(http.StatusForbidden, "invitation_email_mismatch")
		require.Equal(t, "0", h.rows(t, "accounts"))
		h.accepts(t, i).status(http.StatusCreated)
		h.accepts(t, i, object{"password": "short"}).problem(http.StatusGone, "token_used")
	})
}

// With the transport cookie the session's token is in a cookie alone, and only a page of the portal's may ask.
func TestAcceptingFromABrowser(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t, withOrigin())
		i := h.invite(t, p, object{})
		body := i.acceptance(object{"transport": "cookie"})
		before := h.counts(t)
		for _, elsewhere := range [][]option{{}, {origin("https://evil.example")}, {origin("null")}} {
			h.post(t, p.front+"/invitations/redeem", body, elsewhere...).problem(http.StatusForbidden, "origin_not_allowed").
				remedies("contact_administrator").sets("Set-Cookie", "")
		}
		require.Equal(t, before, h.counts(t))
		in := h.post(t, p.front+"/invitations/redeem", body, origin(page)).status(http.StatusCreated).lacks("refresh_token").
			sets("Access-Control-Allow-Origin", page)
		got := in.setCookie()
		require.Equal(t, refreshCookie, got.Name)
		require.NotContains(t, string(in.body), got.Value)
		h.alive(t, p, in.text("access_token"), true)
		h.post(t, p.front+"/sessions/refresh", nil, cookie(got.Value), origin(page)).status(http.StatusOK)
	})
}

// A portal that is closed to registrations is open to who was invited; one that is disabled is there for nobody.
func TestWhichPortalsTakeInvitations(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		for _, how := range []string{"closed", "invite_only", "open"} {
			p := h.portal(t, object{"slug": strings.ReplaceAll(how, "_", "-"), "registration": how})
			h.accepts(t, h.invite(t, p, object{})).status(http.StatusCreated)
		}
		p := h.portal(t)
		i := h.invite(t, p, object{})
		h.patch(t, p.admin, object{"enabled": false}, asOperator).status(http.StatusOK)
		h.refuses(t, i, http.StatusNotFound, "organization_not_found")
		h.resends(t, p, invitee).problem(http.StatusNotFound, "organization_not_found")
		h.stands(t, i, "pending")
		h.patch(t, p.admin, object{"enabled": true}, asOperator).status(http.StatusOK)
		h.accepts(t, i).status(http.StatusCreated)
	})
}
