package onetime

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/fault"
)

const (
	shortForm = `^[0-9]{6}$`
	longForm  = `^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$`
)

// wrongLong is a long code that no test's secret has.
func wrongLong(i int) string { return fmt.Sprintf("ZZZZ-%04d", i) }

// issueFor is issue for any purpose.
func (l *ledger) issueFor(p person, purpose Purpose) Secret {
	l.t.Helper()
	issued, err := l.Issue(l.ctx, l.portal, p.wants(purpose))
	require.NoError(l.t, err)
	secret, err := l.Secret(l.ctx, l.portal, purpose, p.subject, issued.Generation)
	require.NoError(l.t, err)
	return secret
}

// mistype types n wrong codes, all of which must count.
func (l *ledger) mistype(p person, n int) {
	l.t.Helper()
	require.Equal(l.t, n, l.guess(p.subject, n))
}

// wearOut types as many wrong codes as an hour takes, and waits until a code may be asked for.
func (l *ledger) wearOut(p person) {
	l.t.Helper()
	for range 3 {
		l.issue(p)
		l.mistype(p, Tries)
		l.clock.pass(time.Minute)
	}
}

// requireInvalid types a wrong code that must be counted, or not, without a number of tries.
func (l *ledger) requireInvalid(p person, purpose Purpose, code string) {
	l.t.Helper()
	_, err := l.Check(l.ctx, l.portal, purpose, Credential{EmailDigest: p.subject, Code: code})
	require.Empty(l.t, requireCode(l.t, fault.TokenInvalid, err).Members)
}

func (l *ledger) triesOf(p person, purpose Purpose) int {
	l.t.Helper()
	row, err := l.repo.read(l.ctx, l.portal, purpose, p.subject)
	require.NoError(l.t, err)
	return row.tries
}

// TestTooManyWrongCodesMakeTheNextLong checks each limit to the very try.
func TestTooManyWrongCodesMakeTheNextLong(t *testing.T) {
	t.Parallel()
	for _, limit := range []struct {
		name  string
		wrong int
		pause time.Duration // between codes
	}{
		{"15 an hour", 15, time.Minute},
		{"50 a day", 50, 90 * time.Minute},
		{"100 in a row", triesInARow, 3 * time.Hour},
	} {
		t.Run(limit.name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, l *ledger) {
				p := l.person()
				secret := l.issue(p)
				for n := 1; n < limit.wrong; n++ {
					if n%4 == 0 { // one try is always left
						l.clock.pass(limit.pause)
						secret = l.issue(p)
					}
					l.mistype(p, 1)
				}
				require.Regexp(t, shortForm, secret.Code)
				found, err := l.checkCode(p.subject, secret.Code)
				require.NoError(t, err)
				_, err = l.checkCode(p.subject, wrong(0))
				require.Zero(t, requireCode(t, fault.TokenInvalid, err).Members["attempts_remaining"])

				for range 2 {
					for _, code := range []string{secret.Code, wrong(0), wrongLong(0)} {
						_, err = l.checkCode(p.subject, code)
						require.Equal(t, time.Minute, requireCode(t, fault.CodeAttemptsExhausted, err).RetryAfter)
					}
					requireCode(t, fault.CodeAttemptsExhausted, l.Consume(l.ctx, l.portal, Confirmation, found))
				}
				_, err = l.checkToken(secret.Token)
				require.NoError(t, err, "the link of the same secret stays good")

				next := l.issueLater(p)
				require.Regexp(t, longForm, next.Code)
				for i := range 200 {
					l.requireInvalid(p, Confirmation, wrongLong(i))
				}
				l.clock.pass(10 * 24 * time.Hour)
				next = l.issue(p)
				require.Regexp(t, longForm, next.Code, "waiting changes nothing")
				require.NoError(t, l.redeemCode(p.subject, next.Code))
				require.Regexp(t, shortForm, l.issueLater(p).Code)
			})
		})
	}
}

