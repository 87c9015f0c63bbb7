package onetime

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// asks asks for a secret and gives how long the next one is held for.
func (l *ledger) asks(w IssueRequest) (resendAfter time.Duration, err error) {
	issued, err := l.Issue(l.ctx, l.portal, w)
	return issued.ResendAfter, err
}

func (l *ledger) requireHeld(w IssueRequest, want time.Duration) {
	l.t.Helper()
	_, err := l.asks(w)
	require.Equal(l.t, want, requireCode(l.t, fault.ResendTooSoon, err).RetryAfter)
}

func TestCoolDown(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *ledger) {
		for _, w := range []IssueRequest{l.person().wants(Confirmation), fromStranger(l.stranger())} {
			after, err := l.asks(w)
			require.NoError(t, err)
			require.Equal(t, time.Minute, after)
			l.requireHeld(w, time.Minute)
			l.clock.pass(time.Minute - time.Millisecond)
			l.requireHeld(w, time.Second) // 1 ms, but a 429 says a second at least

			other := w
			other.Purpose = LoginCode
			_, err = l.asks(other)
			require.NoError(t, err, "each purpose has a count of its own")

			l.clock.pass(time.Millisecond)
			_, err = l.asks(w)
			require.NoError(t, err)
		}
	})
}

func TestCaps(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *ledger) {
		w := l.person().wants(Confirmation)
		for range 4 {
			after, err := l.asks(w)
			require.NoError(t, err)
			require.Equal(t, time.Minute, after)
			l.clock.pass(time.Minute)
		}
		after, err := l.asks(w)
		require.NoError(t, err)
		require.Equal(t, 56*time.Minute, after, "the fifth within the hour holds back the sixth until the first is an hour old")
		l.clock.pass(10 * time.Minute)
		l.requireHeld(w, 46*time.Minute)

		// Four more hours with five each make twenty within the day.
		for range 3 {
			l.clock.pass(time.Hour)
			for range 5 {
				after, err = l.asks(w)
				require.NoError(t, err)
				l.clock.pass(time.Minute)
			}
		}
		const since = 4*time.Minute + 10*time.Minute + 3*time.Hour + 15*time.Minute // the first was asked for
		require.Equal(t, 24*time.Hour-since+time.Minute, after)
		l.clock.pass(2 * time.Hour)
		l.requireHeld(w, 22*time.Hour-since)
		l.clock.pass(22*time.Hour - since)
		_, err = l.asks(w)
		require.NoError(t, err)
		l.requireHeld(w, time.Minute)
	})
}

func TestAdministratorsSendBesidesTheCaps(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *ledger) {
		p := l.person()
		own, sent := p.wants(Confirmation), p.wants(Confirmation)
		sent.ByAdministrator = true

		_, err := l.asks(own)
		require.NoError(t, err)
		after, err := l.asks(sent)
		require.NoError(t, err, "the person's cool-down is not the administrator's")
		require.Equal(t, time.Minute, after)
		l.requireHeld(sent, time.Minute)
		for range 30 {
			l.clock.pass(time.Minute)
			_, err = l.asks(sent)
			require.NoError(t, err, "no caps")
		}
		for range 4 {
			_, err = l.asks(own)
			require.NoError(t, err, "what an administrator sends does not use up the person's")
			l.clock.pass(time.Minute)
		}
		_, err = l.asks(own)
		requireCode(t, fault.ResendTooSoon, err)
	})
}

// TestGenerationsRise holds that the newest is the highest though a clock stands still or goes back.
func TestGenerationsRise(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *ledger) {
		p := l.person()
		w := p.wants(Confirmation)
		first, err := l.Issue(l.ctx, l.portal, w)
		require.NoError(t, err)
		require.Equal(t, l.clock.millis.Load(), first.Generation)
		w.ByAdministrator = true
		second, err := l.Issue(l.ctx, l.portal, w)
		require.NoError(t, err)
		require.Equal(t, first.Generation+1, second.Generation)
		l.clock.pass(2 * time.Hour)
		third, err := l.Issue(l.ctx, l.portal, w)
		require.NoError(t, err)
		l.clock.pass(-time.Hour)
		w.ByAdministrator = false
		_, err = l.asks(w)
		require.NoError(t, err)
		fourth, outstanding, err := l.Outstanding(l.ctx, l.portal, Confirmation, p.subject)
		require.NoError(t, err)
		require.True(t, outstanding)
		require.Equal(t, third.Generation+1, fourth.Generation)
		secret, err := l.Secret(l.ctx, l.portal, Confirmation, p.subject, fourth.Generation)
		require.NoError(t, err)
		require.NoError(t, l.redeemCode(p.subject, secret.Code))
	})
}

