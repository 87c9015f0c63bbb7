package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// redeeming is a request that accepts an invitation with a password of its own.
func (f fleet) redeeming(t testing.TB, i invited, secret string) sent {
	t.Helper()
	return f[0].prepare(t, http.MethodPost, i.portal.front+"/invitations/redeem", i.acceptance(object{"password": secret}))
}

// people are how many accounts and sessions an address has, and how often an invitation of it was accepted.
func (f fleet) people(t testing.TB, i invited) string {
	t.Helper()
	return fmt.Sprintf("%s accounts, %s sessions, %s accepted",
		f[0].sql(t, "SELECT COUNT(*) FROM accounts WHERE portal_id = ? AND email = ?", i.portal.id, i.email),
		f[0].sql(t, `SELECT COUNT(*) FROM sessions s JOIN accounts a ON a.portal_id = s.portal_id AND a.id = s.account_id
			WHERE a.portal_id = ? AND a.email = ?`, i.portal.id, i.email),
		f[0].sql(t, "SELECT COUNT(*) FROM audit_events WHERE type = 'invitation' AND outcome = 'success' AND portal_id = ? AND email_digest = ?",
			i.portal.id, f[0].subject(t, i.portal, i.email)))
}

// Of all who redeem one code at once, one makes the account and is signed in.
func TestRedeemingAnInvitationAtOnce(t *testing.T) {
	t.Parallel()
	eachFleet(t, func(t *testing.T, f fleet) {
		p := f[0].portal(t)
		for round := range max(rounds/10, 2) {
			i := f[0].invite(t, p, object{"email": fmt.Sprintf("ada%d@example.com", round), "roles": []string{"editor"}})
			typed, requests := i, make([]sent, 20)
			for n := range requests {
				if typed.code = i.code; n%2 == 0 {
					typed.code = strings.ToLower(strings.ReplaceAll(i.code, "-", " "))
				}
				requests[n] = f.redeeming(t, typed, fmt.Sprintf("the password of racer %d", n))
			}
			answers := f.atOnce(t, requests...)
			require.Equal(t, map[string]int{"201": 1, "410 token_used": len(requests) - 1}, tally(answers))
			require.Equal(t, "1 accounts, 1 sessions, 1 accepted", f.people(t, i))
			won := slices.IndexFunc(answers, func(a *answer) bool { return a.httpStatus == http.StatusCreated })
			f[len(f)-1].alive(t, p, answers[won].text("access_token"), true)
			f[0].logIn(t, person{portal: p, email: i.email, password: fmt.Sprintf("the password of racer %d", won)})
			f[0].stands(t, i, "accepted")
		}
	})
}

// Of all who invite one address at once, one does; the others are told of his invitation, and one mail goes out.
func TestInvitingAtOnce(t *testing.T) {
	t.Parallel()
	eachFleet(t, func(t *testing.T, f fleet) {
		p := f[0].portal(t)
		for round := range max(rounds/5, 2) {
			f[0].exec(t, "DELETE FROM deliveries")
			email := fmt.Sprintf("ada%d@example.com", round)
			requests := make([]sent, 12)
			for n := range requests {
				typed := []string{email, " " + strings.ToUpper(email)}[n%2]
				requests[n] = f[0].prepare(t, http.MethodPost, p.admin+"/invitations", object{"email": typed}, asOperator)
			}
			answers := f.atOnce(t, requests...)
			require.Equal(t, map[string]int{"201": 1, "409 invitation_pending": 11}, tally(answers))
			won := slices.IndexFunc(answers, func(a *answer) bool { return a.httpStatus == http.StatusCreated })
			for n, a := range answers {
				if n != won {
					a.is("invitation_id", answers[won].text("id")).remedies("resend_invitation", "delete_invitation")
				}
			}
			require.Equal(t, "1", f[0].rows(t, "deliveries"))
			require.Equal(t, fmt.Sprint(round+1), f[0].sql(t, invitedLog))
		}
	})
}

