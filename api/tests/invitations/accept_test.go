package invitations_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// From the administrator's form to the first page behind the login, through a mail that a real relay took.
func TestAcceptInvitation(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t, apitest.Object{"support": apitest.Object{"email": "help@acme.example"}})
		grace := o.LogIn(t, o.Account(t, p, apitest.Object{
			"email": apitest.Newcomer, "roles": []string{"admin"}, "given_name": "Grace", "family_name": "Hopper",
		}))
		i, mail := o.Invite(t, p, apitest.Object{
			"roles": []string{"editor", "author"}, "entitlements": []string{"reports"}, "metadata": apitest.Object{"customer": "1815"},
			"locale": "da",
		}, apitest.Bearer(grace.Access))
		require.Equal(t, []string{apitest.Invitee}, mail.To)
		require.Contains(t, mail.HTML, `lang="da"`)
		require.Contains(t, mail.Text, "Grace Hopper")
		require.Contains(t, mail.Text, apitest.InvitePage+i.Code+"\n")
		require.Contains(t, mail.Text, "\n    "+i.Code+"\n")
		require.Contains(t, mail.HTML, `href="`+apitest.InvitePage+i.Code+`"`)
		require.NotContains(t, mail.Text, "192.0.2.77", "where the administrator sits is nobody's business")
		o.AwaitAllSent(t)

		before, record := o.RowCounts(t), string(o.Get(t, i.Admin, apitest.AsOperator).Body)
		for range 3 {
			o.VerifyCode(t, p, i.Code).Status(http.StatusOK).Is("email", "a•••@example.com").Is("invited_by", "Grace Hopper").
				Is("roles", []string{"editor", "author"}).Is("expires_at", o.TimeAfter(7*apitest.Day)).HasHeader("Cache-Control", "no-store")
		}
		require.Equal(t, before, o.RowCounts(t), "verify consumes nothing")
		require.Equal(t, record, string(o.Get(t, i.Admin, apitest.AsOperator).Body))
		o.Post(t, p.Front+"/lookup", apitest.Object{"email": apitest.Invitee}).Status(http.StatusOK).Is("next", "redeem_invitation").Lacks("delivery")

		o.Clock.Advance(time.Hour)
		in := o.AcceptInvitation(t, i, apitest.Object{"given_name": "Ada", "family_name": "Lovelace", "device_name": "her laptop"}).
			Status(http.StatusCreated).Is("account.email", apitest.Invitee).Is("account.roles", []string{"editor", "author"}).
			Is("account.entitlements", []string{"reports"}).Is("account.metadata", apitest.Object{"customer": "1815"}).
			Is("account.given_name", "Ada").Is("account.family_name", "Lovelace").Is("account.locale", "da").
			Is("account.confirmed", true).Is("account.has_password", true).HasHeader("Cache-Control", "no-store")
		got := apitest.TokensOf(in)
		o.Get(t, p.Front+"/me", apitest.Bearer(got.Access)).Status(http.StatusOK).Is("id", in.Text("account.id"))
		_, claims := apitest.DecodeToken(t, got.Access)
		require.Equal(t, []any{"editor", "author"}, claims["roles"])
		o.Get(t, p.Front+"/me/sessions", apitest.Bearer(got.Access)).Status(http.StatusOK).Is("items.0.device_name", "her laptop").
			Is("items.0.current", true).Lacks("items.1")
		o.RequireAccess(t, p, o.MustRefresh(t, p, got.Refresh).Access, true)
		o.LogIn(t, apitest.Person{Portal: p, Email: apitest.Invitee, Password: apitest.GoodPassword})
		o.RequireInvitationStatus(t, i, "accepted").Is("accepted_at", o.TimeAfter(0)).Is("invited_by", apitest.Newcomer)
		o.Post(t, p.Front+"/lookup", apitest.Object{"email": apitest.Invitee}).Status(http.StatusOK).Is("next", "password")

		o.RequireCodeRefused(t, i, http.StatusGone, "token_used").Remedies("log_in", "reset_password").
			Is("remedies.0.href", p.Front+"/login").Is("remedies.1.href", p.Front+"/password-resets").
			Is("remedies.1.body.email", apitest.Invitee)
		require.Equal(t, "1", o.QueryValue(t, "SELECT COUNT(*) FROM accounts WHERE email = ?", apitest.Invitee))
		require.Equal(t, "1", o.QueryValue(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'invitation' AND outcome = 'success' AND account_id = ?",
			in.Text("account.id")))
		require.Equal(t, 1, o.AwaitAllSent(t), "accepting mails nothing")
	})
}

