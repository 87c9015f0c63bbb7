package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

// lockStanding is the state of the lock of an address.
type lockStanding struct {
	Code              string `json:"code"`
	Locked            bool   `json:"locked"`
	FailedAttempts    int    `json:"failed_attempts"`
	AttemptsRemaining int    `json:"attempts_remaining"`
}

// kill ends the program as a power cut would.
func (p *process) kill(tb testing.TB) {
	tb.Helper()
	require.NoError(tb, p.cmd.Process.Kill())
	require.Equal(tb, -1, p.exitCode(tb), "it was not killed")
}

// A failure is counted before it is answered: killing the program after each failure gives no more tries.
func TestKilledAfterEachFailure(t *testing.T) {
	t.Parallel()
	const (
		known   = "ready@example.com"
		unknown = "nobody@example.com"
	)
	databasetest.EachBlank(t, func(t *testing.T, url string) {
		variables := keyed(url, keyring.Generate())
		try := func(p *process, email, secret string) answer {
			return p.call(t, http.MethodPost, demoPath+"/login", "", `{"email":"`+email+`","password":"`+secret+`"}`)
		}
		for left := 4; left >= 0; left-- {
			p := serve(t, variables, "--dev")
			said := read[lockStanding](t, try(p, unknown, "not the right one"), http.StatusUnauthorized)
			require.Equal(t, lockStanding{Code: "incorrect_credentials", AttemptsRemaining: left}, said)
			said = read[lockStanding](t, try(p, known, "not the right one"), http.StatusUnauthorized)
			p.kill(t)
			require.Equal(t, lockStanding{Code: "incorrect_credentials", AttemptsRemaining: left}, said)
		}
		p := serve(t, variables, "--dev")
		for _, email := range []string{known, unknown} {
			require.Equal(t, "account_locked", read[refusal](t, try(p, email, demoPassword), http.StatusLocked).Code)
			status := p.call(t, http.MethodPost, demoPath+"/lockout-status", "", `{"email":"`+email+`"}`)
			require.Equal(t, lockStanding{Locked: true, FailedAttempts: 5}, read[lockStanding](t, status, http.StatusOK))
		}
	})
}
