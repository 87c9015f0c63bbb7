package apitest

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

// WrongPassword is not the password of any account.
const WrongPassword = "not the right one"

// Fleet is the servers of an installation, as harnesses that share database, clock and log: two over one Postgres, each
// with connections of its own and on machines whose clocks are a minute fast and a minute slow; one over SQLite, which is
// embedded.
type Fleet []*Harness

// EachFleet runs a test on each database, as a parallel subtest with a fleet of its own.
func EachFleet(t *testing.T, run func(t *testing.T, f Fleet)) {
	t.Helper()
	for _, d := range databasetest.Dialects() {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			url := databasetest.URL(t, d)
			if d == database.SQLite {
				run(t, Fleet{New(t, databasetest.OpenURL(t, url))})
				return
			}
			h := New(t, databasetest.OpenURL(t, url), MachineOff(time.Minute))
			slow := h.NewServer(t, databasetest.OpenURL(t, url), MachineOff(-time.Minute))
			f := Fleet{h, h.Calling(slow)}
			run(t, f)
		})
	}
}

// PreparedRequest is a request that waits to be sent, with its body.
type PreparedRequest struct {
	*http.Request
	Body []byte
}

// Prepare makes a request to send later.
func (h *Harness) Prepare(t testing.TB, method, target string, body any, with ...Option) PreparedRequest {
	t.Helper()
	text := Encode(t, body)
	r := h.Request(t, method, target, text)
	for _, change := range with {
		change(r)
	}
	h.noteSent(r, text)
	return PreparedRequest{r, text}
}

// holdsTo checks the answer to a request against openapi.yaml.
func (a *Answer) holdsTo(h *Harness, r PreparedRequest) *Answer {
	a.T.Helper()
	h.NoteAnswered(a)
	OpenAPI().Check(a.T, Exchange{Request: r.Request, Sent: r.Body, Answer: a})
	return a
}

// SendAtOnce sends requests at the same moment, to one server after the other, and checks their answers against
// openapi.yaml.
func (f Fleet) SendAtOnce(t testing.TB, requests ...PreparedRequest) []*Answer {
	t.Helper()
	answers := f.SendUnchecked(t, requests...)
	for i, a := range answers {
		a.holdsTo(f[0], requests[i])
	}
	return answers
}

// SendUnchecked is SendAtOnce without the check, for very many requests.
func (f Fleet) SendUnchecked(t testing.TB, requests ...PreparedRequest) []*Answer {
	t.Helper()
	answers := make([]*Answer, len(requests))
	start := make(chan struct{})
	var all sync.WaitGroup
	for i, r := range requests {
		all.Go(func() {
			<-start
			answers[i] = f[i%len(f)].Send(t, r.Request)
		})
	}
	close(start)
	all.Wait()
	for _, a := range answers {
		f[0].NoteAnswered(a)
	}
	return answers
}

// Outcome is a status with the code of a refusal and how many tries are left, where it says so.
func (a *Answer) Outcome() string {
	a.T.Helper()
	var said struct {
		Code              string `json:"code"`
		AttemptsRemaining *int   `json:"attempts_remaining"`
	}
	if len(a.Body) > 0 {
		require.NoError(a.T, json.Unmarshal(a.Body, &said), "%s", a.Body)
	}
	text := fmt.Sprint(a.HTTPStatus)
	if said.Code != "" {
		text += " " + said.Code
	}
	if said.AttemptsRemaining != nil && a.HTTPStatus >= http.StatusBadRequest {
		text += fmt.Sprintf(" %d", *said.AttemptsRemaining)
	}
	return text
}

// Tally counts outcomes.
func Tally(answers []*Answer) map[string]int {
	counts := map[string]int{}
	for _, a := range answers {
		counts[a.Outcome()]++
	}
	return counts
}

// RequireSessionDead wants tokens to open nothing, at any server.
func (f Fleet) RequireSessionDead(t testing.TB, p Portal, in Tokens) {
	t.Helper()
	for _, h := range f {
		h.Get(t, p.Front+"/me", Bearer(in.Access)).Problem(http.StatusUnauthorized, "access_token_invalid")
	}
	for _, h := range f {
		a := h.Post(t, p.Front+"/sessions/refresh", Object{"refresh_token": in.Refresh}).Status(http.StatusUnauthorized)
		require.Contains(t, []string{"session_invalid", "refresh_token_reused"}, a.Text("code"))
		h.Get(t, p.Front+"/me", Bearer(in.Access)).Problem(http.StatusUnauthorized, "access_token_invalid")
	}
}

// TokensOf are the tokens in the answer to a login or a refresh.
func TokensOf(a *Answer) Tokens {
	a.T.Helper()
	return Tokens{Access: a.Text("access_token"), Refresh: a.Text("refresh_token")}
}

// SendInBackground sends a request and gives a function that waits for its answer.
func (h *Harness) SendInBackground(t testing.TB, r PreparedRequest) (wait func() *Answer) {
	t.Helper()
	answered := make(chan *Answer, 1)
	go func() { answered <- h.Send(t, r.Request) }()
	return func() *Answer {
		t.Helper()
		return (<-answered).holdsTo(h, r)
	}
}

// ChangeDuring changes the database in a transaction that stays open until a request, begun meanwhile, waits for it: what
// the request had read by then is no longer so when it goes on. On SQLite, which has one connection, the request reads
// afterwards.
func (h *Harness) ChangeDuring(t testing.TB, r PreparedRequest, change func(ctx context.Context)) *Answer {
	t.Helper()
	var answered func() *Answer
	waits := h.DB.Stats().WaitCount
	err := h.DB.InTx(context.Background(), func(ctx context.Context) error {
		change(database.AcrossPortals(ctx, "a test changes what a request has read"))
		answered = h.SendInBackground(t, r)
		require.Eventually(t, func() bool { return h.someoneWaits(t, waits) }, 10*time.Second, time.Millisecond)
		return nil
	})
	require.NoError(t, err)
	return answered()
}

// someoneWaits reports whether a statement waits for another transaction, or for the connection.
func (h *Harness) someoneWaits(t testing.TB, waits int64) bool {
	if h.DB.Dialect() == database.SQLite {
		return h.DB.Stats().WaitCount > waits
	}
	return h.QueryValue(t, `SELECT COUNT(*) FROM pg_stat_activity
		WHERE datname = current_database() AND wait_event_type = 'Lock'`) != "0"
}

// ExecIn runs a statement in the transaction of ctx.
func (h *Harness) ExecIn(ctx context.Context, t testing.TB, statement string, args ...any) {
	t.Helper()
	done := h.DB.From(ctx).Exec(statement, args...)
	require.NoError(t, done.Error, statement)
	require.NotZero(t, done.RowsAffected, statement)
}
