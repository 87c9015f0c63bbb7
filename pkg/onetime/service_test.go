package onetime

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
)

func TestSecretIsDerivedWhileItIsGood(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *ledger) {
		p := l.person()
		secretOf := func(i Issued) (Secret, error) {
			return l.Secret(l.ctx, l.portal, Confirmation, p.subject, i.Generation)
		}

		first, err := l.Issue(l.ctx, l.portal, p.wants(Confirmation))
		require.NoError(t, err)
		secret, err := secretOf(first)
		require.NoError(t, err)
		require.Equal(t, first.ExpiresAt, secret.ExpiresAt)
		require.Equal(t, l.clock.now().UTC().Add(ttl), secret.ExpiresAt)
		require.Equal(t, "reset", secret.Variant)
		require.Regexp(t, `^[0-9]{6}$`, secret.Code)
		again, err := secretOf(first)
		require.NoError(t, err)
		require.Equal(t, secret, again, "a mail that is sent twice says the same")

		l.clock.pass(time.Minute)
		second, err := l.Issue(l.ctx, l.portal, p.wants(Confirmation))
		require.NoError(t, err)
		_, err = secretOf(first)
		requireCode(t, fault.TokenSuperseded, err)
		secret, err = secretOf(second)
		require.NoError(t, err)
		require.NotEqual(t, again.Code, secret.Code)
		require.NoError(t, l.redeemToken(secret.Token))
		_, err = secretOf(second)
		requireCode(t, fault.TokenUsed, err)
		_, err = secretOf(Issued{Generation: second.Generation + 1})
		requireCode(t, fault.TokenExpired, err)

		l.clock.pass(time.Minute)
		third, err := l.Issue(l.ctx, l.portal, p.wants(Confirmation))
		require.NoError(t, err)
		l.disable(p)
		_, err = secretOf(third)
		requireCode(t, fault.AccountDisabled, err)
	})
}

func TestOutstanding(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *ledger) {
		p := l.person()
		requireOutstanding := func(want bool) Issued {
			t.Helper()
			issued, outstanding, err := l.Outstanding(l.ctx, l.portal, Confirmation, p.subject)
			require.NoError(t, err)
			require.Equal(t, want, outstanding)
			return issued
		}
		requireOutstanding(false)

		issued, err := l.Issue(l.ctx, l.portal, p.wants(Confirmation))
		require.NoError(t, err)
		require.Equal(t, issued, requireOutstanding(true))
		l.clock.pass(45 * time.Second)
		require.Equal(t, 15*time.Second, requireOutstanding(true).ResendAfter)
		l.clock.pass(5 * time.Minute)
		require.Zero(t, requireOutstanding(true).ResendAfter)
		l.clock.pass(ttl)
		requireOutstanding(false)

		require.NoError(t, l.redeemToken(l.issue(p).Token))
		requireOutstanding(false)
		l.issueLater(p)
		requireOutstanding(true)
		l.set(p, "security_stamp", uuid.New())
		requireOutstanding(false)
	})
}

func TestAccountOf(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *ledger) {
		p := l.person()
		used := l.issue(p)
		require.NoError(t, l.redeemToken(used.Token))
		superseded := l.issueLater(p)
		expired := l.issueLater(p)
		l.clock.pass(ttl)
		l.set(p, "security_stamp", uuid.New())
		for _, token := range []string{used.Token, superseded.Token, expired.Token} {
			account, subject, err := l.AccountOf(l.ctx, l.portal, Confirmation, token)
			require.NoError(t, err)
			require.Equal(t, p.ID, account)
			require.Equal(t, p.subject, subject)
		}

		l.remove(p)
		_, _, err := l.AccountOf(l.ctx, l.portal, Confirmation, expired.Token)
		requireCode(t, fault.TokenExpired, err)
		l.addAccount(p)
		l.exec(`DELETE FROM onetime_secrets WHERE portal_id = ?`, l.portal)
		_, _, err = l.AccountOf(l.ctx, l.portal, Confirmation, expired.Token)
		requireCode(t, fault.TokenExpired, err)
	})
}

