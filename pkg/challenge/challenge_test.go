package challenge_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
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
	"github.com/latchkey-auth/latchkey/pkg/onetime"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

const address = "ada@example.com"

// fixture is the service under test, and a person with a mailbox.
type fixture struct {
	*apptest.App
	*challenge.Service

	ada *account.Account
}

// each runs a test on both databases.
func each(t *testing.T, run func(t *testing.T, f *fixture)) {
	t.Helper()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		app := apptest.New(t, db)
		run(t, &fixture{App: app, ada: app.Person(t, address), Service: challenge.NewService(challenge.Dependencies{
			DB: db, Accounts: app.Accounts, Secrets: app.Secrets, Messages: app.App.Messages, Audit: app.Audit,
			Digests: app.Digests,
		})})
	})
}

// request is a mail to Ada that carries a secret.
func (f *fixture) request(t *testing.T) challenge.Request {
	t.Helper()
	return challenge.Request{
		Address: apptest.Address(t, address), Account: f.ada, Purpose: onetime.Password, Variant: "reset",
		Kind: delivery.ResetPassword, TTL: time.Hour, Event: audit.ResetRequested,
	}
}

// presented is Ada's newest token.
func (f *fixture) presented(t *testing.T) challenge.Presented {
	t.Helper()
	return challenge.Presented{
		Credential: challenge.Credential{Token: f.Secret(t, onetime.Password, address).Token},
		Purpose:    onetime.Password, Event: audit.ResetRedeemed,
	}
}

func TestIssue(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		issued, err := f.Issue(t.Context(), f.Portal, f.request(t))
		require.NoError(t, err)
		require.Equal(t, time.Hour, issued.ExpiresIn)
		require.Equal(t, time.Minute, issued.ResendAfter)
		require.Equal(t, delivery.Queued, issued.Receipt.Status)
		require.Equal(t, []delivery.Kind{delivery.ResetPassword}, f.Messages(t, f.ada.ID))
		require.EqualValues(t, 1, f.Events(t, audit.ResetRequested, "success"))
		_, err = f.Check(t.Context(), f.Portal, f.presented(t))
		require.NoError(t, err)

		_, err = f.Issue(t.Context(), f.Portal, f.request(t))
		apptest.RequireCode(t, fault.ResendTooSoon, err)
		require.Len(t, f.Messages(t, f.ada.ID), 1)
		require.EqualValues(t, 1, f.Events(t, audit.ResetRequested, "resend_too_soon"))
	})
}

// A request for nobody writes the same rows, and no secret of it is good.
func TestIssueToNobody(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		statements := func(r challenge.Request) []string {
			ctx, counted := databasetest.CountStatements(t.Context())
			_, err := f.Issue(ctx, f.Portal, r)
			require.NoError(t, err)
			return counted.Texts()
		}
		nobody := f.request(t)
		nobody.Account, nobody.Address = nil, apptest.Address(t, "nobody@example.com")
		require.Equal(t, statements(f.request(t)), statements(nobody))
		require.Equal(t, []delivery.Kind{delivery.ResetPassword}, f.Messages(t, ids.Account{}))
		of := f.Digests.OfEmail(f.Portal.ID, nobody.Address)
		_, good, err := f.Secrets.Outstanding(t.Context(), f.Portal.ID, onetime.Password, of)
		require.NoError(t, err)
		require.False(t, good)
	})
}

// The secret, its message and what belongs to it are one transaction.
func TestIssueIsOneTransaction(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		refused, failing := errors.New("refused"), f.request(t)
		failing.Then = func(context.Context, ids.Delivery) error { return refused }
		_, err := f.Issue(t.Context(), f.Portal, failing)
		require.ErrorIs(t, err, refused)
		require.Empty(t, f.Messages(t, f.ada.ID))
		require.Zero(t, f.Events(t, audit.ResetRequested, "success"))
		_, err = f.Issue(t.Context(), f.Portal, f.request(t)) // no cool-down began
		require.NoError(t, err)
	})
}

