package races_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// twoInstances runs a test with two servers that have connections of their own to one database.
func twoInstances(t *testing.T, run func(t *testing.T, both [2]*apitest.MailHarness)) {
	t.Helper()
	for _, d := range databasetest.Dialects() {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			url := databasetest.URL(t, d)
			o := apitest.NewWithMail(t, databasetest.OpenURL(t, url))
			server := o.NewServer(t, databasetest.OpenURL(t, url), o.WithRelay(t))
			o.StartSending(t, server)
			run(t, [2]*apitest.MailHarness{o, o.Calling(server)})
		})
	}
}

// call is one of several that race.
type call struct {
	path string
	body apitest.Object
}

// race sends calls at once, to one server after the other, and checks each answer against openapi.yaml.
func race(t testing.TB, both [2]*apitest.MailHarness, calls []call) []*apitest.Answer {
	t.Helper()
	answers, requests := make([]*apitest.Answer, len(calls)), make([]*http.Request, len(calls))
	var ready, all sync.WaitGroup
	ready.Add(len(calls))
	for i, c := range calls {
		requests[i] = both[i%2].Request(t, http.MethodPost, c.path, apitest.Encode(t, c.body))
		all.Go(func() {
			ready.Done()
			ready.Wait()
			answers[i] = both[i%2].Send(t, requests[i])
		})
	}
	all.Wait()
	for i, a := range answers {
		both[0].NotePrivate(apitest.Encode(t, calls[i].body))
		both[0].NoteAnswered(a)
		apitest.OpenAPI().Check(t, apitest.Exchange{Request: requests[i], Sent: apitest.Encode(t, calls[i].body), Answer: a})
	}
	return answers
}

// outcomes counts answers by status and code.
func outcomes(answers []*apitest.Answer) map[string]int {
	counts := map[string]int{}
	for _, a := range answers {
		said := fmt.Sprint(a.HTTPStatus)
		if a.HTTPStatus >= http.StatusBadRequest {
			said += " " + a.Text("code")
		}
		counts[said]++
	}
	return counts
}

const (
	racers       = 32
	redeemRounds = 5
)

// Of all who redeem one secret at once, by link or by code, at whichever server, one succeeds; the others are told that
// it was used.
func TestRedeemingAtOnce(t *testing.T) {
	t.Parallel()
	for _, k := range apitest.SecretKinds {
		t.Run(k.Path, func(t *testing.T) {
			t.Parallel()
			twoInstances(t, func(t *testing.T, both [2]*apitest.MailHarness) {
				o := both[0]
				p := o.Portal(t)
				for round := range redeemRounds {
					ada := o.Account(t, p, apitest.Object{"email": fmt.Sprintf("ada%d@example.com", round), "confirmed": false})
					mail := o.RequestSecret(t, p, k.Path, ada.Email)
					calls := make([]call, racers)
					for i := range calls {
						body := mail.ByLink()
						if i%4 == round%4 {
							body = mail.ByCode(ada.Email)
						}
						if k.Path == apitest.PasswordResets {
							body["password"] = fmt.Sprintf("the password of racer %d", i)
						}
						calls[i] = call{p.Front + "/" + k.Path + "/redeem", body}
					}
					answers := race(t, both, calls)
					require.Equal(t, map[string]int{"200": 1, "410 token_used": racers - 1}, outcomes(answers))
					if k.Path == apitest.PasswordResets {
						first := slices.IndexFunc(answers, func(a *apitest.Answer) bool { return a.HTTPStatus == http.StatusOK })
						ada.Password = calls[first].body["password"].(string)
						o.LogIn(t, ada)
					}
				}
				what := map[string]string{apitest.Confirmations: "confirmation", apitest.PasswordResets: "password_reset"}[k.Path]
				require.Equal(t, fmt.Sprint(redeemRounds), o.QueryValue(t, "SELECT COUNT(*) FROM audit_events WHERE type = ? AND outcome = 'success'", what))
				if k.Path == apitest.PasswordResets {
					require.Equal(t, fmt.Sprint(redeemRounds), o.QueryValue(t, "SELECT COUNT(*) FROM deliveries WHERE kind = 'password_changed'"))
				}
			})
		})
	}
}

