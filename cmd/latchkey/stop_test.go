package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Requests that are being answered when the program is asked to stop get their answers. No other request gets in.
func TestStopLetsRequestsEnd(t *testing.T) {
	t.Parallel()
	p := serve(t, []string{
		"LATCHKEY_HASH_MEMORY=65536", "LATCHKEY_HASH_ITERATIONS=3", "LATCHKEY_HASH_SLOTS=1", "LATCHKEY_HASH_WAIT=1m",
	}, "--dev")

	const logins = 20
	var begun, answered atomic.Int64
	var answers [logins]answer
	var errs [logins]error
	var callers sync.WaitGroup
	t.Cleanup(callers.Wait)
	for i := range logins {
		callers.Go(func() {
			answers[i], errs[i] = p.slowLogIn(t.Context(), func() { begun.Add(1) })
			answered.Add(1)
		})
	}
	require.Eventually(t, func() bool { return begun.Load()+answered.Load() >= logins }, patience, time.Millisecond)
	require.Less(t, answered.Load(), int64(logins), "all were answered before the stop")
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
		return err != nil || conn.Close() != nil
	}, patience, time.Millisecond)

	callers.Wait()
	good := 0
	for i, a := range answers {
		require.NoError(t, errs[i])
		switch a.status {
		case http.StatusOK:
			good++
		default: // too late on a slow machine: they are refused
			require.Equal(t, "unavailable", read[refusal](t, a, http.StatusServiceUnavailable).Code)
		}
	}
	require.Positive(t, good)
	require.Zero(t, p.exitCode(t))
	require.Contains(t, p.log.String(), "msg=stopping")
}

// slowLogIn logs in with a body that is only sent once the server asks for it, which is when the handler is at work:
// begun is called then.
func (p *process) slowLogIn(ctx context.Context, begun func()) (answer, error) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got100Continue: begun})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+demoPath+"/login", strings.NewReader(demoLogin))
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Expect", "100-continue")
	return p.send(request)
}

// A start that waits for its database ends at once when it is asked to.
func TestStopWhileStarting(t *testing.T) {
	t.Parallel()
	p := launch(t, t.TempDir(), keyed("postgres://someone@127.0.0.1:1/latchkey", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="), "serve")
	p.awaitLog(t, "the database does not answer yet")
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, 1, p.exitCode(t))
	require.Regexp(t, `(?s)latchkey: database: .*refused`, p.log.String())
}
