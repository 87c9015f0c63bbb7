package api_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// twoInstances runs a test with two servers that have connections of their own to one database.
func twoInstances(t *testing.T, run func(t *testing.T, both [2]*office)) {
	t.Helper()
	for _, d := range databasetest.Dialects() {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			url := databasetest.URL(t, d)
			o := newOffice(t, databasetest.OpenURL(t, url))
			server := o.another(t, databasetest.OpenURL(t, url), o.sends(t))
			o.open(t, server)
			run(t, [2]*office{o, o.calling(server)})
		})
	}
}

// call is one of several that race.
type call struct {
	path string
	body object
}

// race sends calls at once, in turn to either server, and holds each answer to the contract.
func race(t testing.TB, both [2]*office, calls []call) []*answer {
	t.Helper()
	answers, requests := make([]*answer, len(calls)), make([]*http.Request, len(calls))
	var ready, all sync.WaitGroup
	ready.Add(len(calls))
	for i, c := range calls {
		requests[i] = both[i%2].request(t, http.MethodPost, c.path, encoded(t, c.body))
		all.Go(func() {
			ready.Done()
			ready.Wait()
			answers[i] = both[i%2].send(t, requests[i])
		})
	}
	all.Wait()
	for i, a := range answers {
		both[0].notePrivate(encoded(t, calls[i].body))
		both[0].noteAnswered(a)
		contract().check(t, exchange{request: requests[i], sent: encoded(t, calls[i].body), answer: a})
	}
	return answers
}

