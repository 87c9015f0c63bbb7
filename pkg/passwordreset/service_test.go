package passwordreset_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/app/apptest"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/challenge"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/lockout"
	"github.com/latchkey-auth/latchkey/pkg/login"
	"github.com/latchkey-auth/latchkey/pkg/onetime"
	"github.com/latchkey-auth/latchkey/pkg/passwordreset"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

const address = "ada@example.com"

func each(t *testing.T, run func(t *testing.T, app *apptest.App), change ...func(*portal.Settings)) {
	t.Helper()
	databasetest.Each(t, func(t *testing.T, db *database.DB) { run(t, apptest.New(t, db, change...)) })
}

func withoutPassword(c *account.Changes) { c.Password = nil }

func disabled(c *account.Changes) {
	yes := true
	c.Disabled = &yes
}

// byCode is the newest code that Ada was mailed.
func byCode(t *testing.T, app *apptest.App) challenge.Credential {
	t.Helper()
	return challenge.Credential{Email: apptest.Address(t, address), Code: app.Secret(t, onetime.Password, address).Code}
}

func TestRedeem(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, app *apptest.App) {
		ctx, no := t.Context(), false
		ada := app.Person(t, address, func(c *account.Changes) { c.Confirmed = &no })
		lockouts, of := lockout.NewRepository(app.DB), app.Digests.OfEmail(app.Portal.ID, ada.Email)
		for range app.Portal.Lockout.Threshold {
			_, _, err := lockouts.Fail(ctx, app.Portal.ID, lockout.Failure{
				Kind: lockout.Login, Digest: of, Rules: app.Portal.Lockout, At: app.Clock.Now(),
			})
			require.NoError(t, err)
		}
		issued, err := app.PasswordResets.Issue(ctx, app.Portal, ada.Email)
		require.NoError(t, err)
		require.Equal(t, app.Portal.ResetTTL.Duration(), issued.ExpiresIn)

		verified, err := app.PasswordResets.Verify(ctx, app.Portal, byCode(t, app))
		require.NoError(t, err)
		require.Equal(t, passwordreset.Reset, verified.Variant)
		require.Equal(t, address, verified.Email)

		presented := byCode(t, app)
		err = app.PasswordResets.Redeem(ctx, app.Portal, presented, "short") // consumes nothing
		apptest.RequireCode(t, fault.PasswordRejected, err)
		require.NoError(t, app.PasswordResets.Redeem(ctx, app.Portal, presented, apptest.OtherPassword))
		apptest.RequireCode(t, fault.TokenUsed, app.PasswordResets.Redeem(ctx, app.Portal, presented, apptest.GoodPassword))

		after := app.Stored(t, address)
		require.NotNil(t, after.Confirmed)
		require.NotEqual(t, ada.SecurityStamp, after.SecurityStamp, "the reset ends sessions and secrets")
		require.Equal(t, []delivery.Kind{delivery.ResetPassword, delivery.PasswordChanged}, app.Messages(t, ada.ID))
		for secret, want := range map[string]fault.Code{apptest.GoodPassword: fault.IncorrectCredentials, apptest.OtherPassword: ""} {
			_, err = app.Login.WithPassword(ctx, app.Portal, login.Attempt{Email: ada.Email, Password: secret, Transport: "token"})
			apptest.RequireCode(t, want, err) // and the lock is gone
		}
	})
}

// An account without a password is mailed a secret of the other variant, which supersedes and is superseded by resets.
func TestFirstPassword(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, app *apptest.App) {
		ctx, ada := t.Context(), app.Person(t, address, withoutPassword)
		receipt, err := app.PasswordResets.Outstanding(ctx, app.Portal, ada)
		require.NoError(t, err)
		again, err := app.PasswordResets.Outstanding(ctx, app.Portal, ada)
		require.NoError(t, err)
		require.Equal(t, receipt.ID, again.ID, "the mail that is on its way is answered again")
		first := app.Secret(t, onetime.Password, address)
		require.Equal(t, passwordreset.Set, first.Variant)
		require.WithinDuration(t, app.Clock.Now().Add(app.Portal.SetPasswordTTL.Duration()), first.ExpiresAt, time.Second)

		app.Clock.Advance(time.Minute)
		_, err = app.PasswordResets.IssueAgain(ctx, app.Portal, first.Token)
		require.NoError(t, err)
		err = app.PasswordResets.Redeem(ctx, app.Portal, challenge.Credential{Token: first.Token}, apptest.GoodPassword)
		apptest.RequireCode(t, fault.TokenSuperseded, err)
		require.NoError(t, app.PasswordResets.Redeem(ctx, app.Portal, byCode(t, app), apptest.GoodPassword))
		require.True(t, app.Stored(t, address).HasPassword())
	})
}

// The cool-down forbids a new mail after a secret that is not good any more.
func TestOutstandingInCoolDown(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, app *apptest.App) {
		ctx, ada := t.Context(), app.Person(t, address, withoutPassword)
		_, err := app.PasswordResets.Outstanding(ctx, app.Portal, ada)
		require.NoError(t, err)
		require.NoError(t, app.PasswordResets.Redeem(ctx, app.Portal, byCode(t, app), apptest.GoodPassword))
		receipt, err := app.PasswordResets.Outstanding(ctx, app.Portal, app.Stored(t, address))
		require.NoError(t, err)
		require.Nil(t, receipt)
	})
}

func TestIssueRefusesAtOpenPortals(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, app *apptest.App) {
		ada := app.Person(t, address, disabled)
		_, err := app.PasswordResets.Issue(t.Context(), app.Portal, ada.Email)
		apptest.RequireCode(t, fault.AccountDisabled, err)
		_, err = app.PasswordResets.Issue(t.Context(), app.Portal, apptest.Address(t, "nobody@example.com"))
		apptest.RequireCode(t, fault.EmailNotFound, err)
	})
}

// A private portal answers alike for every address, with the same statements. It mails those alone who may reset.
func TestIssueIsAlikeAtPrivatePortals(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, app *apptest.App) {
		people := map[string]ids.Account{
			"active@example.com":       app.Person(t, "active@example.com").ID,
			"disabled@example.com":     app.Person(t, "disabled@example.com", disabled).ID,
			"passwordless@example.com": app.Person(t, "passwordless@example.com", withoutPassword).ID,
			"nobody@example.com":       {},
		}
		var first []string
		for typed := range people {
			ctx, counted := databasetest.CountStatements(context.Background())
			issued, err := app.PasswordResets.Issue(ctx, app.Portal, apptest.Address(t, typed))
			require.NoError(t, err, typed)
			require.Equal(t, app.Portal.ResetTTL.Duration(), issued.ExpiresIn, typed)
			if first == nil {
				first = counted.Texts()
			}
			require.Equal(t, first, counted.Texts(), typed)
		}
		require.Equal(t, []delivery.Kind{delivery.ResetPassword}, app.Messages(t, people["active@example.com"]))
		require.Equal(t, []delivery.Kind{delivery.SetPassword}, app.Messages(t, people["passwordless@example.com"]))
		require.Empty(t, app.Messages(t, people["disabled@example.com"]))
		require.Len(t, app.Messages(t, ids.Account{}), 2)
		require.EqualValues(t, 4, app.Events(t, audit.ResetRequested, "success"))
	}, apptest.Private)
}
