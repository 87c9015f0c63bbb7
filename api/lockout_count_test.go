package api_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// wrongTry is a try with a wrong password.
func (h *harness) wrongTry(t testing.TB, p portal, email string) sent {
	t.Helper()
	return h.prepare(t, http.MethodPost, p.front+"/login", object{"email": email, "password": wrongPassword})
}

func (h *harness) wrongTries(t testing.TB, p portal, email string, n int) []sent {
	t.Helper()
	tries := make([]sent, n)
	for i := range tries {
		tries[i] = h.wrongTry(t, p, email)
	}
	return tries
}

// wrong tries a wrong password.
func (h *harness) wrong(t testing.TB, p portal, email string) *answer {
	t.Helper()
	return h.post(t, p.front+"/login", object{"email": email, "password": wrongPassword})
}

// lock types wrong passwords until the address is locked, and gives the end of the lock.
func (h *harness) lock(t testing.TB, p portal, email string, threshold int) time.Time {
	t.Helper()
	for left := threshold - 1; left >= 0; left-- {
		h.wrong(t, p, email).problem(http.StatusUnauthorized, "incorrect_credentials").is("attempts_remaining", left)
	}
	return h.lockedUntil(t, p, email)
}

// lockedUntil is the end of the lock of an address, as a try is told.
func (h *harness) lockedUntil(t testing.TB, p portal, email string) time.Time {
	t.Helper()
	until, err := time.Parse(time.RFC3339, h.wrong(t, p, email).problem(http.StatusLocked, "account_locked").text("locked_until"))
	require.NoError(t, err)
	return until
}

func (h *harness) lockoutStatus(t testing.TB, p portal, email string) *answer {
	t.Helper()
	return h.post(t, p.front+"/lockout-status", object{"email": email}).status(http.StatusOK)
}

// Of 64 wrong passwords at once exactly as many are heard as the portal allows; the address need not exist.
func TestWrongPasswordsAtOnce(t *testing.T) {
	t.Parallel()
	eachFleet(t, func(t *testing.T, f fleet) {
		h := f[0]
		p := h.portal(t)
		want := map[string]int{"423 account_locked": 59}
		for left := range 5 {
			want["401 incorrect_credentials "+strconv.Itoa(left)] = 1
		}
		for round := range rounds {
			email := fmt.Sprintf("round%d@example.com", round)
			if round%2 == 0 {
				h.account(t, p, object{"email": email})
			}
			send := f.race
			if round < 2 {
				send = f.atOnce
			}
			answers := send(t, h.wrongTries(t, p, email, 64)...)
			require.Equal(t, want, tally(answers), "round %d", round)
			ends := map[string]bool{}
			for _, a := range answers {
				if a.httpStatus == http.StatusLocked {
					ends[a.text("locked_until")] = true
				}
			}
			require.Len(t, ends, 1, "a try while locked moves the end of the lock")
		}
	})
}

// Right passwords never count, and the first clears the count.
func TestRightPasswordsAtOnce(t *testing.T) {
	t.Parallel()
	eachFleet(t, func(t *testing.T, f fleet) {
		h := f[0]
		p := h.portal(t)
		for round := range rounds / 10 {
			ada := h.account(t, p, object{"email": fmt.Sprintf("round%d@example.com", round)})
			for left := 4; left > 0; left-- {
				h.wrong(t, p, ada.email).problem(http.StatusUnauthorized, "incorrect_credentials").is("attempts_remaining", left)
			}
			var tries []sent
			for range 20 {
				tries = append(tries, f[0].prepare(t, http.MethodPost, p.front+"/login", ada.credentials()))
			}
			require.Equal(t, map[string]int{"200": 20}, tally(f.atOnce(t, tries...)))
			h.lockoutStatus(t, p, ada.email).is("failed_attempts", 0).is("attempts_remaining", 5).is("locked", false)
			require.Equal(t, "20", h.sql(t, "SELECT COUNT(*) FROM sessions WHERE account_id = ?", ada.id))
		}
	})
}