// outcomes counts answers by status and code.
func outcomes(answers []*answer) map[string]int {
	counts := map[string]int{}
	for _, a := range answers {
		said := fmt.Sprint(a.httpStatus)
		if a.httpStatus >= http.StatusBadRequest {
			said += " " + a.text("code")
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
	for _, k := range secretKinds {
		t.Run(k.path, func(t *testing.T) {
			t.Parallel()
			twoInstances(t, func(t *testing.T, both [2]*office) {
				o := both[0]
				p := o.portal(t)
				for round := range redeemRounds {
					ada := o.account(t, p, object{"email": fmt.Sprintf("ada%d@example.com", round), "confirmed": false})
					mail := o.asks(t, p, k.path, ada.email)
					calls := make([]call, racers)
					for i := range calls {
						body := mail.byLink()
						if i%4 == round%4 {
							body = mail.byCode(ada.email)
						}
						if k.path == resets {
							body["password"] = fmt.Sprintf("the password of racer %d", i)
						}
						calls[i] = call{p.front + "/" + k.path + "/redeem", body}
					}
					answers := race(t, both, calls)
					require.Equal(t, map[string]int{"200": 1, "410 token_used": racers - 1}, outcomes(answers))
					if k.path == resets {
						first := slices.IndexFunc(answers, func(a *answer) bool { return a.httpStatus == http.StatusOK })
						ada.password = calls[first].body["password"].(string)
						o.logIn(t, ada)
					}
				}
				what := map[string]string{confirmations: "confirmation", resets: "password_reset"}[k.path]
				require.Equal(t, fmt.Sprint(redeemRounds), o.sql(t, "SELECT COUNT(*) FROM audit_events WHERE type = ? AND outcome = 'success'", what))
				if k.path == resets {
					require.Equal(t, fmt.Sprint(redeemRounds), o.sql(t, "SELECT COUNT(*) FROM deliveries WHERE kind = 'password_changed'"))
				}
			})
		})
	}
}

// Of 64 wrong codes at once exactly 5 are tried; then the right one fails too, and the link still works.
func TestWrongCodesAtOnce(t *testing.T) {
	t.Parallel()
	twoInstances(t, func(t *testing.T, both [2]*office) {
		o := both[0]
		p := o.portal(t)
		for _, k := range secretKinds {
			ada := o.account(t, p, object{"email": k.path + "@example.com", "confirmed": false})
			mail := o.asks(t, p, k.path, ada.email)
			calls := make([]call, 64)
			for i := range calls {
				calls[i] = call{p.front + "/" + k.path + "/verify", mail.wrongCode(ada.email)}
			}
			answers := race(t, both, calls)
			require.Equal(t, map[string]int{"400 token_invalid": 5, "429 code_attempts_exhausted": 59}, outcomes(answers))
			var left []any
			for _, a := range answers {
				if remaining, ok := a.at("attempts_remaining"); ok {
					left = append(left, remaining)
				}
			}
			require.ElementsMatch(t, []any{4.0, 3.0, 2.0, 1.0, 0.0}, left)
			o.bad(t, p, k, mail.byCode(ada.email), http.StatusTooManyRequests, "code_attempts_exhausted")
			both[1].redeem(t, p, k.path, mail.byLink()).status(http.StatusOK)
		}
	})
}

// However many ask at once, one mail goes out.
func TestAskingAtOnce(t *testing.T) {
	t.Parallel()
	twoInstances(t, func(t *testing.T, both [2]*office) {
		o := both[0]
		p := o.portal(t)
		passwordless := o.account(t, p, object{"email": "passwordless@example.com", "password": nil})
		for name, body := range map[string]object{
			confirmations: {"email": "unconfirmed@example.com"}, resets: {"email": "ada@example.com"},
			"registrations": {"email": newcomer, "password": goodPassword},
		} {
			if name != "registrations" {
				o.account(t, p, object{"email": body["email"], "confirmed": name == resets})
			}
			before := o.quiet(t)
			answers := race(t, both, slices.Repeat([]call{{p.front + "/" + name, body}}, 10))
			counts := outcomes(answers)
			require.Equal(t, 9, counts["429 resend_too_soon"], "%s: %v", name, counts)
			require.Equal(t, 1, counts["201"]+counts["202"], "%s: %v", name, counts)
			require.Equal(t, before+1, o.quiet(t), name)
		}
		// The set-password mail goes out by itself, once, and whoever comes first has its receipt.
		before := o.quiet(t)
		answers := race(t, both, slices.Repeat([]call{{p.front + "/lookup", object{"email": passwordless.email}}}, 10))
		for _, a := range answers {
			a.status(http.StatusOK).is("delivery.id", answers[0].text("delivery.id"))
		}
		require.Equal(t, before+1, o.quiet(t))
	})
}

// No session of the old password outlives a reset, however the login and the reset race.
func TestALoginRacesAReset(t *testing.T) {
	t.Parallel()
	twoInstances(t, func(t *testing.T, both [2]*office) {
		o := both[0]
		p := o.portal(t)
		for round := range 2 * redeemRounds {
			ada := o.account(t, p, object{"email": fmt.Sprintf("ada%d@example.com", round)})
			mail := o.asks(t, p, resets, ada.email)
			calls := slices.Repeat([]call{{p.front + "/login", ada.credentials()}}, 8)
			body := mail.byLink()
			body["password"] = newPassword
			calls = slices.Insert(calls, round%8, call{p.front + "/password-resets/redeem", body})
			answers := race(t, both, calls)
			answers[round%8].status(http.StatusOK)
			for i, a := range answers {
				if i == round%8 {
					continue
				}
				if a.httpStatus != http.StatusOK {
					require.Contains(t, []string{"incorrect_credentials", "account_locked"}, a.text("code"), "%s", a.body)
					continue
				}
				o.alive(t, p, a.text("access_token"), false)
				o.over(t, p, a.text("refresh_token"))
			}
			o.clock.advance(time.Hour)
			ada.password = newPassword
			o.logIn(t, ada)
		}
	})
}

// Whoever registers, is made and confirms at once: there is one account in the end, and no deadlock.
func TestRegisteringAtOnce(t *testing.T) {
	t.Parallel()
	twoInstances(t, func(t *testing.T, both [2]*office) {
		o := both[0]
		p := o.portal(t)
		_, mail := o.registers(t, p)
		o.clock.advance(nextAsk)
		calls := []call{{p.front + "/confirmations/redeem", mail.byLink()}, {p.front + "/password-resets", object{"email": newcomer}}}
		for i := range 8 {
			calls = append(calls, call{p.front + "/registrations", object{"email": newcomer, "password": fmt.Sprintf("the password of racer %d", i)}})
		}
		for _, a := range race(t, both, calls) {
			require.Less(t, a.httpStatus, 500, "%s", a.body)
		}
		require.Equal(t, "1", o.rows(t, "accounts"))
		o.quiet(t)
	})
}

// A run's database and log hold nothing that opens anything.
func TestNoSecretStandsInTheDatabaseOrTheLog(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t)
		_, first := o.registers(t, p)
		o.verify(t, p, confirmations, first.wrongCode(newcomer)).problem(http.StatusBadRequest, "token_invalid")
		o.verify(t, p, confirmations, first.byCode(newcomer)).status(http.StatusOK)
		o.redeem(t, p, confirmations, first.byLink()).status(http.StatusOK)
		grace := person{portal: p, email: newcomer, password: goodPassword}
		in := o.logIn(t, grace)
		reset := o.asks(t, p, resets, newcomer)
		o.redeem(t, p, resets, reset.byCode(newcomer)).status(http.StatusOK)
		o.redeem(t, p, resets, reset.byLink()).problem(http.StatusGone, "token_used")
		o.mailOn(t, newcomer, passwordChanged)
		o.clock.advance(nextAsk)
		outstanding := o.asks(t, p, resets, newcomer) // good as the dump is taken
		o.account(t, p, object{"password": nil})
		set := o.mail(t, o.post(t, p.front+"/lookup", object{"email": "ada@example.com"}).status(http.StatusOK))
		o.quiet(t)

		dump := o.dump(t)
		require.Contains(t, dump, newcomer, "it is a dump")
		logged := o.log.String()
		for _, mail := range []letter{first, reset, outstanding, set} {
			require.NotEmpty(t, mail.token)
			for name, text := range map[string]string{"database": dump, "log": logged} {
				require.NotContains(t, text, mail.token, name)
				require.NotContains(t, text, mail.token[len(mail.token)-16:], "%s: the MAC", name)
				require.NotRegexp(t, `(^|[^0-9A-Za-z.+-])`+mail.code+`($|[^0-9A-Za-z])`, text, name)
			}
			octets, err := base64.RawURLEncoding.DecodeString(mail.token)
			require.NoError(t, err)
			mac := hex.EncodeToString(octets)
			require.NotContains(t, strings.ToLower(dump), mac[len(mac)-24:], "the MAC, as octets")
		}
		for _, secret := range []string{goodPassword, newPassword, in.access, in.refresh} {
			require.NotContains(t, dump, secret)
			require.NotContains(t, logged, secret)
		}
	})
}