// TestAttemptsRemaining counts down to whatever limit comes first.
func TestAttemptsRemaining(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *ledger) {
		p := l.person()
		remaining := func(code string) any {
			_, err := l.checkCode(p.subject, code)
			return requireCode(t, fault.TokenInvalid, err).Members["attempts_remaining"]
		}
		l.issue(p)
		require.Equal(t, 4, remaining(wrong(0)))
		require.Equal(t, 3, remaining(wrong(0)), "the same wrong code once more is one more")
		l.guess(p.subject, 3)
		l.issueLater(p)
		require.Equal(t, 4, remaining(wrong(1)), "a fresh code has fresh tries")
		l.guess(p.subject, 4)
		l.issueLater(p)
		l.guess(p.subject, 1)
		l.issueLater(p)
		require.Equal(t, 3, remaining(wrong(2)), "12 of the hour's 15 are gone")
	})
}

// guessAfresh is guess with a fresh code.
func (l *ledger) guessAfresh(p person) int {
	l.t.Helper()
	l.issue(p)
	return l.guess(p.subject, Tries+1)
}

// TestALoginEndsTheRow holds that wrong codes before a login, or before a right code, do not add up with those after it.
func TestALoginEndsTheRow(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *ledger) {
		for _, test := range []struct {
			name    string
			succeed func(p person)
		}{
			{"login", l.logIn},
			{"code", func(p person) { require.NoError(t, l.redeemCode(p.subject, l.issue(p).Code)) }},
		} {
			p := l.person()
			for i := range 2 * triesInARow / Tries {
				require.Equal(t, Tries, l.guessAfresh(p), test.name)
				l.clock.pass(6 * time.Hour)
				if i%19 == 18 { // 95
					test.succeed(p)
					l.clock.pass(time.Minute)
				}
			}
		}
	})
}

// TestGuessesWithoutASecret types codes for an address that never got one.
func TestGuessesWithoutASecret(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *ledger) {
		p := l.person()
		require.Equal(t, Tries, l.guess(p.subject, 10))
		_, err := l.checkCode(p.subject, wrong(0))
		require.Equal(t, time.Second, requireCode(t, fault.CodeAttemptsExhausted, err).RetryAfter, "one may be asked for now")
		_, outstanding, err := l.Outstanding(l.ctx, l.portal, Confirmation, p.subject)
		require.NoError(t, err)
		require.False(t, outstanding)
		secret := l.issue(p)
		_, err = l.Secret(l.ctx, l.portal, Confirmation, p.subject, 0)
		requireCode(t, fault.TokenSuperseded, err)
		require.NoError(t, l.redeemCode(p.subject, secret.Code))
	})
}

// TestWhatCountsAsWrong holds that an older code, or an entry that is none, does not.
func TestWhatCountsAsWrong(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *ledger) {
		p := l.person()
		used := l.issue(p)
		require.NoError(t, l.redeemToken(used.Token))
		superseded := l.issueLater(p)
		last := l.issueLater(p)
		for range 2 * Tries {
			_, err := l.checkCode(p.subject, used.Code)
			requireCode(t, fault.TokenUsed, err)
			_, err = l.checkCode(p.subject, superseded.Code)
			requireCode(t, fault.TokenSuperseded, err)
			_, err = l.checkCode(p.subject, last.Code[:5])
			require.Empty(t, requireCode(t, fault.TokenInvalid, err).Members)
			_, err = l.checkCode(p.subject, last.Code)
			require.NoError(t, err)
		}
		_, err := l.checkCode(p.subject, wrong(0))
		require.Equal(t, Tries-1, requireCode(t, fault.TokenInvalid, err).Members["attempts_remaining"])
		l.clock.pass(ttl)
		_, err = l.checkCode(p.subject, last.Code)
		requireCode(t, fault.TokenExpired, err)
		l.guess(p.subject, Tries-1)
		for _, code := range []string{used.Code, superseded.Code, last.Code} {
			_, err = l.checkCode(p.subject, code)
			requireCode(t, fault.CodeAttemptsExhausted, err)
		}
	})
}

func TestCodesBelongToOneAddressPurposeAndPortal(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *ledger) {
		p, other := l.person(), l.person()
		secret := l.issue(p)
		elsewhere := l.addPortal(2)
		for _, at := range []struct {
			portal  ids.Portal
			purpose Purpose
			subject digest.Digest
		}{{l.portal, Confirmation, other.subject}, {l.portal, LoginCode, p.subject}, {elsewhere, Confirmation, p.subject}} {
			_, err := l.Check(l.ctx, at.portal, at.purpose, Credential{EmailDigest: at.subject, Code: secret.Code})
			require.Equal(t, Tries-1, requireCode(t, fault.TokenInvalid, err).Members["attempts_remaining"])
		}
		require.NoError(t, l.redeemCode(p.subject, secret.Code))
	})
}