func TestKeysRotate(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *ledger) {
		p, lasting := l.person(), l.person()
		old, kept := l.issue(p), l.issue(lasting)
		with := func(keys ...byte) *ledger {
			rotated := *l
			rotated.Service = NewService(Dependencies{Secrets: l.repo, Ring: ringOf(t, keys...), Now: l.clock.now})
			return &rotated
		}

		rotated := with(2, 1)
		_, err := rotated.checkToken(old.Token)
		require.NoError(t, err)
		_, err = rotated.checkCode(p.subject, old.Code)
		require.NoError(t, err)
		fresh := rotated.issueLater(p)
		_, err = rotated.checkToken(old.Token)
		requireCode(t, fault.TokenSuperseded, err)
		_, err = rotated.checkCode(p.subject, old.Code)
		requireCode(t, fault.TokenSuperseded, err)
		_, err = with(1).checkToken(fresh.Token)
		requireCode(t, fault.TokenInvalid, err)

		// What the old key makes of a newer secret's row is forged.
		generation := l.clock.millis.Load()
		forged := seed{l.portal, Confirmation, p.subject, generation, ringOf(t, 1).Primary()}
		token, err := forged.token(l.ring)
		require.NoError(t, err)
		_, err = rotated.checkToken(token)
		requireCode(t, fault.TokenInvalid, err)
		requireCode(t, fault.TokenInvalid, rotated.redeemToken(token))
		_, _, err = rotated.AccountOf(l.ctx, l.portal, Confirmation, token)
		requireCode(t, fault.TokenInvalid, err)
		code, err := forged.shortCode(l.ring)
		require.NoError(t, err)
		_, err = rotated.checkCode(p.subject, code)
		requireCode(t, fault.TokenInvalid, err)
		require.NoError(t, rotated.redeemCode(p.subject, fresh.Code))

		// Without the old key its secrets are as good as never issued.
		alone := with(2)
		_, err = alone.checkToken(kept.Token)
		requireCode(t, fault.TokenInvalid, err)
		_, err = alone.checkCode(lasting.subject, kept.Code)
		requireCode(t, fault.TokenInvalid, err)
		_, outstanding, err := alone.Outstanding(l.ctx, l.portal, Confirmation, lasting.subject)
		require.NoError(t, err)
		require.False(t, outstanding)
		require.NoError(t, l.redeemToken(kept.Token))
	})
}

func TestTransactions(t *testing.T) {
	t.Parallel()
	failed := errors.New("what the secret is for failed")
	each(t, func(t *testing.T, l *ledger) {
		p := l.person()
		var rolledBack Issued
		err := l.db.InTx(l.ctx, func(ctx context.Context) (err error) {
			rolledBack, err = l.Issue(ctx, l.portal, p.wants(Confirmation))
			require.NoError(t, err)
			return failed
		})
		require.ErrorIs(t, err, failed)
		_, err = l.Secret(l.ctx, l.portal, Confirmation, p.subject, rolledBack.Generation)
		requireCode(t, fault.TokenExpired, err)

		secret := l.issue(p)
		for _, given := range []Credential{{Token: secret.Token}, {EmailDigest: p.subject, Code: secret.Code}} {
			found, err := l.Check(l.ctx, l.portal, Confirmation, given)
			require.NoError(t, err)
			err = l.db.InTx(l.ctx, func(ctx context.Context) error {
				require.NoError(t, l.Consume(ctx, l.portal, Confirmation, found))
				requireCode(t, fault.TokenUsed, l.Consume(ctx, l.portal, Confirmation, found))
				return failed
			})
			require.ErrorIs(t, err, failed)
		}
		_, err = l.checkToken(secret.Token)
		require.NoError(t, err, "nothing is consumed where the effects fail")

		err = l.db.InTx(l.ctx, func(ctx context.Context) error {
			_, err := l.Check(ctx, l.portal, Confirmation, Credential{EmailDigest: p.subject, Code: wrong(0)})
			return err
		})
		require.ErrorIs(t, err, errInTx, "a count could be taken back")
	})
}

// TestAHungUpGuessIsCounted lets the caller go while their code is being compared.
func TestAHungUpGuessIsCounted(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *ledger) {
		p := l.person()
		l.issue(p)
		ctx, hangUp := context.WithCancel(l.ctx)
		row, err := l.repo.read(ctx, l.portal, Confirmation, p.subject)
		require.NoError(t, err)
		hangUp()
		after, err := l.miss(ctx, l.portal, guess{p.subject, row, l.clock.now()})
		require.NoError(t, err)
		require.Equal(t, Tries-1, after.remaining(l.clock.now()))
	})
}