// Whatever meets a redeem, one of two things has happened, and both are told so.
func TestRedeemingAgainstWhatElseHappens(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		other func(t testing.TB, f fleet, i invited) sent
		// outcomes are what redeem and the other may answer together, and what is there then.
		outcomes map[string]string
	}{
		"a deletion": {func(t testing.TB, f fleet, i invited) sent {
			return f[0].prepare(t, http.MethodDelete, i.admin, nil, asOperator)
		}, map[string]string{
			"201 + 409 email_already_registered": "1 accounts, 1 sessions, 1 accepted",
			"410 token_expired + 204":            "0 accounts, 0 sessions, 0 accepted",
		}},
		"an administrator's resend": {func(t testing.TB, f fleet, i invited) sent {
			return f[0].prepare(t, http.MethodPost, i.admin+"/resend", nil, asOperator)
		}, map[string]string{
			"201 + 409 email_already_registered": "1 accounts, 1 sessions, 1 accepted",
			"410 token_superseded + 202":         "0 accounts, 0 sessions, 0 accepted",
		}},
		"a person's resend": {func(t testing.TB, f fleet, i invited) sent {
			return f[0].prepare(t, http.MethodPost, i.portal.front+"/invitations/resend", object{"email": i.email})
		}, map[string]string{
			"201 + 409 email_already_registered": "1 accounts, 1 sessions, 1 accepted",
			"201 + 202":                          "1 accounts, 1 sessions, 1 accepted",
		}},
		"a registration": {func(t testing.TB, f fleet, i invited) sent {
			return f[0].prepare(t, http.MethodPost, i.portal.front+"/registrations", object{"email": i.email, "password": newPassword})
		}, map[string]string{
			"201 + 409 pending_invitation":       "1 accounts, 1 sessions, 1 accepted",
			"201 + 409 email_already_registered": "1 accounts, 1 sessions, 1 accepted",
		}},
		"an administrator's account": {func(t testing.TB, f fleet, i invited) sent {
			return f[0].prepare(t, http.MethodPost, i.portal.admin+"/accounts", object{"email": i.email, "password": newPassword}, asOperator)
		}, map[string]string{
			"201 + 409 email_already_registered": "1 accounts, 1 sessions, 1 accepted",
			"409 email_already_registered + 201": "1 accounts, 0 sessions, 0 accepted",
		}},
		"a corrected address": {func(t testing.TB, f fleet, i invited) sent {
			who := f[0].account(t, i.portal, object{"email": "wrong." + i.email})
			return f[0].prepare(t, http.MethodPatch, who.admin, object{"email": i.email}, asOperator)
		}, map[string]string{
			"201 + 409 email_already_registered": "1 accounts, 1 sessions, 1 accepted",
			"409 email_already_registered + 200": "1 accounts, 0 sessions, 0 accepted",
		}},
		"another invitation": {func(t testing.TB, f fleet, i invited) sent {
			return f[0].prepare(t, http.MethodPost, i.portal.admin+"/invitations", object{"email": i.email}, asOperator)
		}, map[string]string{
			"201 + 409 invitation_pending":       "1 accounts, 1 sessions, 1 accepted",
			"201 + 409 email_already_registered": "1 accounts, 1 sessions, 1 accepted",
		}},
		"an import": {func(t testing.TB, f fleet, i invited) sent {
			file := "email\nnew." + i.email + "\n" + i.email + "\n"
			return f[0].prepare(t, http.MethodPost, i.portal.admin+"/invitations/import", file, asOperator)
		}, map[string]string{"201 + 200": "1 accounts, 1 sessions, 1 accepted"}},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			eachFleet(t, func(t *testing.T, f fleet) {
				p := f[0].portal(t)
				seen := map[string]int{}
				for round := range max(rounds/3, 4) {
					i := f[0].invite(t, p, object{"email": fmt.Sprintf("ada%d@example.com", round)})
					requests := []sent{f.redeeming(t, i, goodPassword), tt.other(t, f, i)}
					if round%2 == 1 {
						slices.Reverse(requests)
					}
					answers := f.atOnce(t, requests...)
					if round%2 == 1 {
						slices.Reverse(answers)
					}
					outcome := answers[0].outcome() + " + " + answers[1].outcome()
					require.Contains(t, tt.outcomes, outcome)
					require.Equal(t, tt.outcomes[outcome], f.people(t, i), outcome)
					seen[outcome]++
					f.settled(t, i, answers)
				}
				t.Logf("%v", seen)
			})
		})
	}
}

