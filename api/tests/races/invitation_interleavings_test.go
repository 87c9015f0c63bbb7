package races_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// What had been read of an invitation is no longer so when it is to be changed.
func TestInvitationChangedDuringRequest(t *testing.T) {
	t.Parallel()
	redeem := func(h *apitest.Harness, t testing.TB, i apitest.Invitation) apitest.PreparedRequest {
		return h.Prepare(t, http.MethodPost, i.Portal.Front+"/invitations/redeem", i.RedeemBody())
	}
	remove := func(h *apitest.Harness, t testing.TB, i apitest.Invitation) apitest.PreparedRequest {
		return h.Prepare(t, http.MethodDelete, i.Admin, nil, apitest.AsOperator)
	}
	renew := func(h *apitest.Harness, t testing.TB, i apitest.Invitation) apitest.PreparedRequest {
		return h.Prepare(t, http.MethodPost, i.Admin+"/resend", nil, apitest.AsOperator)
	}
	// What happens meanwhile, as the statements that do it.
	accepted := func(ctx context.Context, h *apitest.Harness, t testing.TB, i apitest.Invitation) {
		h.ExecIn(ctx, t, "UPDATE invitations SET accepted_at = issued_at, open = FALSE WHERE id = ?", i.ID)
		h.ExecIn(ctx, t, "UPDATE accounts SET email = ?, email_canonical = ? WHERE email = ?", i.Email, i.Email, "wrong."+i.Email)
	}
	owned := func(ctx context.Context, h *apitest.Harness, t testing.TB, i apitest.Invitation) {
		h.ExecIn(ctx, t, "UPDATE invitations SET open = FALSE, expires_at = issued_at WHERE id = ?", i.ID)
		h.ExecIn(ctx, t, "UPDATE accounts SET email = ?, email_canonical = ? WHERE email = ?", i.Email, i.Email, "wrong."+i.Email)
	}
	deleted := func(ctx context.Context, h *apitest.Harness, t testing.TB, i apitest.Invitation) {
		h.ExecIn(ctx, t, "UPDATE invitations SET open = FALSE, email = '', email_canonical = '', deleted_at = issued_at WHERE id = ?", i.ID)
	}
	renewed := func(ctx context.Context, h *apitest.Harness, t testing.TB, i apitest.Invitation) {
		h.ExecIn(ctx, t, "UPDATE invitations SET counter = counter + 1 WHERE id = ?", i.ID)
	}
	expired := func(ctx context.Context, h *apitest.Harness, t testing.TB, i apitest.Invitation) {
		h.ExecIn(ctx, t, "UPDATE invitations SET expires_at = issued_at WHERE id = ?", i.ID)
	}
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		for n, tt := range []struct {
			name    string
			request func(h *apitest.Harness, t testing.TB, i apitest.Invitation) apitest.PreparedRequest
			change  func(ctx context.Context, h *apitest.Harness, t testing.TB, i apitest.Invitation)
			outcome string
		}{
			{"a redeem, by another", redeem, accepted, "410 token_used"},
			{"a redeem, by an account", redeem, owned, "409 email_already_registered"},
			{"a redeem, by a deletion", redeem, deleted, "410 token_expired"},
			{"a redeem, by a resend", redeem, renewed, "410 token_superseded"},
			{"a redeem, by its end", redeem, expired, "410 token_expired"},
			{"a deletion, by a redeem", remove, accepted, "409 email_already_registered"},
			{"a deletion, by another", remove, deleted, "404 not_found"},
			{"a deletion, by a resend", remove, renewed, "204"},
			{"a resend, by a redeem", renew, accepted, "409 email_already_registered"},
			{"a resend, by an account", renew, owned, "409 email_already_registered"},
			{"a resend, by a deletion", renew, deleted, "404 not_found"},
			{"a resend, by another", renew, renewed, "202"},
		} {
			email := fmt.Sprintf("ada%d@example.com", n)
			h.Account(t, p, apitest.Object{"email": "wrong." + email})
			i := h.Invite(t, p, apitest.Object{"email": email})
			a := h.ChangeDuring(t, tt.request(h, t, i), func(ctx context.Context) { tt.change(ctx, h, t, i) })
			if got := a.Outcome(); got != tt.outcome {
				t.Errorf("%s: want %s, got %s: %s", tt.name, tt.outcome, got, a.Body)
			}
		}
	})
}