// Of 64 wrong codes at once exactly as many are tried as are left: 5 of a short code, the last of the 100,000 of a long
// one. Then the right one fails too, and the link still works.
func TestWrongCodesAtOnce(t *testing.T) {
	t.Parallel()
	twoInstances(t, func(t *testing.T, both [2]*apitest.MailHarness) {
		o := both[0]
		p := o.Portal(t)
		for _, k := range apitest.SecretKinds {
			ada := o.Account(t, p, apitest.Object{"email": k.Path + "@example.com", "confirmed": false})
			mail := o.RequestSecret(t, p, k.Path, ada.Email)
			if k.Long {
				o.Exec(t, "UPDATE onetime_secrets SET tries = ? WHERE purpose = 'password'", 100_000-5)
			}
			calls := make([]call, 64)
			for i := range calls {
				body := mail.WrongCode(ada.Email)
				step := "/verify"
				if i%3 == 0 {
					step, body["password"] = "/redeem", apitest.OtherPassword
				}
				if !k.Long {
					delete(body, "password")
				}
				calls[i] = call{p.Front + "/" + k.Path + step, body}
			}
			answers := race(t, both, calls)
			require.Equal(t, map[string]int{"400 token_invalid": 5, "429 code_attempts_exhausted": 59}, outcomes(answers))
			var left []any
			for _, a := range answers {
				if remaining, ok := a.At("attempts_remaining"); ok {
					left = append(left, remaining)
				}
			}
			if k.Long {
				require.Empty(t, left)
			} else {
				require.ElementsMatch(t, []any{4.0, 3.0, 2.0, 1.0, 0.0}, left)
			}
			o.RequireRefused(t, p, k, mail.ByCode(ada.Email), apitest.Refusal(http.StatusTooManyRequests, "code_attempts_exhausted"))
			both[1].Redeem(t, p, k.Path, mail.ByLink()).Status(http.StatusOK)
		}
	})
}

// However many ask at once, one mail goes out.
func TestAskingAtOnce(t *testing.T) {
	t.Parallel()
	twoInstances(t, func(t *testing.T, both [2]*apitest.MailHarness) {
		o := both[0]
		p := o.Portal(t)
		passwordless := o.Account(t, p, apitest.Object{"email": "passwordless@example.com", "password": nil})
		for name, body := range map[string]apitest.Object{
			apitest.Confirmations: {"email": "unconfirmed@example.com"}, apitest.PasswordResets: {"email": "ada@example.com"},
			"registrations": {"email": apitest.Newcomer, "password": apitest.GoodPassword},
		} {
			if name != "registrations" {
				o.Account(t, p, apitest.Object{"email": body["email"], "confirmed": name == apitest.PasswordResets})
			}
			before := o.AwaitAllSent(t)
			answers := race(t, both, slices.Repeat([]call{{p.Front + "/" + name, body}}, 10))
			counts := outcomes(answers)
			require.Equal(t, 9, counts["429 resend_too_soon"], "%s: %v", name, counts)
			require.Equal(t, 1, counts["201"]+counts["202"], "%s: %v", name, counts)
			require.Equal(t, before+1, o.AwaitAllSent(t), name)
		}
		// The set-password mail goes out by itself, once, and whoever comes first has its receipt.
		before := o.AwaitAllSent(t)
		answers := race(t, both, slices.Repeat([]call{{p.Front + "/lookup", apitest.Object{"email": passwordless.Email}}}, 10))
		for _, a := range answers {
			a.Status(http.StatusOK).Is("delivery.id", answers[0].Text("delivery.id"))
		}
		require.Equal(t, before+1, o.AwaitAllSent(t))
	})
}

// No session of the old password outlives a reset, however the login and the reset race.
func TestLoginDuringReset(t *testing.T) {
	t.Parallel()
	twoInstances(t, func(t *testing.T, both [2]*apitest.MailHarness) {
		o := both[0]
		p := o.Portal(t)
		for round := range 2 * redeemRounds {
			ada := o.Account(t, p, apitest.Object{"email": fmt.Sprintf("ada%d@example.com", round)})
			mail := o.RequestSecret(t, p, apitest.PasswordResets, ada.Email)
			calls := slices.Repeat([]call{{p.Front + "/login", ada.Credentials()}}, 8)
			body := mail.ByLink()
			body["password"] = apitest.OtherPassword
			calls = slices.Insert(calls, round%8, call{p.Front + "/password-resets/redeem", body})
			answers := race(t, both, calls)
			answers[round%8].Status(http.StatusOK)
			for i, a := range answers {
				if i == round%8 {
					continue
				}
				if a.HTTPStatus != http.StatusOK {
					require.Contains(t, []string{"incorrect_credentials", "account_locked"}, a.Text("code"), "%s", a.Body)
					continue
				}
				o.RequireAccess(t, p, a.Text("access_token"), false)
				o.RequireSessionOver(t, p, a.Text("refresh_token"))
			}
			o.Clock.Advance(time.Hour)
			ada.Password = apitest.OtherPassword
			o.LogIn(t, ada)
		}
	})
}

// Whoever registers, is made and confirms at once: there is one account in the end, and no deadlock.
func TestRegisteringAtOnce(t *testing.T) {
	t.Parallel()
	twoInstances(t, func(t *testing.T, both [2]*apitest.MailHarness) {
		o := both[0]
		p := o.Portal(t)
		_, mail := o.Register(t, p)
		o.Clock.Advance(apitest.ResendInterval)
		calls := []call{{p.Front + "/confirmations/redeem", mail.ByLink()}, {p.Front + "/password-resets", apitest.Object{"email": apitest.Newcomer}}}
		for i := range 8 {
			calls = append(calls, call{p.Front + "/registrations", apitest.Object{"email": apitest.Newcomer, "password": fmt.Sprintf("the password of racer %d", i)}})
		}
		for _, a := range race(t, both, calls) {
			require.Less(t, a.HTTPStatus, 500, "%s", a.Body)
		}
		require.Equal(t, "1", o.CountRows(t, "accounts"))
		o.AwaitAllSent(t)
	})
}