// settled wants what was told to be what is: who was let in is in, and a code that lost is worth nothing.
func (f fleet) settled(t testing.TB, i invited, answers []*answer) {
	t.Helper()
	last := f[len(f)-1]
	if answers[0].httpStatus == http.StatusCreated {
		last.alive(t, i.portal, answers[0].text("access_token"), true)
		last.refuses(t, i, http.StatusGone, "token_used")
		last.stands(t, i, "accepted")
		if results, imported := answers[1].at("results"); imported {
			row := results.([]any)[1].(object)
			require.Contains(t, []any{"invitation_pending", "email_already_registered"}, row["code"])
			answers[1].is("accepted", 1)
		}
		return
	}
	last.refuses(t, i, answers[0].httpStatus, answers[0].text("code"))
	if answers[1].httpStatus == http.StatusAccepted {
		i.code = last.exported(t, i.portal, i.email)
		last.accepts(t, i).status(http.StatusCreated)
	}
}

// Two administrators who resend at once make one code, and mail it once.
func TestRenewingAtOnce(t *testing.T) {
	t.Parallel()
	eachFleet(t, func(t *testing.T, f fleet) {
		p := f[0].portal(t)
		for round := range max(rounds/5, 2) {
			i := f[0].invite(t, p, object{"email": fmt.Sprintf("ada%d@example.com", round), "send": false})
			f[0].exec(t, "DELETE FROM deliveries")
			resend := func() sent { return f[0].prepare(t, http.MethodPost, i.admin+"/resend", nil, asOperator) }
			require.Equal(t, map[string]int{"202": 1, "429 resend_too_soon": 1}, tally(f.atOnce(t, resend(), resend())))
			require.Equal(t, "1", f[0].rows(t, "deliveries"))
			require.Equal(t, "1", f[0].sql(t, "SELECT counter FROM invitations WHERE id = ?", i.id))
			f[0].refuses(t, i, http.StatusGone, "token_superseded")
			i.code = f[0].exported(t, p, i.email)
			f[0].accepts(t, i).status(http.StatusCreated)
		}
	})
}

// Who registers an address while it is invited gains nothing: the invitation counts, and a claim gives way to it.
func TestRegisteringWhileInvited(t *testing.T) {
	t.Parallel()
	eachFleet(t, func(t *testing.T, f fleet) {
		h := f[0]
		p := h.portal(t, object{"require_confirmation": false})
		for round := range max(rounds/5, 2) {
			email := fmt.Sprintf("ada%d@example.com", round)
			requests := []sent{h.prepare(t, http.MethodPost, p.admin+"/invitations", object{"email": email}, asOperator)}
			for range 3 {
				requests = append(requests, h.prepare(t, http.MethodPost, p.front+"/registrations", object{"email": email, "password": newPassword}))
			}
			answers := f.atOnce(t, requests...)
			answers[0].status(http.StatusCreated)
			for _, a := range answers[1:] {
				require.Contains(t, []string{"201", "409 pending_invitation", "429 resend_too_soon"}, a.outcome())
			}
			i := h.asInvited(t, p, answers[0])
			h.post(t, p.front+"/lookup", object{"email": email}).status(http.StatusOK).is("next", "redeem_invitation")
			h.verifies(t, p, i.code).status(http.StatusOK)
			h.accepts(t, i).status(http.StatusCreated)
			require.Equal(t, "1 accounts, 1 sessions, 1 accepted", f.people(t, i))
			h.post(t, p.front+"/login", object{"email": email, "password": newPassword}).
				problem(http.StatusUnauthorized, "incorrect_credentials")
			h.logIn(t, person{portal: p, email: email, password: goodPassword})
		}
	})
}

// Two imports of the same addresses at once, in opposite orders, invite each once.
func TestImportingTheSameAtOnce(t *testing.T) {
	t.Parallel()
	eachFleet(t, func(t *testing.T, f fleet) {
		p := f[0].portal(t)
		var addresses []string
		for n := range 250 { // more than go into one transaction
			addresses = append(addresses, fmt.Sprintf("ada%d@example.com", n))
		}
		file := func() sent {
			text := "email\n" + strings.Join(addresses, "\n") + "\n"
			return f[0].prepare(t, http.MethodPost, p.admin+"/invitations/import", text, asOperator)
		}
		first := file()
		slices.Reverse(addresses)
		answers := f.atOnce(t, first, file())
		accepted := 0
		for _, a := range answers {
			for _, code := range a.status(http.StatusOK).list("results", "code") {
				require.Contains(t, []any{nil, "invitation_pending"}, code)
				if code == nil {
					accepted++
				}
			}
		}
		require.Equal(t, len(addresses), accepted)
		require.Equal(t, "250", f[0].rows(t, "invitations"))
		require.Equal(t, "250", f[0].rows(t, "deliveries"))
	})
}