// Of who takes an account away and who invites its address, one waits for the other, and neither for ever: a claim, whose
// invitation had expired before it was made.
func TestInvitationWritersDoNotDeadlock(t *testing.T) {
	t.Parallel()
	takes := map[string]func(f apitest.Fleet, t testing.TB, claim apitest.Person) apitest.PreparedRequest{
		"a deletion": func(f apitest.Fleet, t testing.TB, claim apitest.Person) apitest.PreparedRequest {
			return f[0].Prepare(t, http.MethodDelete, claim.Admin, nil, apitest.AsOperator)
		},
		"a change": func(f apitest.Fleet, t testing.TB, claim apitest.Person) apitest.PreparedRequest {
			return f[0].Prepare(t, http.MethodPatch, claim.Admin, apitest.Object{"email": claim.Email, "confirmed": true}, apitest.AsOperator)
		},
	}
	invites := map[string]func(f apitest.Fleet, t testing.TB, i apitest.Invitation) apitest.PreparedRequest{
		"an invitation": func(f apitest.Fleet, t testing.TB, i apitest.Invitation) apitest.PreparedRequest {
			return f[0].Prepare(t, http.MethodPost, i.Portal.Admin+"/invitations", apitest.Object{"email": i.Email}, apitest.AsOperator)
		},
		"a resend": func(f apitest.Fleet, t testing.TB, i apitest.Invitation) apitest.PreparedRequest {
			return f[0].Prepare(t, http.MethodPost, i.Admin+"/resend", nil, apitest.AsOperator)
		},
	}
	for one, take := range takes {
		for other, invite := range invites {
			t.Run(strings.ReplaceAll(one+" and "+other, " ", "_"), func(t *testing.T) {
				t.Parallel()
				apitest.EachFleet(t, func(t *testing.T, f apitest.Fleet) {
					h, last := f[0], f[len(f)-1]
					p := h.Portal(t)
					i := h.Invite(t, p, apitest.Object{"expires_in": 60})
					h.Clock.Advance(time.Minute)
					h.Post(t, p.Front+"/registrations", apitest.Object{"email": apitest.Invitee, "password": apitest.GoodPassword}).Status(http.StatusCreated)
					claim := apitest.Person{Portal: p, Email: apitest.Invitee}
					claim.Admin = p.Admin + "/accounts/" + h.QueryValue(t, "SELECT id FROM accounts")
					first, second := take(f, t, claim), invite(f, t, i)

					// Both wait for the account, and go on in the order in which they came.
					var answers [2]func() *apitest.Answer
					err := h.DB.InTx(context.Background(), func(ctx context.Context) error {
						ctx = database.AcrossPortals(ctx, "a test holds what two requests change")
						h.ExecIn(ctx, t, "UPDATE accounts SET locale = locale")
						waits := h.DB.Stats().WaitCount
						answers[0] = h.SendInBackground(t, first)
						require.Eventually(t, func() bool { return someoneWaitsFor(t, h, waits, 1) }, 10*time.Second, time.Millisecond)
						answers[1] = last.SendInBackground(t, second)
						require.Eventually(t, func() bool { return someoneWaitsFor(t, h, waits, 2) }, 10*time.Second, time.Millisecond)
						return nil
					})
					require.NoError(t, err)
					for _, answered := range answers {
						a := answered()
						require.Less(t, a.HTTPStatus, 500, "%s", a.Body)
					}
				})
			})
		}
	}
}

// someoneWaitsFor reports whether so many statements wait for another transaction, or for the connection.
func someoneWaitsFor(t testing.TB, h *apitest.Harness, waits int64, n int) bool {
	if h.DB.Dialect() == database.SQLite {
		return h.DB.Stats().WaitCount >= waits+int64(n)
	}
	return h.QueryValue(t, `SELECT COUNT(*) FROM pg_stat_activity
		WHERE datname = current_database() AND wait_event_type = 'Lock'`) == fmt.Sprint(n)
}
