package onetime

import (
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/fault"
)

// atOnce runs fn n times at once, over both instances in turn, and counts the answers by their codes.
func atOnce(n int, instances [2]*Service, fn func(s *Service, i int) error) (map[fault.Code]int, []error) {
	var (
		answers = make([]error, n)
		start   = make(chan struct{})
		all     sync.WaitGroup
	)
	for i := range n {
		all.Go(func() {
			<-start
			answers[i] = fn(instances[i%2], i)
		})
	}
	close(start)
	all.Wait()
	codes := make(map[fault.Code]int)
	for _, err := range answers {
		codes[fault.CodeOf(err)]++
	}
	return codes, answers
}

func TestOneRedeems(t *testing.T) {
	t.Parallel()
	const racers, rounds = 32, 100
	want := map[fault.Code]int{"": 1, fault.TokenUsed: racers - 1}
	eachTwice(t, func(t *testing.T, l *ledger, instances [2]*Service) {
		for range rounds {
			for _, purpose := range []Purpose{Confirmation, Password, LoginCode} {
				p := l.person()
				issued, err := l.Issue(l.ctx, l.portal, p.wants(purpose))
				require.NoError(t, err)
				secret, err := l.Secret(l.ctx, l.portal, purpose, p.subject, issued.Generation)
				require.NoError(t, err)
				codes, answers := atOnce(racers, instances, func(s *Service, _ int) error {
					_, err := s.consumeToken(l.ctx, l.portal, purpose, secret.Token)
					return err
				})
				require.Equal(t, want, codes, "%s: %v", purpose, errors.Join(answers...))
			}
		}
	})
}

// TestOneRedeemsOfBothFaces lets half of the racers type the code, and all of them do it in a transaction.
func TestOneRedeemsOfBothFaces(t *testing.T) {
	t.Parallel()
	const racers = 16
	eachTwice(t, func(t *testing.T, l *ledger, instances [2]*Service) {
		p := l.person()
		secret := l.issue(p)
		codes, answers := atOnce(racers, instances, func(s *Service, i int) error {
			given := Credential{Token: secret.Token}
			if i/2%2 == 0 {
				given = Credential{EmailDigest: p.subject, Code: secret.Code}
			}
			found, err := s.Check(l.ctx, l.portal, Confirmation, given)
			if err != nil {
				return err
			}
			return s.Consume(l.ctx, l.portal, Confirmation, found)
		})
		require.Equal(t, map[fault.Code]int{"": 1, fault.TokenUsed: racers - 1}, codes, "%v", errors.Join(answers...))
	})
}

func TestFiveWrongCodesAreHeard(t *testing.T) {
	t.Parallel()
	const guesses = 64
	eachTwice(t, func(t *testing.T, l *ledger, instances [2]*Service) {
		p := l.person()
		secret := l.issue(p)
		codes, answers := atOnce(guesses, instances, func(s *Service, i int) error {
			_, err := s.Check(l.ctx, l.portal, Confirmation, Credential{EmailDigest: p.subject, Code: wrong(i)})
			return err
		})
		require.Equal(t, map[fault.Code]int{fault.TokenInvalid: Tries, fault.CodeAttemptsExhausted: guesses - Tries}, codes,
			"%v", errors.Join(answers...))

		var left []int
		for _, err := range answers {
			var f *fault.Error
			require.ErrorAs(t, err, &f)
			if f.Code == fault.TokenInvalid {
				left = append(left, f.Members["attempts_remaining"].(int))
			} else {
				require.Positive(t, f.RetryAfter)
			}
		}
		require.ElementsMatch(t, []int{4, 3, 2, 1, 0}, left)

		requireCode(t, fault.CodeAttemptsExhausted, l.redeemCode(p.subject, secret.Code))
		require.NoError(t, l.redeemToken(secret.Token), "the link of the same secret stays good")
	})
}

// TestOneIsIssued asks at once for an address that has a row and for one that has none.
func TestOneIsIssued(t *testing.T) {
	t.Parallel()
	const callers = 10
	want := map[fault.Code]int{"": 1, fault.ResendTooSoon: callers - 1}
	eachTwice(t, func(t *testing.T, l *ledger, instances [2]*Service) {
		p := l.person()
		for range 3 {
			codes, answers := atOnce(callers, instances, func(s *Service, _ int) error {
				_, err := s.Issue(l.ctx, l.portal, p.wants(Confirmation))
				return err
			})
			require.Equal(t, want, codes, "%v", errors.Join(answers...))
			l.clock.pass(askQuotas[0].Within)
		}
	})
}
