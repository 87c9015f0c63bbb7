package api_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// What had been read of an invitation is no longer so when it is to be changed.
func TestInvitationsThatAreOvertaken(t *testing.T) {
	t.Parallel()
	redeem := func(h *harness, t testing.TB, i invited) sent {
		return h.prepare(t, http.MethodPost, i.portal.front+"/invitations/redeem", i.acceptance())
	}
	remove := func(h *harness, t testing.TB, i invited) sent {
		return h.prepare(t, http.MethodDelete, i.admin, nil, asOperator)
	}
	renew := func(h *harness, t testing.TB, i invited) sent {
		return h.prepare(t, http.MethodPost, i.admin+"/resend", nil, asOperator)
	}
	// What happens meanwhile, as the statements that do it.
	accepted := func(ctx context.Context, h *harness, t testing.TB, i invited) {
		h.do(ctx, t, "UPDATE invitations SET accepted_at = issued_at, open = FALSE WHERE id = ?", i.id)
		h.do(ctx, t, "UPDATE accounts SET email = ?, email_canonical = ? WHERE email = ?", i.email, i.email, "wrong."+i.email)
	}
	owned := func(ctx context.Context, h *harness, t testing.TB, i invited) {
		h.do(ctx, t, "UPDATE invitations SET open = FALSE, expires_at = issued_at WHERE id = ?", i.id)
		h.do(ctx, t, "UPDATE accounts SET email = ?, email_canonical = ? WHERE email = ?", i.email, i.email, "wrong."+i.email)
	}
	deleted := func(ctx context.Context, h *harness, t testing.TB, i invited) {
		h.do(ctx, t, "UPDATE invitations SET open = FALSE, email = '', email_canonical = '', deleted_at = issued_at WHERE id = ?", i.id)
	}
	renewed := func(ctx context.Context, h *harness, t testing.TB, i invited) {
		h.do(ctx, t, "UPDATE invitations SET counter = counter + 1 WHERE id = ?", i.id)
	}
	expired := func(ctx context.Context, h *harness, t testing.TB, i invited) {
		h.do(ctx, t, "UPDATE invitations SET expires_at = issued_at WHERE id = ?", i.id)
	}
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		for n, tt := range []struct {
			name    string
			request func(h *harness, t testing.TB, i invited) sent
			change  func(ctx context.Context, h *harness, t testing.TB, i invited)
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
			h.account(t, p, object{"email": "wrong." + email})
			i := h.invite(t, p, object{"email": email})
			a := h.between(t, tt.request(h, t, i), func(ctx context.Context) { tt.change(ctx, h, t, i) })
			if got := a.outcome(); got != tt.outcome {
				t.Errorf("%s: want %s, got %s: %s", tt.name, tt.outcome, got, a.body)
			}
		}
	})
}

// Of who takes an account away and who invites its address, one waits for the other, and neither for ever: a claim, whose
// invitation had expired before it was made.
func TestNobodyWaitsForEachOther(t *testing.T) {
	t.Parallel()
	takes := map[string]func(f fleet, t testing.TB, claim person) sent{
		"a deletion": func(f fleet, t testing.TB, claim person) sent {
			return f[0].prepare(t, http.MethodDelete, claim.admin, nil, asOperator)
		},
		"a change": func(f fleet, t testing.TB, claim person) sent {
			return f[0].prepare(t, http.MethodPatch, claim.admin, object{"email": claim.email, "confirmed": true}, asOperator)
		},
	}
	invites := map[string]func(f fleet, t testing.TB, i invited) sent{
		"an invitation": func(f fleet, t testing.TB, i invited) sent {
			return f[0].prepare(t, http.MethodPost, i.portal.admin+"/invitations", object{"email": i.email}, asOperator)
		},
		"a resend": func(f fleet, t testing.TB, i invited) sent {
			return f[0].prepare(t, http.MethodPost, i.admin+"/resend", nil, asOperator)
		},
	}
	for one, take := range takes {
		for other, invite := range invites {
			t.Run(strings.ReplaceAll(one+" and "+other, " ", "_"), func(t *testing.T) {
				t.Parallel()
				eachFleet(t, func(t *testing.T, f fleet) {
					h, last := f[0], f[len(f)-1]
					p := h.portal(t)
					i := h.invite(t, p, object{"expires_in": 60})
					h.clock.advance(time.Minute)
					h.post(t, p.front+"/registrations", object{"email": invitee, "password": goodPassword}).status(http.StatusCreated)
					claim := person{portal: p, email: invitee}
					claim.admin = p.admin + "/accounts/" + h.sql(t, "SELECT id FROM accounts")
					first, second := take(f, t, claim), invite(f, t, i)

					// Both wait for the account, and go on in the order in which they came.
					var answers [2]func() *answer
					err := h.db.InTx(context.Background(), func(ctx context.Context) error {
						ctx = database.AcrossPortals(ctx, "a test holds what two requests change")
						h.do(ctx, t, "UPDATE accounts SET locale = locale")
						waits := h.db.Stats().WaitCount
						answers[0] = h.underWay(t, first)
						require.Eventually(t, func() bool { return h.waiting(t, waits, 1) }, 10*time.Second, time.Millisecond)
						answers[1] = last.underWay(t, second)
						require.Eventually(t, func() bool { return h.waiting(t, waits, 2) }, 10*time.Second, time.Millisecond)
						return nil
					})
					require.NoError(t, err)
					for _, answered := range answers {
						a := answered()
						require.Less(t, a.httpStatus, 500, "%s", a.body)
					}
				})
			})
		}
	}
}

// waiting reports whether so many statements wait for another transaction, or for the connection.
func (h *harness) waiting(t testing.TB, waits int64, n int) bool {
	if h.db.Dialect() == database.SQLite {
		return h.db.Stats().WaitCount >= waits+int64(n)
	}
	return h.sql(t, `SELECT COUNT(*) FROM pg_stat_activity
		WHERE datname = current_database() AND wait_event_type = 'Lock'`) == fmt.Sprint(n)
}