// TestAGuessIsCountedWhereItWasCompared lets a newer secret come between reading a row and counting.
func TestAGuessIsCountedWhereItWasCompared(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *ledger) {
		p := l.person()
		l.issue(p)
		was, err := l.repo.read(l.ctx, l.portal, Confirmation, p.subject)
		require.NoError(t, err)
		l.issueLater(p)
		_, err = l.miss(l.ctx, l.portal, guess{p.subject, was, l.clock.now()})
		require.ErrorIs(t, err, database.ErrNotFound)
		_, err = l.checkCode(p.subject, wrong(0))
		require.Equal(t, Tries-1, requireCode(t, fault.TokenInvalid, err).Members["attempts_remaining"])
	})
}

// TestBudget counts the statements of each path.
func TestBudget(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *ledger) {
		p := l.person()
		budget := func(name string, want int64, fn func(ctx context.Context) error) {
			t.Helper()
			ctx, counter := databasetest.CountStatements(l.ctx)
			require.NoError(t, fn(ctx), name)
			require.Equal(t, want, counter.N(), "%s: %v", name, counter.Texts())
		}
		check := func(given Credential) (found Checked) {
			budget("check", 1, func(ctx context.Context) (err error) {
				found, err = l.Check(ctx, l.portal, Confirmation, given)
				return err
			})
			return found
		}
		consume := func(found Checked) {
			budget("consume", 1, func(ctx context.Context) error {
				return l.Consume(ctx, l.portal, Confirmation, found)
			})
		}
		for range 2 {
			budget("issue", 1, func(ctx context.Context) error {
				_, err := l.Issue(ctx, l.portal, p.wants(Confirmation))
				return err
			})
			l.clock.pass(time.Minute)
		}
		secret := l.issue(p)
		check(Credential{Token: secret.Token})
		budget("a wrong code", 2, func(ctx context.Context) error {
			_, err := l.Check(ctx, l.portal, Confirmation, Credential{EmailDigest: p.subject, Code: wrong(0)})
			requireCode(t, fault.TokenInvalid, err)
			return nil
		})
		consume(check(Credential{EmailDigest: p.subject, Code: secret.Code}))
		consume(check(Credential{Token: l.issueLater(p).Token}))
		secret = l.issueLater(p)
		budget("redeem a token", 1, func(ctx context.Context) error {
			_, err := l.consumeToken(ctx, l.portal, Confirmation, secret.Token)
			return err
		})
	})
}

func TestSweep(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *ledger) {
		over, worn, touched, recent := l.person(), l.person(), l.person(), l.person()
		l.wearOut(worn)
		_, err := l.Issue(l.ctx, l.addPortal(2), fromStranger(l.stranger()))
		require.NoError(t, err)
		token := l.issue(over).Token
		l.issue(touched)

		l.clock.pass(database.Kept)
		require.Equal(t, 1, l.guess(touched.subject, 1))
		good := l.issue(recent).Token
		requireSwept := func(want, batch int) {
			t.Helper()
			n, err := l.Sweep(l.ctx, batch)
			require.NoError(t, err)
			require.Equal(t, want, n)
		}
		l.clock.pass(ttl - time.Millisecond)
		_, err = l.checkToken(good)
		require.NoError(t, err)
		l.clock.pass(time.Millisecond)
		requireSwept(0, 100)
		l.clock.pass(time.Millisecond)
		requireSwept(1, 1)
		requireSwept(1, 100)
		requireSwept(0, 100)

		_, err = l.checkToken(token)
		requireCode(t, fault.TokenExpired, err)
		for _, p := range []person{worn, touched, recent} {
			row, err := l.repo.read(l.ctx, l.portal, Confirmation, p.subject)
			require.NoError(t, err)
			require.NotZero(t, row.generation)
		}
		require.Regexp(t, longForm, l.issue(worn).Code, "the next code of an address is still long")

		l.clock.pass(keptLong - time.Hour)
		requireSwept(2, 100)
		require.Regexp(t, longForm, l.issue(worn).Code)
		l.clock.pass(keptLong + time.Hour)
		requireSwept(1, 100)
	})
}
