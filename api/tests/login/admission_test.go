package login_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/admission"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/lockout"
)

// addressState is a state in which an address may be at a portal.
type addressState struct {
	account    apitest.Object // the members that differ from Ada's; nil for no account
	unverified bool           // whether the account is a registration whose mailbox nobody proved
	invitation string         // "", "pending" or "expired"
	lock       string         // "", "locked", "over" or "off"
}

// addressStates are all combinations of account, invitation and lock.
func addressStates() (states []addressState) {
	accounts := []addressState{{}}
	for _, members := range []apitest.Object{
		{}, {"confirmed": false}, {"password": nil}, {"confirmed": false, "password": nil},
	} {
		for _, disabled := range []bool{false, true} {
			account := apitest.Object{"disabled": disabled}
			for name, value := range members {
				account[name] = value
			}
			accounts = append(accounts, addressState{account: account})
			if members["confirmed"] == false && len(members) == 1 {
				accounts = append(accounts, addressState{account: account, unverified: true})
			}
		}
	}
	for _, state := range accounts {
		for _, state.invitation = range []string{"", "pending", "expired"} {
			for _, state.lock = range []string{"", "locked", "over", "off"} {
				states = append(states, state)
			}
		}
	}
	return states
}

// bring makes an address with this state.
func (s addressState) bring(t *testing.T, h *apitest.Harness, p apitest.Portal, address string) {
	t.Helper()
	now := h.Clock.Now().UnixMilli()
	if s.invitation != "" {
		id := h.PostInvitation(t, p, apitest.Object{"email": address}).Status(http.StatusCreated).Text("id")
		if s.invitation == "expired" {
			h.Exec(t, "UPDATE invitations SET expires_at = ? WHERE id = ?", now, id)
		}
	}
	if s.account != nil { // it gets its address afterwards, because an account ends the invitations of its address
		ada := h.Account(t, p, s.account, apitest.Object{"email": "of-" + address})
		h.Exec(t, "UPDATE accounts SET email = ?, email_canonical = ? WHERE id = ?", address, address, ada.ID)
		if s.unverified {
			h.Exec(t, "UPDATE accounts SET claimed_at = ? WHERE id = ?", now, ada.ID)
		}
	}
	switch s.lock {
	case "locked":
		h.PutLock(t, p, address, 5, now+time.Hour.Milliseconds())
	case "over":
		h.PutLock(t, p, address, 5, now)
	case "off":
		h.PutLock(t, p, address, lockout.InARow, 0)
	}
}

// situationOf reads the facts of an address at a portal from the database.
func situationOf(t *testing.T, h *apitest.Harness, slug, address string) admission.Situation {
	t.Helper()
	ctx, app := context.Background(), h.Server.App
	p, err := app.Portals.Find(ctx, slug)
	require.NoError(t, err)
	parsed, err := email.Parse(address)
	require.NoError(t, err)
	holder, err := app.Invitations.Holder(ctx, p, parsed)
	require.NoError(t, err)
	lock, err := lockout.NewRepository(h.DB).Get(ctx, p.ID, lockout.Login, app.Digests.OfEmail(p.ID, parsed))
	require.NoError(t, err)
	return admission.Situation{
		Portal: p, Address: parsed, Account: holder.Account, Invitation: holder.Waiting.Facts(), Lock: lock,
		Now: h.Clock.Now(),
	}
}

// lookupOf is the answer to a lookup that admission decides.
func lookupOf(s admission.Situation) string {
	if next := s.Next(); next != "" {
		return string(next)
	}
	return string(s.At(admission.Lookup).Code())
}

// loginOf is the answer to a login that admission decides; "" for success.
func loginOf(s admission.Situation, right bool) string {
	if before := s.At(admission.BeforePassword); before.Err() != nil {
		return string(before.Code())
	}
	if !right {
		return string(fault.IncorrectCredentials)
	}
	return string(s.At(admission.AfterPassword).Code())
}

// answered is the code or the next step of an answer; "" for neither.
func answered(a *apitest.Answer) string {
	for _, member := range []string{"code", "next"} {
		if value, ok := a.At(member); ok {
			return value.(string)
		}
	}
	return ""
}

// Lookup and login answer over HTTP what admission decides, in every state of an address, at open and private portals.
func TestAnswersAreAdmissions(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		for _, settings := range []apitest.Object{
			{"slug": "open"}, {"slug": "private", "enumeration": "private"},
		} {
			requireAdmissionsAnswers(t, h, h.Portal(t, settings))
		}
	})
}

func requireAdmissionsAnswers(t *testing.T, h *apitest.Harness, p apitest.Portal) {
	t.Helper()
	states := addressStates()
	addressOf := func(i int) string { return fmt.Sprintf("person-%d@example.com", i) }
	for i, state := range states {
		state.bring(t, h, p, addressOf(i))
	}
	// Every call is made for all states at once, because a private portal answers failures late.
	requireAnswers := func(call, path, secret string, decides func(admission.Situation) string) {
		t.Helper()
		want, requests := make([]string, len(states)), make([]*http.Request, len(states))
		for i := range states {
			body := apitest.Object{"email": addressOf(i)}
			if secret != "" {
				body["password"] = secret
			}
			want[i] = decides(situationOf(t, h, p.Slug, addressOf(i)))
			requests[i] = h.Request(t, http.MethodPost, p.Front+path, apitest.Encode(t, body))
		}
		for i, a := range h.SendTogether(t, requests) {
			require.Equal(t, want[i], answered(a), "%s at %s: %+v: %s", call, p.Slug, states[i], a.Body)
		}
	}
	requireAnswers("lookup", "/lookup", "", lookupOf)
	requireAnswers("right password", "/login", apitest.GoodPassword, func(s admission.Situation) string {
		return loginOf(s, true)
	})
	requireAnswers("wrong password", "/login", apitest.OtherPassword, func(s admission.Situation) string {
		return loginOf(s, false)
	})
}
