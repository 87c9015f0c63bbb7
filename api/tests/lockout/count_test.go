package lockout_test

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

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

func wrongTries(t testing.TB, h *apitest.Harness, p apitest.Portal, email string, n int) []apitest.PreparedRequest {
	t.Helper()
	tries := make([]apitest.PreparedRequest, n)
	for i := range tries {
		tries[i] = h.PrepareWrongLogin(t, p, email)
	}
	return tries
}

// lock types wrong passwords until the address is locked, and gives the end of the lock.
func lock(t testing.TB, h *apitest.Harness, p apitest.Portal, email string, threshold int) time.Time {
	t.Helper()
	for left := threshold - 1; left >= 0; left-- {
		h.LogInWrong(t, p, email).Problem(http.StatusUnauthorized, "incorrect_credentials").Is("attempts_remaining", left)
	}
	return lockedUntil(t, h, p, email)
}

// lockedUntil is the end of a lock, as a refused login says.
func lockedUntil(t testing.TB, h *apitest.Harness, p apitest.Portal, email string) time.Time {
	t.Helper()
	until, err := time.Parse(time.RFC3339, h.LogInWrong(t, p, email).Problem(http.StatusLocked, "account_locked").Text("locked_until"))
	require.NoError(t, err)
	return until
}

// Of 64 wrong passwords at once, exactly as many are checked as the portal allows, also for an unknown address.
func TestWrongPasswordsAtOnce(t *testing.T) {
	t.Parallel()
	apitest.EachFleet(t, func(t *testing.T, f apitest.Fleet) {
		h := f[0]
		p := h.Portal(t)
		want := map[string]int{"423 account_locked": 59}
		for left := range 5 {
			want["401 incorrect_credentials "+strconv.Itoa(left)] = 1
		}
		for round := range apitest.Rounds {
			email := fmt.Sprintf("round%d@example.com", round)
			if round%2 == 0 {
				h.Account(t, p, apitest.Object{"email": email})
			}
			send := f.SendUnchecked
			if round < 2 {
				send = f.SendAtOnce
			}
			answers := send(t, wrongTries(t, h, p, email, 64)...)
			require.Equal(t, want, apitest.Tally(answers), "round %d", round)
			ends := map[string]bool{}
			for _, a := range answers {
				if a.HTTPStatus == http.StatusLocked {
					ends[a.Text("locked_until")] = true
				}
			}
			require.Len(t, ends, 1, "a try while locked moves the end of the lock")
		}
	})
}

// Right passwords never count, and the first clears the count.
func TestRightPasswordsAtOnce(t *testing.T) {
	t.Parallel()
	apitest.EachFleet(t, func(t *testing.T, f apitest.Fleet) {
		h := f[0]
		p := h.Portal(t)
		for round := range apitest.Rounds / 10 {
			ada := h.Account(t, p, apitest.Object{"email": fmt.Sprintf("round%d@example.com", round)})
			for left := 4; left > 0; left-- {
				h.LogInWrong(t, p, ada.Email).Problem(http.StatusUnauthorized, "incorrect_credentials").Is("attempts_remaining", left)
			}
			var tries []apitest.PreparedRequest
			for range 20 {
				tries = append(tries, f[0].Prepare(t, http.MethodPost, p.Front+"/login", ada.Credentials()))
			}
			require.Equal(t, map[string]int{"200": 20}, apitest.Tally(f.SendAtOnce(t, tries...)))
			h.LockoutStatus(t, p, ada.Email).Is("failed_attempts", 0).Is("attempts_remaining", 5).Is("locked", false)
			require.Equal(t, "20", h.QueryValue(t, "SELECT COUNT(*) FROM sessions WHERE account_id = ?", ada.ID))
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
func TestRightPasswordAmongWrongOnes(t *testing.T) {
	t.Parallel()
	apitest.EachFleet(t, func(t *testing.T, f apitest.Fleet) {
		h := f[0]
		p := h.Portal(t)
		let := map[string]int{}
		for round := range apitest.Rounds / 2 {
			ada := h.Account(t, p, apitest.Object{"email": fmt.Sprintf("round%d@example.com", round)})
			tries := append(wrongTries(t, h, p, ada.Email, 63), f[0].Prepare(t, http.MethodPost, p.Front+"/login", ada.Credentials()))
			mine := rand.IntN(12) // early, or it would always come too late
			tries[mine], tries[63] = tries[63], tries[mine]
			answers := f.SendUnchecked(t, tries...)
			right, others := answers[mine].Outcome(), apitest.Tally(slices.Delete(slices.Clone(answers), mine, mine+1))
			let[right]++

			explained := false
			for before := range 64 {
				said, rest := oneAfterAnother(63, before, 5)
				explained = explained || said == right && maps.Equal(rest, others)
			}
			require.True(t, explained, "no order explains %s among %v", right, others)
			sessions := h.QueryValue(t, "SELECT COUNT(*) FROM sessions WHERE account_id = ?", ada.ID)
			require.Equal(t, right == "200", sessions == "1")
			h.LockoutStatus(t, p, ada.Email).Is("locked", true)
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

func TestAddressSpellingsShareCount(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		for _, p := range []apitest.Portal{h.Portal(t), h.Portal(t, apitest.Object{"slug": "nobody"})} {
			if p.Slug == "acme" {
				h.Account(t, p, apitest.Object{"email": oneAddress[0]})
			}
			for i := range 5 {
				h.LogInWrong(t, p, oneAddress[i]).Problem(http.StatusUnauthorized, "incorrect_credentials").Is("attempts_remaining", 4-i)
			}
			for _, spelling := range oneAddress {
				h.LogInWrong(t, p, spelling).Problem(http.StatusLocked, "account_locked")
				h.LockoutStatus(t, p, spelling).Is("locked", true).Is("failed_attempts", 5)
			}
			h.LogInWrong(t, p, "kare.krag@bücher.example").Problem(http.StatusUnauthorized, "incorrect_credentials").
				Is("attempts_remaining", 4) // without its ring it is another
		}
	})
}

// The count is one over all spellings at once too, and on every server.
func TestAddressSpellingsShareCountAtOnce(t *testing.T) {
	t.Parallel()
	apitest.EachFleet(t, func(t *testing.T, f apitest.Fleet) {
		h := f[0]
		p := h.Portal(t)
		h.Account(t, p, apitest.Object{"email": oneAddress[0]})
		var tries []apitest.PreparedRequest
		for i := range 32 {
			tries = append(tries, h.PrepareWrongLogin(t, p, oneAddress[i%len(oneAddress)]))
		}
		counts := apitest.Tally(f.SendAtOnce(t, tries...))
		require.Equal(t, 27, counts["423 account_locked"], counts)
	})
}