// TestBackToTheShortCode checks what takes an address back to the short code. All five tries are then there again,
// though the hour is not over. At a private portal only an administrator takes it back: a stranger who sees the form of a
// code must not see that somebody could log in.
func TestBackToTheShortCode(t *testing.T) {
	t.Parallel()
	for _, private := range []bool{false, true} {
		for _, test := range []struct {
			name    string
			succeed func(t *testing.T, l *ledger, p person, s Secret)
			private string // the form at a private portal
		}{
			{"nothing", func(*testing.T, *ledger, person, Secret) {}, longForm},
			{"a link is redeemed", func(t *testing.T, l *ledger, p person, s Secret) {
				found, err := l.Check(l.ctx, l.portal, Confirmation, Credential{Token: s.Token, Private: private})
				require.NoError(t, err)
				require.NoError(t, l.Consume(l.ctx, l.portal, Confirmation, found))
			}, longForm},
			{"a code is redeemed", func(t *testing.T, l *ledger, p person, s Secret) {
				typed := Credential{EmailDigest: p.subject, Code: s.Code, Private: private}
				found, err := l.Check(l.ctx, l.portal, Confirmation, typed)
				require.NoError(t, err)
				require.NoError(t, l.Consume(l.ctx, l.portal, Confirmation, found))
			}, longForm},
			{"a login succeeds", func(_ *testing.T, l *ledger, p person, _ Secret) { l.logIn(p) }, longForm},
			{"an administrator unlocks", func(t *testing.T, l *ledger, p person, _ Secret) {
				require.NoError(t, l.ForgetWrongCodes(l.ctx, l.portal, p.subject))
			}, shortForm},
		} {
			t.Run(fmt.Sprintf("%s, private %t", test.name, private), func(t *testing.T) {
				t.Parallel()
				want := shortForm
				if private {
					want = test.private
				} else if test.name == "nothing" {
					want = longForm
				}
				each(t, func(t *testing.T, l *ledger) {
					p, other := l.person(), l.person()
					l.logIn(p) // before
					l.wearOut(p)
					l.wearOut(other)
					require.Regexp(t, longForm, l.issue(p).Code)
					l.clock.pass(time.Minute)
					test.succeed(t, l, p, l.issue(p))
					l.clock.pass(time.Hour - 6*time.Minute) // the oldest wrong code is not an hour old

					w := p.wants(Confirmation)
					w.Private, w.ByAdministrator = private, true // no cap holds
					w.Account.LastLogin = l.lastLogin(p)
					issued, err := l.Issue(l.ctx, l.portal, w)
					require.NoError(t, err)
					secret, err := l.Secret(l.ctx, l.portal, Confirmation, p.subject, issued.Generation)
					require.NoError(t, err)
					require.Regexp(t, want, secret.Code)
					_, err = l.Check(l.ctx, l.portal, Confirmation,
						Credential{EmailDigest: p.subject, Code: secret.Code, Private: private})
					require.NoError(t, err)
					if want == shortForm {
						for left := Tries - 1; left >= 0; left-- {
							_, err := l.Check(l.ctx, l.portal, Confirmation,
								Credential{EmailDigest: p.subject, Code: wrong(0), Private: private})
							require.Equal(t, left, requireCode(t, fault.TokenInvalid, err).Members["attempts_remaining"])
						}
					}
					require.Regexp(t, longForm, l.issue(other).Code, "another address is another count")
				})
			})
		}
	}
}

// TestALoginRevivesTheOutstandingCode has the person log in while the code that they were sent is refused.
func TestALoginRevivesTheOutstandingCode(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *ledger) {
		p := l.person()
		for range 3 {
			l.issue(p)
			l.mistype(p, 4)
			l.clock.pass(time.Minute)
		}
		secret := l.issue(p)
		l.mistype(p, 3)
		requireCode(t, fault.CodeAttemptsExhausted, l.redeemCode(p.subject, secret.Code))
		l.clock.pass(time.Second)
		l.logIn(p)
		_, err := l.checkCode(p.subject, wrong(0))
		require.Equal(t, 1, requireCode(t, fault.TokenInvalid, err).Members["attempts_remaining"], "of the secret's own five")
		require.NoError(t, l.redeemCode(p.subject, secret.Code))
	})
}

