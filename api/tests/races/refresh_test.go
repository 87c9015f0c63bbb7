package races_test

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

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

func prepareRefreshes(t testing.TB, f apitest.Fleet, p apitest.Portal, token string, n int) []apitest.PreparedRequest {
	t.Helper()
	requests := make([]apitest.PreparedRequest, n)
	for i := range requests {
		requests[i] = f[0].Prepare(t, http.MethodPost, p.Front+"/sessions/refresh", apitest.Object{"refresh_token": token})
	}
	return requests
}

// Tokens that are refreshed at once, by two tabs or a retry, all lead to the same successor; one that comes back later
// was stolen, and ends the session with all that came of it.
func TestRefreshesAtOnce(t *testing.T) {
	t.Parallel()
	apitest.EachFleet(t, func(t *testing.T, f apitest.Fleet) {
		h := f[0]
		p := h.Portal(t)
		ada := h.Account(t, p)
		for range apitest.Rounds / 10 {
			first := h.LogIn(t, ada)
			descent := []apitest.Tokens{first}
			for range 3 {
				now := descent[len(descent)-1]
				answers := f.SendAtOnce(t, prepareRefreshes(t, f, p, now.Refresh, 8)...)
				for _, a := range answers {
					a.Status(http.StatusOK).Is("refresh_token", answers[0].Text("refresh_token"))
					require.NotEqual(t, now.Refresh, a.Text("refresh_token"))
				}
				descent = append(descent, apitest.TokensOf(answers[0]))
				h.Clock.Advance(10 * time.Second)
			}
			last := descent[len(descent)-1]
			h.Get(t, p.Front+"/me", apitest.Bearer(last.Access)).Status(http.StatusOK)
			h.Refresh(t, p, first.Refresh).Problem(http.StatusUnauthorized, "refresh_token_reused").
				Remedies("log_in", "contact_support")
			for _, in := range descent {
				f.RequireSessionDead(t, p, in)
			}
			h.Refresh(t, p, last.Refresh).Problem(http.StatusUnauthorized, "session_invalid")
		}
	})
}

// The owner and a thief who holds the token before refresh at once. Once the owner's token has been used the thief's is
// not forgiven: at its next use, if not at once, the session ends.
func TestStolenTokenRefreshedAtOnce(t *testing.T) {
	t.Parallel()
	apitest.EachFleet(t, func(t *testing.T, f apitest.Fleet) {
		h := f[0]
		p := h.Portal(t)
		ada := h.Account(t, p)
		for range apitest.Rounds / 5 {
			stolen := h.LogIn(t, ada)
			owned := apitest.TokensOf(h.Refresh(t, p, stolen.Refresh).Status(http.StatusOK))
			h.Clock.Advance(10 * time.Second)
			requests := append(prepareRefreshes(t, f, p, stolen.Refresh, 3), prepareRefreshes(t, f, p, owned.Refresh, 3)...)
			requests[0], requests[5] = requests[5], requests[0]
			answers := f.SendAtOnce(t, requests...)
			outcomes := apitest.Tally(append(answers, h.Refresh(t, p, stolen.Refresh)))
			require.Equal(t, 1, outcomes["401 refresh_token_reused"], outcomes)
			for _, a := range answers {
				if a.HTTPStatus == http.StatusOK {
					f.RequireSessionDead(t, p, apitest.TokensOf(a))
				}
			}
			f.RequireSessionDead(t, p, owned)
		}
	})
}

