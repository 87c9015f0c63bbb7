package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/config"
)

var (
	curlLine    = regexp.MustCompile(`(?m)^  curl -s http://[a-z.]+(?::\d+)?(/\S+)(.*)$`)
	curlOption  = regexp.MustCompile(`-([Hd]) '([^']*)'`)
	accountLine = regexp.MustCompile(`(?m)^  (\S+@\S+) +\S`)
	keyLine     = regexp.MustCompile(`(?m)^The operator key: (\S+)$`)
)

// greeting waits for all that `serve --dev` prints.
func (p *process) greeting(t *testing.T) string {
	t.Helper()
	p.listening(t).out.await(t, `Read the API at \S+\n`, p.exited)
	return p.out.String()
}

// curl does what a printed line would do in a shell, at the port that this test has.
func (p *process) curl(t *testing.T, line []string) answer {
	t.Helper()
	method, body := http.MethodGet, ""
	header := http.Header{}
	for _, option := range curlOption.FindAllStringSubmatch(line[2], -1) {
		if option[1] == "d" {
			method, body = http.MethodPost, option[2]
			continue
		}
		name, value, found := strings.Cut(option[2], ": ")
		require.True(t, found, option[0])
		header.Set(name, value)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, p.url+line[1], strings.NewReader(body))
	require.NoError(t, err)
	request.Header = header
	a, err := p.send(request)
	require.NoError(t, err)
	return a
}

func TestDevStartsWithNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := launch(t, dir, nil, "serve", "--dev")
	greeting := p.greeting(t)
	require.Contains(t, greeting, "curl -s http://latchkey.test/v1/")

	lines := curlLine.FindAllStringSubmatch(greeting, -1)
	require.Len(t, lines, 3, greeting)
	next := read[struct {
		Next string `json:"next"`
	}](t, p.curl(t, lines[0]), http.StatusOK)
	require.Equal(t, "password", next.Next)
	in := read[signedIn](t, p.curl(t, lines[1]), http.StatusOK)
	require.Equal(t, "ready@example.com", in.Account.Email)
	list := read[personList](t, p.curl(t, lines[2]), http.StatusOK)
	require.Len(t, list.Items, len(demoAccounts))

	requirePrivateFiles(t, dir)
	p.stop(t)
	requirePrivateFiles(t, dir)

	again := launch(t, dir, nil, "serve", "--dev")
	lines = curlLine.FindAllStringSubmatch(again.greeting(t), -1)
	require.Len(t, lines, 3)
	require.Equal(t, list, read[personList](t, again.curl(t, lines[2]), http.StatusOK))
	require.Equal(t, in.Account, again.me(t, in.AccessToken), "a token from before the restart")
	require.Equal(t, in.Account, again.logIn(t).Account)
	again.stop(t)
}

func TestDevTellsTheAddressThatItListensOn(t *testing.T) {
	t.Parallel()
	p := launch(t, t.TempDir(), []string{"LATCHKEY_PUBLIC_URL=" + config.DefaultPublicURL}, "serve", "--dev")
	greeting := p.greeting(t)
	_, port, found := strings.Cut(p.url, "127.0.0.1:")
	require.True(t, found)
	require.Contains(t, greeting, "curl -s http://localhost:"+port+"/v1/")
	p.stop(t)
}

// requirePrivateFiles wants the database, SQLite's other files and the key to be readable by their owner alone.
func requirePrivateFiles(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, entry := range entries {
		info, err := entry.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode(), entry.Name())
		names = append(names, entry.Name())
	}
	require.Subset(t, names, []string{"latchkey.db", "latchkey.db.key"})
	for _, name := range names {
		matches, err := filepath.Match("latchkey.db*", name)
		require.NoError(t, err)
		require.True(t, matches, "%s was left behind", name)
	}
}

// Every address that is printed is in the state that its line tells of: what a lookup answers there, and a login.
func TestDevAddressesAreInEveryState(t *testing.T) {
	t.Parallel()
	states := map[string]struct {
		next   string // or the code of the problem
		status int
		code   string
	}{
		"ready@example.com":       {next: "password", status: http.StatusOK},
		"admin@example.com":       {next: "password", status: http.StatusOK},
		expiredReset:              {next: "password", status: http.StatusOK},
		olderCode:                 {next: "password", status: http.StatusOK},
		"unconfirmed@example.com": {"confirm_email", http.StatusForbidden, "email_not_confirmed"},
		"no-password@example.com": {"set_password", http.StatusForbidden, "password_not_set"},
		"disabled@example.com":    {"password", http.StatusForbidden, "account_disabled"},
		waitingInvitation:         {"redeem_invitation", http.StatusUnauthorized, "incorrect_credentials"},
		resentInvitation:          {"redeem_invitation", http.StatusUnauthorized, "incorrect_credentials"},
		expiredInvitation:         {"email_not_found", http.StatusUnauthorized, "incorrect_credentials"},
	}
	p := launch(t, t.TempDir(), nil, "serve", "--dev")
	printed := accountLine.FindAllStringSubmatch(p.greeting(t), -1)
	require.Len(t, printed, len(states))
	for _, line := range printed {
		state, known := states[line[1]]
		require.True(t, known, "this test does not know %s", line[1])
		body := strings.Replace(demoLogin, "ready@example.com", line[1], 1)
		got := read[refusal](t, p.call(t, http.MethodPost, demoPath+"/login", "", body), state.status)
		require.Equal(t, state.code, got.Code, line[1])
		var looked struct{ Next, Code string }
		found := p.call(t, http.MethodPost, demoPath+"/lookup", "", fmt.Sprintf(`{"email":%q}`, line[1]))
		require.NoError(t, json.Unmarshal(found.body, &looked))
		require.Equal(t, state.next, looked.Next+looked.Code, line[1])
	}
}

// A key that the operator chose stays, and without --dev there is no portal, no account and no key but that one.
func TestOperatorKey(t *testing.T) {
	t.Parallel()
	variables := []string{"LATCHKEY_OPERATOR_KEY=" + operatorKey}
	dev := launch(t, t.TempDir(), variables, "serve", "--dev")
	require.Equal(t, operatorKey, keyLine.FindStringSubmatch(dev.greeting(t))[1])

	p := serve(t, variables)
	require.Empty(t, p.out.String())
	require.NotContains(t, p.log.String(), operatorKey)
	require.Equal(t, http.StatusNotFound, p.call(t, http.MethodGet, adminPath, operatorKey, "").status)
	require.Equal(t, http.StatusUnauthorized, p.call(t, http.MethodGet, adminPath, operatorKey+"0", "").status)

	keyless := serve(t, nil)
	require.Equal(t, http.StatusUnauthorized, keyless.call(t, http.MethodGet, adminPath, operatorKey, "").status)
	require.Equal(t, http.StatusUnauthorized, keyless.call(t, http.MethodGet, adminPath, "", "").status)
}