// What a person brings beside the invitation, and what it says itself.
func TestAccountFromInvitation(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.Object{"default_locale": "nl"})
		for name, tt := range map[string]struct {
			invitation, given apitest.Object
			want              apitest.Object // of the account
		}{
			"bare":       {apitest.Object{}, apitest.Object{}, apitest.Object{"locale": "nl", "given_name": nil, "roles": []string{}, "metadata": apitest.Object{}}},
			"recorded":   {apitest.Object{"locale": "fr"}, apitest.Object{}, apitest.Object{"locale": "fr"}},
			"chosen":     {apitest.Object{"locale": "fr"}, apitest.Object{"locale": "de"}, apitest.Object{"locale": "de"}},
			"named":      {apitest.Object{}, apitest.Object{"given_name": " Ada "}, apitest.Object{"given_name": "Ada", "family_name": nil}},
			"entitled":   {apitest.Object{"entitlements": []string{"a", "b"}}, apitest.Object{}, apitest.Object{"entitlements": []string{"a", "b"}, "roles": []string{}}},
			"tokens":     {apitest.Object{"roles": []string{"editor"}}, apitest.Object{"transport": "token"}, apitest.Object{"roles": []string{"editor"}}},
			"deep":       {apitest.Object{"metadata": apitest.Object{"a": apitest.Object{"b": []any{1, nil}}}}, apitest.Object{}, apitest.Object{"metadata": apitest.Object{"a": apitest.Object{"b": []any{1, nil}}}}},
			"administer": {apitest.Object{"roles": []string{"admin"}}, apitest.Object{}, apitest.Object{"roles": []string{"admin"}}},
		} {
			tt.invitation["email"] = name + "@example.com"
			i := h.Invite(t, p, tt.invitation)
			a := h.AcceptInvitation(t, i, tt.given).Status(http.StatusCreated).Is("account.confirmed", true)
			for member, value := range tt.want {
				a.Is("account."+member, value)
				h.Get(t, p.Front+"/me", apitest.Bearer(a.Text("access_token"))).Status(http.StatusOK).Is(member, value)
			}
			if name == "administer" {
				h.Get(t, p.Admin+"/accounts", apitest.Bearer(a.Text("access_token"))).Status(http.StatusOK)
			}
		}
	})
}

// Roles come from the record alone: a request that names what is not a person's to say is refused, and nothing happens.
func TestInvitationRolesCannotBeRaised(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		i := h.Invite(t, p, apitest.Object{"roles": []string{"reader"}})
		before := h.RowCounts(t)
		for _, member := range []string{
			"roles", "entitlements", "metadata", "confirmed", "phone", "opted_out", "disabled", "role", "Roles", "id", "account",
		} {
			h.AcceptInvitation(t, i, apitest.Object{member: []string{"admin"}}).Problem(http.StatusUnprocessableEntity, "validation_failed").
				FieldError("/"+member, "unknown_member")
			h.Post(t, p.Front+"/invitations/verify", apitest.Object{"code": i.Code, member: "admin"}).
				Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError("/"+member, "unknown_member")
		}
		require.Equal(t, before, h.RowCounts(t))
		h.AcceptInvitation(t, i).Status(http.StatusCreated).Is("account.roles", []string{"reader"})
	})
}

// Only the invited person may accept, in any spelling of their address. Anybody else leaves the code as it was.
func TestInvitationIsForOneAddress(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		h.Account(t, p, apitest.Object{"email": apitest.Newcomer})
		for _, spelling := range apitest.AddressSpellings {
			i := h.Invite(t, p, apitest.Object{"email": apitest.AddressSpellings[0]})
			accounts := h.CountRows(t, "accounts")
			for _, other := range []string{"eve@example.com", apitest.Newcomer, "ada.lovelace@example.com", "adalovelace@bücher.example", "аda.lovelace@bücher.example"} {
				h.AcceptInvitation(t, i, apitest.Object{"email": other}).Problem(http.StatusForbidden, "invitation_email_mismatch").
					Remedies("correct_email", "contact_administrator")
			}
			require.Equal(t, accounts, h.CountRows(t, "accounts"))
			h.VerifyCode(t, p, i.Code).Status(http.StatusOK)
			in := h.AcceptInvitation(t, i, apitest.Object{"email": spelling}).Status(http.StatusCreated).Is("account.email", apitest.AddressSpellings[0])
			h.RequireInvitationStatus(t, i, "accepted")
			h.Delete(t, p.Admin+"/accounts/"+in.Text("account.id"), apitest.AsOperator).Status(http.StatusNoContent)
		}
		// A bad code does not reveal whose it was.
		i := h.Invite(t, p, apitest.Object{})
		h.Delete(t, i.Admin, apitest.AsOperator).Status(http.StatusNoContent)
		h.AcceptInvitation(t, i, apitest.Object{"email": "eve@example.com"}).Problem(http.StatusGone, "token_expired")
	})
}

