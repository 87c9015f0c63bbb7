package budgets_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// The statements of invitations, with what they cause spelled out; BEGIN and COMMIT apart, and the job of a message,
// which River inserts.
func TestInvitationBudgets(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		i, deleted := h.Invite(t, p, apitest.Object{}), h.Invite(t, p, apitest.Object{"email": "deleted@example.com"})
		forged := apitest.Object{"code": i.Code[:22] + map[bool]string{true: "1", false: "0"}[i.Code[22] == '0']}
		code, named := apitest.Object{"code": i.Code}, apitest.Object{"email": apitest.Invitee}
		invitations, register := p.Admin+"/invitations", apitest.Object{"email": apitest.Invitee, "password": apitest.GoodPassword}
		h.Clock.Advance(apitest.ResendInterval)
		for _, tt := range []struct {
			name         string
			budget       int
			method, path string
			body         any
			status       int
		}{
			{"invite: lock, expired ones, accounts, holders, number; invitation, claims, pot, delivery, audit; read, delivery", 12,
				http.MethodPost, invitations, apitest.Object{"email": "bob@example.com"}, 201},
			{"invite without a mail: the same but for deliveries", 9,
				http.MethodPost, invitations, apitest.Object{"email": "eve@example.com", "send": false}, 201},
			{"invite again: lock, expired ones, accounts, holders, number; claims, audit; who is", 8,
				http.MethodPost, invitations, named, 409},
			{"verify a forged code", 0, http.MethodPost, p.Front + "/invitations/verify", forged, 400},
			{"verify", 1, http.MethodPost, p.Front + "/invitations/verify", code, 200},
			{"ask again: holder; secret, invitation, pot, delivery, audit", 6, http.MethodPost, p.Front + "/invitations/resend", named, 202},
			{"ask again within the cool-down: holder; secret, why, audit", 4, http.MethodPost, p.Front + "/invitations/resend", named, 429},
			{"ask for nobody's: holder", 1, http.MethodPost, p.Front + "/invitations/resend", apitest.Object{"email": "nobody@example.com"}, 404},
			{"register who is invited: holder", 1, http.MethodPost, p.Front + "/registrations", register, 409},
			{"redeem a forged code", 0, http.MethodPost, p.Front + "/invitations/redeem", apitest.Merge(register, forged), 400},
			{"redeem with another address: read; audit", 2, http.MethodPost, p.Front + "/invitations/redeem",
				i.RedeemBody(apitest.Object{"email": "eve@example.com"}), 403},
			{"redeem with a bad password: read; audit", 2, http.MethodPost, p.Front + "/invitations/redeem",
				i.RedeemBody(apitest.Object{"password": "short"}), 422},
			{"redeem: read; accepted, others, claim, account, session, audit", 7, http.MethodPost, p.Front + "/invitations/redeem", i.RedeemBody(), 201},
			{"redeem again: read; audit", 2, http.MethodPost, p.Front + "/invitations/redeem", i.RedeemBody(), 410},
			{"look at one: read, delivery", 2, http.MethodGet, i.Admin, nil, 200},
			{"resend: read; secret, invitation, claims, pot, delivery, audit; read, delivery", 9, http.MethodPost, deleted.Admin + "/resend", nil, 202},
			{"delete: invitation, messages, audit", 3, http.MethodDelete, deleted.Admin, nil, 204},
			{"delete one that was accepted: invitation, why", 2, http.MethodDelete, i.Admin, nil, 409},
			{"list: read, deliveries", 2, http.MethodGet, invitations, nil, 200},
		} {
			h.Patch(t, p.Admin, apitest.Object{}, apitest.AsOperator).Status(http.StatusOK) // the portal is in the cache
			h.Get(t, p.Front).Status(http.StatusOK)
			ctx, counter := databasetest.CountStatements(context.Background())
			h.Call(t, tt.method, tt.path, tt.body, apitest.AsOperator, apitest.InContext(ctx)).Status(tt.status)
			require.EqualValues(t, tt.budget, counter.N(), "%s: %q", tt.name, counter.Texts())
		}
	})
}