// oneAfterAnother is what wrong passwords, and a right one after so many of them, are told if they come in that order.
func oneAfterAnother(wrong, before, threshold int) (right string, others map[string]int) {
	others, failures := map[string]int{}, 0
	right = "423 account_locked"
	for i := range wrong + 1 {
		switch {
		case i == before && failures < threshold:
			right, failures = "200", 0
		case i == before:
		case failures < threshold:
			failures++
			others["401 incorrect_credentials "+strconv.Itoa(threshold-failures)]++
		default:
			others["423 account_locked"]++
		}
	}
	return right, others
}

// One right password among 63 wrong ones at once: what happens is what would in some order, one after another.
func TestOneRightPasswordAmongWrongOnes(t *testing.T) {
	t.Parallel()
	eachFleet(t, func(t *testing.T, f fleet) {
		h := f[0]
		p := h.portal(t)
		let := map[string]int{}
		for round := range rounds / 2 {
			ada := h.account(t, p, object{"email": fmt.Sprintf("round%d@example.com", round)})
			tries := append(h.wrongTries(t, p, ada.email, 63), f[0].prepare(t, http.MethodPost, p.front+"/login", ada.credentials()))
			mine := rand.IntN(12) // early, or it would always come too late
			tries[mine], tries[63] = tries[63], tries[mine]
			answers := f.race(t, tries...)
			right, others := answers[mine].outcome(), tally(slices.Delete(slices.Clone(answers), mine, mine+1))
			let[right]++

			explained := false
			for before := range 64 {
				said, rest := oneAfterAnother(63, before, 5)
				explained = explained || said == right && maps.Equal(rest, others)
			}
			require.True(t, explained, "no order explains %s among %v", right, others)
			sessions := h.sql(t, "SELECT COUNT(*) FROM sessions WHERE account_id = ?", ada.id)
			require.Equal(t, right == "200", sessions == "1")
			h.lockoutStatus(t, p, ada.email).is("locked", true)
		}
		t.Logf("the right one was told: %v", let)
	})
}

// oneAddress are spellings of one address that a person, a phone and a mail program would each type differently.
var oneAddress = []string{
	"Kåre.Krag@bücher.example", "kåre.krag@bücher.example", "  KÅRE.KRAG@BÜCHER.EXAMPLE ", "Ka\u030are.Krag@bu\u0308cher.example",
	"\u212a\u212bre.\u212arag@bücher.example", "kåre.krag@xn--bcher-kva.example", "ＫÅＲＥ.krag＠bücher。example",
	"\u00a0kåre.krag@XN--BCHER-KVA.Example\u3000",
}

func TestEverySpellingIsOneCount(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		for _, p := range []portal{h.portal(t), h.portal(t, object{"slug": "nobody"})} {
			if p.slug == "acme" {
				h.account(t, p, object{"email": oneAddress[0]})
			}
			for i := range 5 {
				h.wrong(t, p, oneAddress[i]).problem(http.StatusUnauthorized, "incorrect_credentials").is("attempts_remaining", 4-i)
			}
			for _, spelling := range oneAddress {
				h.wrong(t, p, spelling).problem(http.StatusLocked, "account_locked")
				h.lockoutStatus(t, p, spelling).is("locked", true).is("failed_attempts", 5)
			}
			h.wrong(t, p, "kare.krag@bücher.example").problem(http.StatusUnauthorized, "incorrect_credentials").
				is("attempts_remaining", 4) // without its ring it is another
		}
	})
}

// The count is one over all spellings at once too, and on every server.
func TestEverySpellingAtOnce(t *testing.T) {
	t.Parallel()
	eachFleet(t, func(t *testing.T, f fleet) {
		h := f[0]
		p := h.portal(t)
		h.account(t, p, object{"email": oneAddress[0]})
		var tries []sent
		for i := range 32 {
			tries = append(tries, h.wrongTry(t, p, oneAddress[i%len(oneAddress)]))
		}
		counts := tally(f.atOnce(t, tries...))
		require.Equal(t, 27, counts["423 account_locked"], counts)
	})
}
