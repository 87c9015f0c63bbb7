package races_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
)

// prepareRedeem is a request that accepts an invitation with a password of its own.
func prepareRedeem(t testing.TB, f apitest.Fleet, i apitest.Invitation, secret string) apitest.PreparedRequest {
	t.Helper()
	return f[0].Prepare(t, http.MethodPost, i.Portal.Front+"/invitations/redeem", i.RedeemBody(apitest.Object{"password": secret}))
}

// countAccounts are how many accounts and sessions an address has, and how often an invitation of it was accepted.
func countAccounts(t testing.TB, f apitest.Fleet, i apitest.Invitation) string {
	t.Helper()
	return fmt.Sprintf("%s accounts, %s sessions, %s accepted",
		f[0].QueryValue(t, "SELECT COUNT(*) FROM accounts WHERE portal_id = ? AND email = ?", i.Portal.ID, i.Email),
		f[0].QueryValue(t, `SELECT COUNT(*) FROM sessions s JOIN accounts a ON a.portal_id = s.portal_id AND a.id = s.account_id
			WHERE a.portal_id = ? AND a.email = ?`, i.Portal.ID, i.Email),
		f[0].QueryValue(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'invitation' AND outcome = 'success' AND portal_id = ? AND email_digest = ?",
			i.Portal.ID, f[0].AddressDigest(t, i.Portal, i.Email)))
}

// Of all who redeem one code at once, one makes the account and is signed in.
func TestRedeemInvitationAtOnce(t *testing.T) {
	t.Parallel()
	apitest.EachFleet(t, func(t *testing.T, f apitest.Fleet) {
		p := f[0].Portal(t)
		for round := range max(apitest.Rounds/10, 2) {
			i := f[0].Invite(t, p, apitest.Object{"email": fmt.Sprintf("ada%d@example.com", round), "roles": []string{"editor"}})
			typed, requests := i, make([]apitest.PreparedRequest, 20)
			for n := range requests {
				if typed.Code = i.Code; n%2 == 0 {
					typed.Code = strings.ToLower(strings.ReplaceAll(i.Code, "-", " "))
				}
				requests[n] = prepareRedeem(t, f, typed, fmt.Sprintf("the password of racer %d", n))
			}
			answers := f.SendAtOnce(t, requests...)
			require.Equal(t, map[string]int{"201": 1, "410 token_used": len(requests) - 1}, apitest.Tally(answers))
			require.Equal(t, "1 accounts, 1 sessions, 1 accepted", countAccounts(t, f, i))
			won := slices.IndexFunc(answers, func(a *apitest.Answer) bool { return a.HTTPStatus == http.StatusCreated })
			f[len(f)-1].RequireAccess(t, p, answers[won].Text("access_token"), true)
			f[0].LogIn(t, apitest.Person{Portal: p, Email: i.Email, Password: fmt.Sprintf("the password of racer %d", won)})
			f[0].RequireInvitationStatus(t, i, "accepted")
		}
	})
}

// Of many who invite one address at once, one succeeds. The others are told of that invitation, and one mail goes out.
func TestInviteAtOnce(t *testing.T) {
	t.Parallel()
	apitest.EachFleet(t, func(t *testing.T, f apitest.Fleet) {
		p := f[0].Portal(t)
		for round := range max(apitest.Rounds/5, 2) {
			f[0].Exec(t, "DELETE FROM deliveries")
			email := fmt.Sprintf("ada%d@example.com", round)
			requests := make([]apitest.PreparedRequest, 12)
			for n := range requests {
				typed := []string{email, " " + strings.ToUpper(email)}[n%2]
				requests[n] = f[0].Prepare(t, http.MethodPost, p.Admin+"/invitations", apitest.Object{"email": typed}, apitest.AsOperator)
			}
			answers := f.SendAtOnce(t, requests...)
			require.Equal(t, map[string]int{"201": 1, "409 invitation_pending": 11}, apitest.Tally(answers))
			won := slices.IndexFunc(answers, func(a *apitest.Answer) bool { return a.HTTPStatus == http.StatusCreated })
			for n, a := range answers {
				if n != won {
					a.Is("invitation_id", answers[won].Text("id")).Remedies("resend_invitation", "delete_invitation")
				}
			}
			require.Equal(t, "1", f[0].CountRows(t, "deliveries"))
			require.Equal(t, fmt.Sprint(round+1), f[0].QueryValue(t, apitest.CountInvitedEvents))
		}
	})
}

