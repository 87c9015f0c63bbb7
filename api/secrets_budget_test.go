package api_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// The statements of issue, verify and redeem, with what they cause spelled out; BEGIN and COMMIT apart, and the job of a
// message, which River inserts.
func TestSecretBudgets(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t)
		ada := o.account(t, p, object{"confirmed": false})
		confirm, reset := o.asks(t, p, confirmations, ada.email), o.asks(t, p, resets, ada.email)
		o.quiet(t)
		o.clock.advance(nextAsk)
		body := func(secret object, password string) object {
			secret["password"] = password
			return secret
		}
		for _, tt := range []struct {
			name   string
			budget int
			path   string
			body   object
			status int
		}{
			{"register: account; secret, claim replaced, claim, delivery, audit", 6, "/registrations",
				object{"email": newcomer, "password": goodPassword}, 201},
			{"verify a forged token", 0, "/confirmations/verify", object{"token": confirm.token + "A"}, 400},
			{"verify a link: secret", 1, "/confirmations/verify", confirm.byLink(), 200},
			{"verify a code: secret", 1, "/password-resets/verify", reset.byCode(ada.email), 200},
			{"verify a wrong code: secret, count, audit", 3, "/confirmations/verify", confirm.wrongCode(ada.email), 400},
			{"confirm: secret, account; secret, account, audit", 5, "/confirmations/redeem", confirm.byLink(), 200},
			{"confirm again: secret, audit", 2, "/confirmations/redeem", confirm.byLink(), 410},
			{"reset, refused password: secret, account", 2, "/password-resets/redeem", body(reset.byLink(), "short"), 422},
			{"reset: secret, account; secret, account, two counts, delivery, audit", 8, "/password-resets/redeem", body(reset.byLink(), newPassword), 200},
			{"issue: account; secret, delivery, audit", 4, "/password-resets", object{"email": ada.email}, 202},
			{"issue within the cool-down: account, secret, why, audit", 4, "/password-resets", object{"email": ada.email}, 429},
		} {
			ctx, counter := databasetest.CountStatements(context.Background())
			o.post(t, p.front+tt.path, tt.body, inContext(ctx)).status(tt.status)
			require.EqualValues(t, tt.budget, counter.N(), "%s: %q", tt.name, counter.Texts())
		}
	})
}