// A refresh that races the end of its session leaves none living.
func TestRefreshWhileSessionsEnd(t *testing.T) {
	t.Parallel()
	apitest.EachFleet(t, func(t *testing.T, f apitest.Fleet) {
		h := f[0]
		p := h.Portal(t)
		type ending = func(t testing.TB, who apitest.Person, in, other apitest.Tokens) apitest.PreparedRequest
		ends := map[string]ending{
			"logout": func(t testing.TB, _ apitest.Person, in, _ apitest.Tokens) apitest.PreparedRequest {
				return f[0].Prepare(t, http.MethodPost, p.Front+"/logout", apitest.Object{"refresh_token": in.Refresh})
			},
			"one": func(t testing.TB, _ apitest.Person, in, other apitest.Tokens) apitest.PreparedRequest {
				id := h.Get(t, p.Front+"/me/sessions", apitest.Bearer(in.Access)).Status(http.StatusOK)
				for i, current := range id.List("items", "current") {
					if current == true {
						return f[0].Prepare(t, http.MethodDelete, p.Front+"/me/sessions/"+id.List("items", "id")[i].(string), nil, apitest.Bearer(other.Access))
					}
				}
				t.Fatal("no current session")
				return apitest.PreparedRequest{}
			},
			"all": func(t testing.TB, who apitest.Person, _, _ apitest.Tokens) apitest.PreparedRequest {
				return f[0].Prepare(t, http.MethodDelete, who.Admin+"/sessions", nil, apitest.AsOperator)
			},
			"but another": func(t testing.TB, who apitest.Person, _, other apitest.Tokens) apitest.PreparedRequest {
				return passwordChange(t, h, p, other, [2]string{who.Password, apitest.OtherPassword})
			},
		}
		for _, e := range endings {
			ends[e.name] = func(t testing.TB, who apitest.Person, _, _ apitest.Tokens) apitest.PreparedRequest {
				return e.end(t, f, who)
			}
		}
		for i, name := range slices.Sorted(maps.Keys(ends)) {
			end, good := ends[name], 0
			for round := range apitest.Rounds / 5 {
				who := h.Account(t, p, apitest.Object{"email": fmt.Sprintf("%d.%d@example.com", i, round)})
				in, other := h.LogIn(t, who), h.LogIn(t, who)
				requests := prepareRefreshes(t, f, p, in.Refresh, 4)
				requests[round%4] = end(t, who, in, other)
				for i, a := range f.SendUnchecked(t, requests...) {
					switch {
					case i == round%4:
						require.Less(t, a.HTTPStatus, 300, "%s: %s", name, a.Body)
					case a.HTTPStatus == http.StatusOK:
						good++
						f.RequireSessionDead(t, p, apitest.TokensOf(a))
					default:
						require.Equal(t, "401 session_invalid", a.Outcome(), "%s: %s", name, a.Body)
					}
				}
				f.RequireSessionDead(t, p, in)
				if name == "but another" {
					h.Get(t, p.Front+"/me", apitest.Bearer(other.Access)).Status(http.StatusOK)
					h.Refresh(t, p, other.Refresh).Status(http.StatusOK)
				}
			}
			t.Logf("%s: %d of %d refreshes came before", name, good, 3*(apitest.Rounds/5))
		}
	})
}

// The session in which a password is changed goes on, though it is refreshed in that very moment.
func TestRefreshDuringPasswordChange(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := apitest.New(t, db)
		p := h.Portal(t)
		ada := h.Account(t, p)
		in := h.LogIn(t, ada)
		stamp := uuid.New()
		a := h.ChangeDuring(t, prepareRefreshes(t, apitest.Fleet{h}, p, in.Refresh, 1)[0], func(ctx context.Context) {
			h.ExecIn(ctx, t, "UPDATE accounts SET security_stamp = ? WHERE id = ?", stamp, ada.ID)
			h.ExecIn(ctx, t, "UPDATE sessions SET security_stamp = ? WHERE account_id = ?", stamp, ada.ID)
		})
		next := apitest.TokensOf(a.Status(http.StatusOK))
		h.Get(t, p.Front+"/me", apitest.Bearer(next.Access)).Status(http.StatusOK)
	})
}

// The same over HTTP, in many rounds: the owner's own change never ends their session.
func TestRefreshWhilePasswordChangesOverHTTP(t *testing.T) {
	t.Parallel()
	apitest.EachFleet(t, func(t *testing.T, f apitest.Fleet) {
		h := f[0]
		p := h.Portal(t)
		ada := h.Account(t, p)
		in := h.LogIn(t, ada)
		for range apitest.Rounds / 5 {
			h.Clock.Advance(10 * time.Second)
			next := map[string]string{apitest.GoodPassword: apitest.OtherPassword, apitest.OtherPassword: apitest.GoodPassword}[ada.Password]
			requests := append(prepareRefreshes(t, f, p, in.Refresh, 3), passwordChange(t, h, p, in, [2]string{ada.Password, next}))
			answers := f.SendAtOnce(t, requests...)
			require.Equal(t, map[string]int{"200": 3, "204": 1}, apitest.Tally(answers))
			in, ada.Password = apitest.TokensOf(answers[0]), next
			h.Get(t, p.Front+"/me", apitest.Bearer(in.Access)).Status(http.StatusOK)
		}
	})
}

// However many come at once with the token before, five are forgiven, one ends the session, and none comes after it.
func TestLostAnswersAtOnce(t *testing.T) {
	t.Parallel()
	apitest.EachFleet(t, func(t *testing.T, f apitest.Fleet) {
		h := f[0]
		p := h.Portal(t)
		ada := h.Account(t, p)
		for range apitest.Rounds / 5 {
			lost := h.LogIn(t, ada)
			current := h.MustRefresh(t, p, lost.Refresh)
			h.Clock.Advance(time.Hour)
			answers := f.SendAtOnce(t, prepareRefreshes(t, f, p, lost.Refresh, 12)...)
			require.Equal(t, map[string]int{
				"200": 5, "401 refresh_token_reused": 1, "401 session_invalid": 6,
			}, apitest.Tally(answers))
			for _, a := range answers {
				if a.HTTPStatus == http.StatusOK {
					require.Equal(t, current.Refresh, a.Text("refresh_token"))
				}
			}
			f.RequireSessionDead(t, p, current)
		}
	})
}