// Whatever meets a redeem, one of two things has happened, and both are told so.
func TestRedeemWhileInvitationChanges(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		other func(t testing.TB, f apitest.Fleet, i apitest.Invitation) apitest.PreparedRequest
		// outcomes are what redeem and the other may answer together, and what is there then.
		outcomes map[string]string
	}{
		"a deletion": {func(t testing.TB, f apitest.Fleet, i apitest.Invitation) apitest.PreparedRequest {
			return f[0].Prepare(t, http.MethodDelete, i.Admin, nil, apitest.AsOperator)
		}, map[string]string{
			"201 + 409 email_already_registered": "1 accounts, 1 sessions, 1 accepted",
			"410 token_expired + 204":            "0 accounts, 0 sessions, 0 accepted",
		}},
		"an administrator's resend": {func(t testing.TB, f apitest.Fleet, i apitest.Invitation) apitest.PreparedRequest {
			return f[0].Prepare(t, http.MethodPost, i.Admin+"/resend", nil, apitest.AsOperator)
		}, map[string]string{
			"201 + 409 email_already_registered": "1 accounts, 1 sessions, 1 accepted",
			"410 token_superseded + 202":         "0 accounts, 0 sessions, 0 accepted",
		}},
		"a person's resend": {func(t testing.TB, f apitest.Fleet, i apitest.Invitation) apitest.PreparedRequest {
			return f[0].Prepare(t, http.MethodPost, i.Portal.Front+"/invitations/resend", apitest.Object{"email": i.Email})
		}, map[string]string{
			"201 + 409 email_already_registered": "1 accounts, 1 sessions, 1 accepted",
			"201 + 202":                          "1 accounts, 1 sessions, 1 accepted",
		}},
		"a registration": {func(t testing.TB, f apitest.Fleet, i apitest.Invitation) apitest.PreparedRequest {
			return f[0].Prepare(t, http.MethodPost, i.Portal.Front+"/registrations", apitest.Object{"email": i.Email, "password": apitest.OtherPassword})
		}, map[string]string{
			"201 + 409 pending_invitation":       "1 accounts, 1 sessions, 1 accepted",
			"201 + 409 email_already_registered": "1 accounts, 1 sessions, 1 accepted",
		}},
		"an administrator's account": {func(t testing.TB, f apitest.Fleet, i apitest.Invitation) apitest.PreparedRequest {
			return f[0].Prepare(t, http.MethodPost, i.Portal.Admin+"/accounts", apitest.Object{"email": i.Email, "password": apitest.OtherPassword}, apitest.AsOperator)
		}, map[string]string{
			"201 + 409 email_already_registered": "1 accounts, 1 sessions, 1 accepted",
			"409 email_already_registered + 201": "1 accounts, 0 sessions, 0 accepted",
		}},
		"a corrected address": {func(t testing.TB, f apitest.Fleet, i apitest.Invitation) apitest.PreparedRequest {
			who := f[0].Account(t, i.Portal, apitest.Object{"email": "wrong." + i.Email})
			return f[0].Prepare(t, http.MethodPatch, who.Admin, apitest.Object{"email": i.Email}, apitest.AsOperator)
		}, map[string]string{
			"201 + 409 email_already_registered": "1 accounts, 1 sessions, 1 accepted",
			"409 email_already_registered + 200": "1 accounts, 0 sessions, 0 accepted",
		}},
		"another invitation": {func(t testing.TB, f apitest.Fleet, i apitest.Invitation) apitest.PreparedRequest {
			return f[0].Prepare(t, http.MethodPost, i.Portal.Admin+"/invitations", apitest.Object{"email": i.Email}, apitest.AsOperator)
		}, map[string]string{
			"201 + 409 invitation_pending":       "1 accounts, 1 sessions, 1 accepted",
			"201 + 409 email_already_registered": "1 accounts, 1 sessions, 1 accepted",
		}},
		"an import": {func(t testing.TB, f apitest.Fleet, i apitest.Invitation) apitest.PreparedRequest {
			file := "email\nnew." + i.Email + "\n" + i.Email + "\n"
			return f[0].Prepare(t, http.MethodPost, i.Portal.Admin+"/invitations/import", file, apitest.AsOperator)
		}, map[string]string{"201 + 200": "1 accounts, 1 sessions, 1 accepted"}},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			apitest.EachFleet(t, func(t *testing.T, f apitest.Fleet) {
				p := f[0].Portal(t)
				seen := map[string]int{}
				for round := range max(apitest.Rounds/3, 4) {
					i := f[0].Invite(t, p, apitest.Object{"email": fmt.Sprintf("ada%d@example.com", round)})
					requests := []apitest.PreparedRequest{prepareRedeem(t, f, i, apitest.GoodPassword), tt.other(t, f, i)}
					if round%2 == 1 {
						slices.Reverse(requests)
					}
					answers := f.SendAtOnce(t, requests...)
					if round%2 == 1 {
						slices.Reverse(answers)
					}
					outcome := answers[0].Outcome() + " + " + answers[1].Outcome()
					require.Contains(t, tt.outcomes, outcome)
					require.Equal(t, tt.outcomes[outcome], countAccounts(t, f, i), outcome)
					seen[outcome]++
					requireSettled(t, f, i, answers)
				}
				t.Logf("%v", seen)
			})
		})
	}
}

