package budgets_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// The statements of issue, verify and redeem, with what they cause spelled out; BEGIN and COMMIT apart, and the job of a
// message, which River inserts.
func TestSecretBudgets(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t)
		ada := o.Account(t, p, apitest.Object{"confirmed": false})
		confirm, reset := o.RequestSecret(t, p, apitest.Confirmations, ada.Email), o.RequestSecret(t, p, apitest.PasswordResets, ada.Email)
		o.AwaitAllSent(t)
		o.Clock.Advance(apitest.ResendInterval)
		body := func(secret apitest.Object, password string) apitest.Object {
			secret["password"] = password
			return secret
		}
		for _, tt := range []struct {
			name   string
			budget int
			path   string
			body   apitest.Object
			status int
		}{
			{"register: account; secret, claim replaced, claim, pot, delivery, audit", 7, "/registrations",
				apitest.Object{"email": apitest.Newcomer, "password": apitest.GoodPassword}, 201},
			{"verify a forged token", 0, "/confirmations/verify", apitest.Object{"token": confirm.Token + "A"}, 400},
			{"verify a link: secret", 1, "/confirmations/verify", confirm.ByLink(), 200},
			{"verify a code: secret", 1, "/password-resets/verify", reset.ByCode(ada.Email), 200},
			{"verify a wrong code: secret, count, audit", 3, "/confirmations/verify", confirm.WrongCode(ada.Email), 400},
			{"confirm: secret, account; secret, account, audit", 5, "/confirmations/redeem", confirm.ByLink(), 200},
			{"confirm again: secret, audit", 2, "/confirmations/redeem", confirm.ByLink(), 410},
			{"reset, refused password: secret, account", 2, "/password-resets/redeem", body(reset.ByLink(), "short"), 422},
			{"reset: secret, account; secret, account, two counts, delivery, audit", 8, "/password-resets/redeem", body(reset.ByLink(), apitest.OtherPassword), 200},
			{"issue: account; secret, delivery, audit", 4, "/password-resets", apitest.Object{"email": ada.Email}, 202},
			{"issue within the cool-down: account, secret, why, audit", 4, "/password-resets", apitest.Object{"email": ada.Email}, 429},
		} {
			ctx, counter := databasetest.CountStatements(context.Background())
			o.Post(t, p.Front+tt.path, tt.body, apitest.InContext(ctx)).Status(tt.status)
			require.EqualValues(t, tt.budget, counter.N(), "%s: %q", tt.name, counter.Texts())
		}
	})
}