// TestCodesThatSetAPasswordAreLong checks that no number of wrong codes makes a difference, for strangers neither.
func TestCodesThatSetAPasswordAreLong(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *ledger) {
		p, stranger := l.person(), person{subject: l.stranger()}
		for _, typed := range []string{wrong(0), wrongLong(0)} { // before anything was issued
			l.requireInvalid(p, Password, typed)
			l.requireInvalid(stranger, Password, typed)
		}
		secret := l.issueFor(p, Password)
		require.Regexp(t, longForm, secret.Code)
		_, err := l.Issue(l.ctx, l.portal, IssueRequest{Purpose: Password, EmailDigest: stranger.subject, TTL: ttl})
		require.NoError(t, err)
		for i := range 3 * triesInARow {
			l.requireInvalid(p, Password, wrongLong(i))
			l.requireInvalid(stranger, Password, wrongLong(i))
		}
		l.requireInvalid(p, Password, wrong(0))
		require.Equal(t, 3*triesInARow+1, l.triesOf(p, Password))

		found, err := l.Check(l.ctx, l.portal, Password, Credential{EmailDigest: p.subject, Code: secret.Code})
		require.NoError(t, err)
		require.NoError(t, l.Consume(l.ctx, l.portal, Password, found))
		_, err = l.Check(l.ctx, l.portal, Password, Credential{EmailDigest: p.subject, Code: secret.Code})
		requireCode(t, fault.TokenUsed, err)
		l.clock.pass(time.Minute)
		require.Regexp(t, longForm, l.issueFor(p, Password).Code, "a redeemed one changes nothing")
		require.Regexp(t, shortForm, l.issueFor(p, LoginCode).Code, "nor do those of another purpose")
	})
}

// TestAHundredThousandWrongLongCodesAreAccepted tries the last few of them at once.
func TestAHundredThousandWrongLongCodesAreAccepted(t *testing.T) {
	t.Parallel()
	const guesses, left = 64, 7
	eachTwice(t, func(t *testing.T, l *ledger, instances [2]*Service) {
		p := l.person()
		secret := l.issueFor(p, Password)
		found, err := l.Check(l.ctx, l.portal, Password, Credential{EmailDigest: p.subject, Code: secret.Code})
		require.NoError(t, err)
		l.exec(`UPDATE onetime_secrets SET tries = ? WHERE portal_id = ? AND subject = ?`, LongTries-left, l.portal, p.subject)
		codes, answers := atOnce(guesses, instances, func(s *Service, i int) error {
			_, err := s.Check(l.ctx, l.portal, Password, Credential{EmailDigest: p.subject, Code: wrongLong(i)})
			return err
		})
		require.Equal(t, map[fault.Code]int{fault.TokenInvalid: left, fault.CodeAttemptsExhausted: guesses - left}, codes,
			"%v", errors.Join(answers...))
		require.Equal(t, LongTries, l.triesOf(p, Password))

		_, err = l.Check(l.ctx, l.portal, Password, Credential{EmailDigest: p.subject, Code: secret.Code})
		require.Equal(t, time.Minute, requireCode(t, fault.CodeAttemptsExhausted, err).RetryAfter)
		requireCode(t, fault.CodeAttemptsExhausted, l.Consume(l.ctx, l.portal, Password, found))
		_, err = l.Check(l.ctx, l.portal, Password, Credential{Token: secret.Token})
		require.NoError(t, err, "the link of the same secret stays good")

		l.clock.pass(time.Minute)
		next := l.issueFor(p, Password)
		l.requireInvalid(p, Password, wrongLong(0))
		_, err = l.Check(l.ctx, l.portal, Password, Credential{EmailDigest: p.subject, Code: next.Code})
		require.NoError(t, err, "a fresh code has fresh tries")
	})
}