// A secret is consumed only if what it is for was done.
func TestRedeemIsOneTransaction(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		_, err := f.Issue(t.Context(), f.Portal, f.request(t))
		require.NoError(t, err)
		refused := errors.New("refused")
		fails := func(context.Context, *account.Account, onetime.Checked) error { return refused }
		require.ErrorIs(t, f.Redeem(t.Context(), f.Portal, f.presented(t), challenge.Redemption{Apply: fails}), refused)
		require.ErrorIs(t, f.Redeem(t.Context(), f.Portal, f.presented(t), challenge.Redemption{
			Prepare: func(*account.Account) error { return refused },
			Apply: func(context.Context, *account.Account, onetime.Checked) error {
				t.Error("applied although it was not prepared")
				return nil
			},
		}), refused)
		err = f.Redeem(t.Context(), f.Portal, f.presented(t), challenge.Redemption{
			Apply: func(context.Context, *account.Account, onetime.Checked) error { return database.ErrNotFound },
		})
		apptest.RequireCode(t, fault.TokenExpired, err) // the account changed meanwhile
		require.EqualValues(t, 1, f.Events(t, audit.ResetRedeemed, "token_expired"))

		var seen *account.Account
		presented := f.presented(t)
		apply := challenge.Redemption{Apply: func(_ context.Context, a *account.Account, c onetime.Checked) error {
			seen = a
			require.Equal(t, a.SecurityStamp, c.SecurityStamp)
			return nil
		}}
		require.NoError(t, f.Redeem(t.Context(), f.Portal, presented, apply))
		require.Equal(t, f.ada.ID, seen.ID)
		apptest.RequireCode(t, fault.TokenUsed, f.Redeem(t.Context(), f.Portal, presented, apply))
		require.EqualValues(t, 1, f.Events(t, audit.ResetRedeemed, "token_used"))
	})
}

func TestConcurrentRedeemAppliesOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		_, err := f.Issue(t.Context(), f.Portal, f.request(t))
		require.NoError(t, err)
		var (
			all     sync.WaitGroup
			applied atomic.Int64
			errs    = make([]error, 16)
		)
		presented := f.presented(t)
		for i := range errs {
			all.Go(func() {
				errs[i] = f.Redeem(t.Context(), f.Portal, presented, challenge.Redemption{
					Apply: func(context.Context, *account.Account, onetime.Checked) error { applied.Add(1); return nil },
				})
			})
		}
		all.Wait()
		require.EqualValues(t, 1, applied.Load())
		codes := map[fault.Code]int{}
		for _, err := range errs {
			codes[fault.CodeOf(err)]++
		}
		require.Equal(t, map[fault.Code]int{"": 1, fault.TokenUsed: len(errs) - 1}, codes)
	})
}

// A refusal is recorded only for a secret that belongs to an address.
func TestCheckRecordsRefusals(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		check := func(c challenge.Credential) error {
			_, err := f.Check(t.Context(), f.Portal, challenge.Presented{
				Credential: c, Purpose: onetime.Password, Event: audit.ResetRedeemed,
			})
			return err
		}
		apptest.RequireCode(t, fault.TokenInvalid, check(challenge.Credential{Token: "forged"}))
		require.Zero(t, f.Events(t, audit.ResetRedeemed, "token_invalid"))

		_, err := f.Issue(t.Context(), f.Portal, f.request(t))
		require.NoError(t, err)
		secret := f.Secret(t, onetime.Password, address)
		require.NoError(t, check(challenge.Credential{Email: f.ada.Email, Code: secret.Code}))
		f.Clock.Advance(time.Hour)
		apptest.RequireCode(t, fault.TokenExpired, check(challenge.Credential{Token: secret.Token}))
		require.EqualValues(t, 1, f.Events(t, audit.ResetRedeemed, "token_expired"))
	})
}

func TestAddressee(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f *fixture) {
		_, err := f.Issue(t.Context(), f.Portal, f.request(t))
		require.NoError(t, err)
		token := f.Secret(t, onetime.Password, address).Token
		addressee := func(token string) (*account.Account, error) {
			return f.Addressee(t.Context(), f.Portal, onetime.Password, token)
		}
		f.Clock.Advance(2 * time.Hour) // it expires
		a, err := addressee(token)
		require.NoError(t, err)
		require.Equal(t, f.ada.ID, a.ID)
		_, err = addressee("forged")
		apptest.RequireCode(t, fault.TokenInvalid, err)

		moved := apptest.Address(t, "ada@example.org")
		_, err = f.People.Change(t.Context(), f.Portal, f.ada.ID, account.Changes{Email: &moved})
		require.NoError(t, err)
		_, err = addressee(token)
		apptest.RequireCode(t, fault.TokenExpired, err)
	})
}