// requireSettled wants what was told to be what is: who was let in is in, and a code that lost is worth nothing.
func requireSettled(t testing.TB, f apitest.Fleet, i apitest.Invitation, answers []*apitest.Answer) {
	t.Helper()
	last := f[len(f)-1]
	if answers[0].HTTPStatus == http.StatusCreated {
		last.RequireAccess(t, i.Portal, answers[0].Text("access_token"), true)
		last.RequireCodeRefused(t, i, http.StatusGone, "token_used")
		last.RequireInvitationStatus(t, i, "accepted")
		if results, imported := answers[1].At("results"); imported {
			row := results.([]any)[1].(apitest.Object)
			require.Contains(t, []any{"invitation_pending", "email_already_registered"}, row["code"])
			answers[1].Is("accepted", 1)
		}
		return
	}
	last.RequireCodeRefused(t, i, answers[0].HTTPStatus, answers[0].Text("code"))
	if answers[1].HTTPStatus == http.StatusAccepted {
		i.Code = last.ExportedCode(t, i.Portal, i.Email)
		last.AcceptInvitation(t, i).Status(http.StatusCreated)
	}
}

// Two administrators who resend at once make one code, and mail it once.
func TestRenewAtOnce(t *testing.T) {
	t.Parallel()
	apitest.EachFleet(t, func(t *testing.T, f apitest.Fleet) {
		p := f[0].Portal(t)
		for round := range max(apitest.Rounds/5, 2) {
			i := f[0].Invite(t, p, apitest.Object{"email": fmt.Sprintf("ada%d@example.com", round), "send": false})
			f[0].Exec(t, "DELETE FROM deliveries")
			resend := func() apitest.PreparedRequest {
				return f[0].Prepare(t, http.MethodPost, i.Admin+"/resend", nil, apitest.AsOperator)
			}
			require.Equal(t, map[string]int{"202": 1, "429 resend_too_soon": 1}, apitest.Tally(f.SendAtOnce(t, resend(), resend())))
			require.Equal(t, "1", f[0].CountRows(t, "deliveries"))
			require.Equal(t, "1", f[0].QueryValue(t, "SELECT counter FROM invitations WHERE id = ?", i.ID))
			f[0].RequireCodeRefused(t, i, http.StatusGone, "token_superseded")
			i.Code = f[0].ExportedCode(t, p, i.Email)
			f[0].AcceptInvitation(t, i).Status(http.StatusCreated)
		}
	})
}

// A registration while the address is invited gains nothing: the invitation counts, and replaces it.
func TestRegisterWhileInvited(t *testing.T) {
	t.Parallel()
	apitest.EachFleet(t, func(t *testing.T, f apitest.Fleet) {
		h := f[0]
		p := h.Portal(t)
		for round := range max(apitest.Rounds/5, 2) {
			email := fmt.Sprintf("ada%d@example.com", round)
			requests := []apitest.PreparedRequest{h.Prepare(t, http.MethodPost, p.Admin+"/invitations", apitest.Object{"email": email}, apitest.AsOperator)}
			for range 3 {
				requests = append(requests, h.Prepare(t, http.MethodPost, p.Front+"/registrations", apitest.Object{"email": email, "password": apitest.OtherPassword}))
			}
			answers := f.SendAtOnce(t, requests...)
			answers[0].Status(http.StatusCreated)
			for _, a := range answers[1:] {
				require.Contains(t, []string{"201", "409 pending_invitation", "429 resend_too_soon"}, a.Outcome())
			}
			i := h.InvitationOf(t, p, answers[0])
			h.Post(t, p.Front+"/lookup", apitest.Object{"email": email}).Status(http.StatusOK).Is("next", "redeem_invitation")
			h.VerifyCode(t, p, i.Code).Status(http.StatusOK)
			h.AcceptInvitation(t, i).Status(http.StatusCreated)
			require.Equal(t, "1 accounts, 1 sessions, 1 accepted", countAccounts(t, f, i))
			h.Post(t, p.Front+"/login", apitest.Object{"email": email, "password": apitest.OtherPassword}).
				Problem(http.StatusUnauthorized, "incorrect_credentials")
			h.LogIn(t, apitest.Person{Portal: p, Email: email, Password: apitest.GoodPassword})
		}
	})
}

// Two imports of the same addresses at once, in opposite orders, invite each once.
func TestImportSameFileAtOnce(t *testing.T) {
	t.Parallel()
	apitest.EachFleet(t, func(t *testing.T, f apitest.Fleet) {
		p := f[0].Portal(t)
		var addresses []string
		for n := range 250 { // more than go into one transaction
			addresses = append(addresses, fmt.Sprintf("ada%d@example.com", n))
		}
		file := func() apitest.PreparedRequest {
			text := "email\n" + strings.Join(addresses, "\n") + "\n"
			return f[0].Prepare(t, http.MethodPost, p.Admin+"/invitations/import", text, apitest.AsOperator)
		}
		first := file()
		slices.Reverse(addresses)
		answers := f.SendAtOnce(t, first, file())
		accepted := 0
		for _, a := range answers {
			for _, code := range a.Status(http.StatusOK).List("results", "code") {
				require.Contains(t, []any{nil, "invitation_pending"}, code)
				if code == nil {
					accepted++
				}
			}
		}
		require.Equal(t, len(addresses), accepted)
		require.Equal(t, "250", f[0].CountRows(t, "invitations"))
		require.Equal(t, "250", f[0].CountRows(t, "deliveries"))
	})
}