// TestOlderCodesOfEitherForm checks that an older code is told apart from a wrong one, whichever form the newest has.
func TestOlderCodesOfEitherForm(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *ledger) {
		p := l.person()
		requireOlder := func(want map[string]fault.Code) {
			t.Helper()
			for code, reason := range want {
				_, err := l.checkCode(p.subject, code)
				require.Equal(t, reason, fault.CodeOf(err), code)
			}
		}
		used := l.issue(p)
		require.NoError(t, l.redeemCode(p.subject, used.Code))
		l.clock.pass(time.Hour)
		short := l.issue(p)
		l.clock.pass(time.Minute)
		l.wearOut(p)
		long := l.issue(p)
		require.Regexp(t, longForm, long.Code)
		requireOlder(map[string]fault.Code{used.Code: fault.TokenUsed, short.Code: fault.TokenSuperseded, long.Code: ""})

		l.clock.pass(time.Hour)
		newer := l.issue(p)
		requireOlder(map[string]fault.Code{
			used.Code: fault.TokenUsed, short.Code: fault.TokenSuperseded, long.Code: fault.TokenSuperseded, newer.Code: "",
		})
		require.Zero(t, l.triesOf(p, Confirmation), "none of them counts")

		// A stranger does not find a used short code among a million in the tries of a long one.
		for i := range oldCodeTries {
			l.requireInvalid(p, Confirmation, wrong(i))
		}
		l.requireInvalid(p, Confirmation, used.Code)
		require.Equal(t, oldCodeTries+1, l.triesOf(p, Confirmation))
		requireOlder(map[string]fault.Code{long.Code: fault.TokenSuperseded})

		require.NoError(t, l.redeemCode(p.subject, newer.Code))
		last := l.issueLater(p)
		require.Regexp(t, shortForm, last.Code)
		requireOlder(map[string]fault.Code{
			used.Code: fault.TokenUsed, short.Code: fault.TokenSuperseded, long.Code: fault.TokenSuperseded,
			newer.Code: fault.TokenUsed, last.Code: "",
		})
		l.requireInvalid(p, Confirmation, wrongLong(0))
		require.Zero(t, l.triesOf(p, Confirmation), "a long code cannot be the newest, so it costs the person no try")
	})
}

// TestShortCodesOfTheVersionBefore lets a reset that was mailed before the upgrade be redeemed after it: its code is short
// and takes five wrong tries. The next one is long.
func TestShortCodesOfTheVersionBefore(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, l *ledger) {
		before := func(p person) (code string) {
			l.issueFor(p, Password)
			l.exec(`UPDATE onetime_secrets SET long_codes = '' WHERE portal_id = ? AND subject = ?`, l.portal, p.subject)
			row, err := l.repo.read(l.ctx, l.portal, Password, p.subject)
			require.NoError(t, err)
			secret, err := l.Secret(l.ctx, l.portal, Password, p.subject, row.generation)
			require.NoError(t, err)
			require.Regexp(t, shortForm, secret.Code)
			return secret.Code
		}
		p, guessed := l.person(), l.person()
		code := before(p)
		found, err := l.Check(l.ctx, l.portal, Password, Credential{EmailDigest: p.subject, Code: code})
		require.NoError(t, err)
		require.NoError(t, l.Consume(l.ctx, l.portal, Password, found))

		code = before(guessed)
		for left := Tries - 1; left >= 0; left-- {
			_, err = l.Check(l.ctx, l.portal, Password, Credential{EmailDigest: guessed.subject, Code: wrong(0)})
			require.Equal(t, left, requireCode(t, fault.TokenInvalid, err).Members["attempts_remaining"])
		}
		_, err = l.Check(l.ctx, l.portal, Password, Credential{EmailDigest: guessed.subject, Code: code})
		requireCode(t, fault.CodeAttemptsExhausted, err)
		l.clock.pass(time.Minute)
		require.Regexp(t, longForm, l.issueFor(guessed, Password).Code)
		_, err = l.Check(l.ctx, l.portal, Password, Credential{EmailDigest: guessed.subject, Code: code})
		requireCode(t, fault.TokenSuperseded, err)
	})
}

// TestTheLimitsHoldWhateverRaces leaves one try within the hour, and a fresh code that would take five.
func TestTheLimitsHoldWhateverRaces(t *testing.T) {
	t.Parallel()
	const guesses = 64
	eachTwice(t, func(t *testing.T, l *ledger, instances [2]*Service) {
		p := l.person()
		for _, n := range []int{Tries, Tries, Tries - 1} {
			l.issue(p)
			l.mistype(p, n)
			l.clock.pass(time.Minute)
		}
		secret := l.issue(p)
		codes, answers := atOnce(guesses, instances, func(s *Service, i int) error {
			_, err := s.Check(l.ctx, l.portal, Confirmation, Credential{EmailDigest: p.subject, Code: wrong(i)})
			return err
		})
		require.Equal(t, map[fault.Code]int{fault.TokenInvalid: 1, fault.CodeAttemptsExhausted: guesses - 1}, codes,
			"%v", errors.Join(answers...))
		requireCode(t, fault.CodeAttemptsExhausted, l.redeemCode(p.subject, secret.Code))
		require.NoError(t, l.redeemToken(secret.Token))
	})
}
