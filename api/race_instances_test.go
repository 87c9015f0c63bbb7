package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

const wrongPassword = "not the right one"

// fleet is the servers of an installation, as harnesses that share database, clock and log: two over one Postgres, each
// with connections of its own; one over SQLite, which is embedded.
type fleet []*harness

func eachFleet(t *testing.T, run func(t *testing.T, f fleet)) {
	t.Helper()
	for _, d := range databasetest.Dialects() {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			url := databasetest.URL(t, d)
			h := newHarness(t, databasetest.OpenURL(t, url))
			f := fleet{h}
			if d == database.Postgres {
				f = append(f, h.calling(h.another(t, databasetest.OpenURL(t, url))))
			}
			run(t, f)
		})
	}
}

// sent is a request that waits to be sent, with its body.
type sent struct {
	*http.Request
	body []byte
}

func (h *harness) prepare(t testing.TB, method, target string, body any, with ...option) sent {
	t.Helper()
	text := encoded(t, body)
	r := h.request(t, method, target, text)
	for _, change := range with {
		change(r)
	}
	h.noteSent(r, text)
	return sent{r, text}
}

// holdsTo holds the answer to a request to the contract.
func (a *answer) holdsTo(h *harness, r sent) *answer {
	a.t.Helper()
	h.noteAnswered(a)
	contract().check(a.t, exchange{request: r.Request, sent: r.body, answer: a})
	return a
}

// atOnce sends requests at the same moment, to one server after the other, and holds their answers to the contract.
func (f fleet) atOnce(t testing.TB, requests ...sent) []*answer {
	t.Helper()
	answers := f.race(t, requests...)
	for i, a := range answers {
		a.holdsTo(f[0], requests[i])
	}
	return answers
}

// race is atOnce for answers of which there are too many to hold each to the contract.
func (f fleet) race(t testing.TB, requests ...sent) []*answer {
	t.Helper()
	answers := make([]*answer, len(requests))
	start := make(chan struct{})
	var all sync.WaitGroup
	for i, r := range requests {
		all.Go(func() {
			<-start
			answers[i] = f[i%len(f)].send(t, r.Request)
		})
	}
	close(start)
	all.Wait()
	for _, a := range answers {
		f[0].noteAnswered(a)
	}
	return answers
}

// outcome is a status with the code of a refusal and how many tries are left, where it says so.
func (a *answer) outcome() string {
	a.t.Helper()
	var said struct {
		Code              string `json:"code"`
		AttemptsRemaining *int   `json:"attempts_remaining"`
	}
	if len(a.body) > 0 {
		require.NoError(a.t, json.Unmarshal(a.body, &said), "%s", a.body)
	}
	text := fmt.Sprint(a.httpStatus)
	if said.Code != "" {
		text += " " + said.Code
	}
	if said.AttemptsRemaining != nil && a.httpStatus >= http.StatusBadRequest {
		text += fmt.Sprintf(" %d", *said.AttemptsRemaining)
	}
	return text
}

// tally counts outcomes.
func tally(answers []*answer) map[string]int {
	counts := map[string]int{}
	for _, a := range answers {
		counts[a.outcome()]++
	}
	return counts
}

// dead wants tokens to open nothing, at any server.
func (f fleet) dead(t testing.TB, p portal, in tokens) {
	t.Helper()
	for _, h := range f {
		h.get(t, p.front+"/me", bearer(in.access)).problem(http.StatusUnauthorized, "access_token_invalid")
	}
	for _, h := range f {
		a := h.post(t, p.front+"/sessions/refresh", object{"refresh_token": in.refresh}).status(http.StatusUnauthorized)
		require.Contains(t, []string{"session_invalid", "refresh_token_reused"}, a.text("code"))
		h.get(t, p.front+"/me", bearer(in.access)).problem(http.StatusUnauthorized, "access_token_invalid")
	}
}

// tokensOf are what a login or a refresh answered.
func tokensOf(a *answer) tokens {
	a.t.Helper()
	return tokens{access: a.text("access_token"), refresh: a.text("refresh_token")}
}

// underWay sends a request and gives a function that waits for its answer.
func (h *harness) underWay(t testing.TB, r sent) (wait func() *answer) {
	t.Helper()
	answered := make(chan *answer, 1)
	go func() { answered <- h.send(t, r.Request) }()
	return func() *answer {
		t.Helper()
		return (<-answered).holdsTo(h, r)
	}
}

// between changes the database in a transaction that stays open until a request, begun meanwhile, waits for it: what
// the request had read by then is no longer so when it goes on. On SQLite, which has one connection, the request reads
// afterwards.
func (h *harness) between(t testing.TB, r sent, change func(ctx context.Context)) *answer {
	t.Helper()
	var answered func() *answer
	waits := h.db.Stats().WaitCount
	err := h.db.InTx(context.Background(), func(ctx context.Context) error {
		change(database.AcrossPortals(ctx, "a test changes what a request has read"))
		answered = h.underWay(t, r)
		require.Eventually(t, func() bool { return h.someoneWaits(t, waits) }, 10*time.Second, time.Millisecond)
		return nil
	})
	require.NoError(t, err)
	return answered()
}

// someoneWaits reports whether a statement waits for another transaction, or for the connection.
func (h *harness) someoneWaits(t testing.TB, waits int64) bool {
	if h.db.Dialect() == database.SQLite {
		return h.db.Stats().WaitCount > waits
	}
	return h.sql(t, `SELECT COUNT(*) FROM pg_stat_activity
		WHERE datname = current_database() AND wait_event_type = 'Lock'`) != "0"
}

// do runs a statement in the transaction of ctx.
func (h *harness) do(ctx context.Context, t testing.TB, statement string, args ...any) {
	t.Helper()
	done := h.db.From(ctx).Exec(statement, args...)
	require.NoError(t, done.Error, statement)
	require.NotZero(t, done.RowsAffected, statement)
}