// A rejected password leaves the code valid. A fault of the code is reported first.
func TestRejectedPasswordKeepsInvitation(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		i := h.Invite(t, p, apitest.Object{})
		for secret, reason := range map[string]string{
			"short": "too_short", "passwordpassword": "common", apitest.Invitee: "contains_email", "Acme Acme Acme": "contains_portal_name",
		} {
			a := h.AcceptInvitation(t, i, apitest.Object{"password": secret}).Problem(http.StatusUnprocessableEntity, "password_rejected").Remedies("retry")
			require.Contains(t, a.List("reasons", "code"), any(reason))
			h.VerifyCode(t, p, i.Code).Status(http.StatusOK)
		}
		for pointer, tt := range map[string]struct {
			body apitest.Object
			code string
		}{
			"/password":   {apitest.Object{"password": ""}, "required"},
			"/email":      {apitest.Object{"email": "ada"}, "invalid_email"},
			"/code":       {apitest.Object{"code": " "}, "required"},
			"/locale":     {apitest.Object{"locale": "sv"}, "not_allowed"},
			"/transport":  {apitest.Object{"transport": "pigeon"}, "not_allowed"},
			"/given_name": {apitest.Object{"given_name": strings.Repeat("x", 101)}, "too_long"},
		} {
			h.AcceptInvitation(t, i, tt.body).Problem(http.StatusUnprocessableEntity, "validation_failed").FieldError(pointer, tt.code)
		}
		h.AcceptInvitation(t, i, apitest.Object{"password": "short", "email": "eve@example.com"}).Problem(http.StatusForbidden, "invitation_email_mismatch")
		require.Equal(t, "0", h.CountRows(t, "accounts"))
		h.AcceptInvitation(t, i).Status(http.StatusCreated)
		h.AcceptInvitation(t, i, apitest.Object{"password": "short"}).Problem(http.StatusGone, "token_used")
	})
}

// With the transport cookie the session's token is in a cookie alone, and only a page of the portal's may ask.
func TestAcceptInvitationFromBrowser(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t, apitest.WithLoginOrigin())
		i := h.Invite(t, p, apitest.Object{})
		body := i.RedeemBody(apitest.Object{"transport": "cookie"})
		before := h.RowCounts(t)
		for _, elsewhere := range [][]apitest.Option{{}, {apitest.Origin("https://evil.example")}, {apitest.Origin("null")}} {
			h.Post(t, p.Front+"/invitations/redeem", body, elsewhere...).Problem(http.StatusForbidden, "origin_not_allowed").
				Remedies("contact_administrator").HasHeader("Set-Cookie", "")
		}
		require.Equal(t, before, h.RowCounts(t))
		in := h.Post(t, p.Front+"/invitations/redeem", body, apitest.Origin(apitest.LoginOrigin)).Status(http.StatusCreated).Lacks("refresh_token").
			HasHeader("Access-Control-Allow-Origin", apitest.LoginOrigin)
		got := in.SetCookie()
		require.Equal(t, apitest.RefreshCookieName, got.Name)
		require.NotContains(t, string(in.Body), got.Value)
		h.RequireAccess(t, p, in.Text("access_token"), true)
		h.Post(t, p.Front+"/sessions/refresh", nil, apitest.RefreshCookie(got.Value), apitest.Origin(apitest.LoginOrigin)).Status(http.StatusOK)
	})
}

// A portal that is closed to registrations is open to who was invited; one that is disabled is there for nobody.
func TestWhichPortalsTakeInvitations(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		for _, how := range []string{"closed", "invite_only", "open"} {
			p := h.Portal(t, apitest.Object{"slug": strings.ReplaceAll(how, "_", "-"), "registration": how})
			h.AcceptInvitation(t, h.Invite(t, p, apitest.Object{})).Status(http.StatusCreated)
		}
		p := h.Portal(t)
		i := h.Invite(t, p, apitest.Object{})
		h.Patch(t, p.Admin, apitest.Object{"enabled": false}, apitest.AsOperator).Status(http.StatusOK)
		h.RequireCodeRefused(t, i, http.StatusNotFound, "organization_not_found")
		h.PostResend(t, p, apitest.Invitee).Problem(http.StatusNotFound, "organization_not_found")
		h.RequireInvitationStatus(t, i, "pending")
		h.Patch(t, p.Admin, apitest.Object{"enabled": true}, apitest.AsOperator).Status(http.StatusOK)
		h.AcceptInvitation(t, i).Status(http.StatusCreated)
	})
}
