package api_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

func (f fleet) refreshes(t testing.TB, p portal, token string, n int) []sent {
	t.Helper()
	requests := make([]sent, n)
	for i := range requests {
		requests[i] = f[0].prepare(t, http.MethodPost, p.front+"/sessions/refresh", object{"refresh_token": token})
	}
	return requests
}

// Tokens that are refreshed at once, by two tabs or a retry, all lead to the same successor; one that comes back later
// was stolen, and ends the session with all that came of it.
func TestRefreshesAtOnce(t *testing.T) {
	t.Parallel()
	eachFleet(t, func(t *testing.T, f fleet) {
		h := f[0]
		p := h.portal(t)
		ada := h.account(t, p)
		for range rounds / 10 {
			first := h.logIn(t, ada)
			descent := []tokens{first}
			for range 3 {
				now := descent[len(descent)-1]
				answers := f.atOnce(t, f.refreshes(t, p, now.refresh, 8)...)
				for _, a := range answers {
					a.status(http.StatusOK).is("refresh_token", answers[0].text("refresh_token"))
					require.NotEqual(t, now.refresh, a.text("refresh_token"))
				}
				descent = append(descent, tokensOf(answers[0]))
				h.clock.advance(10 * time.Second)
			}
			last := descent[len(descent)-1]
			h.get(t, p.front+"/me", bearer(last.access)).status(http.StatusOK)
			h.refresh(t, p, first.refresh).problem(http.StatusUnauthorized, "refresh_token_reused").
				remedies("log_in", "contact_support")
			for _, in := range descent {
				f.dead(t, p, in)
			}
			h.refresh(t, p, last.refresh).problem(http.StatusUnauthorized, "session_invalid")
		}
	})
}

// A thief and the owner refresh at once: whoever comes first, nobody is in afterwards.
func TestAThiefRacesTheOwner(t *testing.T) {
	t.Parallel()
	eachFleet(t, func(t *testing.T, f fleet) {
		h := f[0]
		p := h.portal(t)
		ada := h.account(t, p)
		for range rounds / 5 {
			stolen := h.logIn(t, ada)
			owned := tokensOf(h.refresh(t, p, stolen.refresh).status(http.StatusOK))
			h.clock.advance(10 * time.Second)
			requests := append(f.refreshes(t, p, stolen.refresh, 3), f.refreshes(t, p, owned.refresh, 3)...)
			requests[0], requests[5] = requests[5], requests[0]
			answers := f.atOnce(t, requests...)
			require.Positive(t, tally(answers)["401 refresh_token_reused"], tally(answers))
			for _, a := range answers {
				if a.httpStatus == http.StatusOK {
					f.dead(t, p, tokensOf(a))
				}
			}
			f.dead(t, p, owned)
		}
	})
}

// A refresh that races the end of its session leaves none living.
func TestRefreshesThatRaceTheEndOfSessions(t *testing.T) {
	t.Parallel()
	eachFleet(t, func(t *testing.T, f fleet) {
		h := f[0]
		p := h.portal(t)
		type ending = func(t testing.TB, who person, in, other tokens) sent
		ends := map[string]ending{
			"logout": func(t testing.TB, _ person, in, _ tokens) sent {
				return f[0].prepare(t, http.MethodPost, p.front+"/logout", object{"refresh_token": in.refresh})
			},
			"one": func(t testing.TB, _ person, in, other tokens) sent {
				id := h.get(t, p.front+"/me/sessions", bearer(in.access)).status(http.StatusOK)
				for i, current := range id.list("items", "current") {
					if current == true {
						return f[0].prepare(t, http.MethodDelete, p.front+"/me/sessions/"+id.list("items", "id")[i].(string), nil, bearer(other.access))
					}
				}
				t.Fatal("no current session")
				return sent{}
			},
			"all": func(t testing.TB, who person, _, _ tokens) sent {
				return f[0].prepare(t, http.MethodDelete, who.admin+"/sessions", nil, asOperator)
			},
			"but another": func(t testing.TB, who person, _, other tokens) sent {
				return h.passwordChange(t, p, other, who.password, newPassword)
			},
		}
		for _, e := range endings {
			ends[e.name] = func(t testing.TB, who person, _, _ tokens) sent { return e.end(t, f, who) }
		}
		for i, name := range slices.Sorted(maps.Keys(ends)) {
			end, good := ends[name], 0
			for round := range rounds / 5 {
				who := h.account(t, p, object{"email": fmt.Sprintf("%d.%d@example.com", i, round)})
				in, other := h.logIn(t, who), h.logIn(t, who)
				requests := f.refreshes(t, p, in.refresh, 4)
				requests[round%4] = end(t, who, in, other)
				for i, a := range f.race(t, requests...) {
					switch {
					case i == round%4:
						require.Less(t, a.httpStatus, 300, "%s: %s", name, a.body)
					case a.httpStatus == http.StatusOK:
						good++
						f.dead(t, p, tokensOf(a))
					default:
						require.Equal(t, "401 session_invalid", a.outcome(), "%s: %s", name, a.body)
					}
				}
				f.dead(t, p, in)
				if name == "but another" {
					h.get(t, p.front+"/me", bearer(other.access)).status(http.StatusOK)
					h.refresh(t, p, other.refresh).status(http.StatusOK)
				}
			}
			t.Logf("%s: %d of %d refreshes came before", name, good, 3*(rounds/5))
		}
	})
}

// The session in which a password is changed goes on, though it is refreshed in that very moment.
func TestARefreshWhileTheOwnPasswordChanges(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		ada := h.account(t, p)
		in := h.logIn(t, ada)
		stamp := uuid.New()
		a := h.between(t, fleet{h}.refreshes(t, p, in.refresh, 1)[0], func(ctx context.Context) {
			h.do(ctx, t, "UPDATE accounts SET security_stamp = ? WHERE id = ?", stamp, ada.id)
			h.do(ctx, t, "UPDATE sessions SET security_stamp = ? WHERE account_id = ?", stamp, ada.id)
		})
		next := tokensOf(a.status(http.StatusOK))
		h.get(t, p.front+"/me", bearer(next.access)).status(http.StatusOK)
	})
}

// And over the API: in many rounds the owner is never thrown out by his own change.
func TestRefreshesThatRaceTheOwnPasswordChange(t *testing.T) {
	t.Parallel()
	eachFleet(t, func(t *testing.T, f fleet) {
		h := f[0]
		p := h.portal(t)
		ada := h.account(t, p)
		in := h.logIn(t, ada)
		for range rounds / 5 {
			h.clock.advance(10 * time.Second)
			next := map[string]string{goodPassword: newPassword, newPassword: goodPassword}[ada.password]
			requests := append(f.refreshes(t, p, in.refresh, 3), h.passwordChange(t, p, in, ada.password, next))
			answers := f.atOnce(t, requests...)
			require.Equal(t, map[string]int{"200": 3, "204": 1}, tally(answers))
			in, ada.password = tokensOf(answers[0]), next
			h.get(t, p.front+"/me", bearer(in.access)).status(http.StatusOK)
		}
	})
}
