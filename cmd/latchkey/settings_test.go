package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// Settings as files from Windows, container secrets and Compose leave them work as if they were clean.
func TestSettingsThatAreNotClean(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "operator-key")
	require.NoError(t, os.WriteFile(file, []byte("\ufeff"+operatorKey+"\r\n"), 0o600))
	for name, key := range map[string]string{
		"a newline":         "LATCHKEY_OPERATOR_KEY=" + operatorKey + "\n",
		"a carriage return": "LATCHKEY_OPERATOR_KEY=" + operatorKey + "\r",
		"a file":            "LATCHKEY_OPERATOR_KEY_FILE=" + file + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			variables := []string{
				key, "LATCHKEY_DATABASE_URL=sqlite:own.db \n", "LATCHKEY_LOG_LEVEL=", "LATCHKEY_HASH_SLOTS=\n",
				"LATCHKEY_SMTP_URL=", "LATCHKEY_SECRET_KEY= ", "LATCHKEY_TRUSTED_PROXIES=", "LATCHKEY_SECRET_KEY_FILE=",
			}
			p := launch(t, dir, variables, "serve", "--dev").listening(t)
			require.Equal(t, http.StatusOK, p.call(t, http.MethodGet, adminPath, operatorKey, "").status)
			require.FileExists(t, filepath.Join(dir, "own.db"))
			require.NoFileExists(t, filepath.Join(dir, "own.db \n"))
			require.NotContains(t, p.log.String(), operatorKey)
		})
	}
}

// A command that needs a database makes none in a wrong directory, and leaves nothing there.
func TestCommandsThatMakeNoDatabase(t *testing.T) {
	t.Parallel()
	databasetest.EachBlank(t, func(t *testing.T, url string) {
		for _, command := range []string{
			"portals list", "portals show acme", "portals enable acme", "portals disable acme", "keys list",
			"keys revoke 0190b3a0-0000-7000-8000-000000000000", "keys reset --yes",
			"keys create --name=any --scope=admin --portal=acme", "invite --portal=acme ada@example.com",
		} {
			dir := t.TempDir()
			variables := []string{"LATCHKEY_SECRET_KEY=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}
			where := filepath.Join(dir, "latchkey.db")
			if !strings.HasPrefix(url, "sqlite:") {
				variables = append(variables, "LATCHKEY_DATABASE_URL="+url)
				where = "latchkey"
			}
			p := launch(t, dir, variables, strings.Fields(command)...)
			require.Equal(t, 1, p.exitCode(t), command)
			require.Contains(t, p.log.String(), "there is no database at ", command)
			require.Contains(t, p.log.String(), where, command)
			require.Empty(t, p.out.String(), command)
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Empty(t, left, command)
		}
		succeed(t, "keys", "create", "--name=any", "--scope=operator", "--database-url", url)
		require.Contains(t, succeed(t, "keys", "list", "--database-url", url), "any")
	})
}

// A public URL with a host beyond ASCII and a path is taken in its ASCII form by mail and tokens alike.
func TestPublicURLBeyondASCII(t *testing.T) {
	t.Parallel()
	relay, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	require.NoError(t, relay.SetDeadline(time.Now().Add(patience)))
	t.Cleanup(func() { require.NoError(t, relay.Close()) })
	said := make(chan string, 2)
	go takeGreeting(relay, said)

	p := serve(t, []string{
		"LATCHKEY_PUBLIC_URL=https://bücher.example/auth/\n", "LATCHKEY_SMTP_URL=smtp://" + relay.Addr().String() + "\n",
	}, "--dev")
	discovery := p.call(t, http.MethodGet, demoPath+"/.well-known/openid-configuration", "", "")
	issuer := read[struct{ Issuer string }](t, discovery, http.StatusOK).Issuer
	require.Equal(t, "https://xn--bcher-kva.example/auth/v1/portals/demo", issuer)
	require.NotContains(t, p.out.String(), "bücher")

	require.Equal(t, "EHLO xn--bcher-kva.example", <-said)
	require.Contains(t, <-said, "MAIL FROM:<no-reply@xn--bcher-kva.example>")
}

// takeGreeting plays a relay that reads EHLO and MAIL from its first caller, and hangs up.
func takeGreeting(relay net.Listener, said chan<- string) {
	defer close(said)
	conn, err := relay.Accept()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	lines := bufio.NewScanner(conn)
	for _, answer := range []string{"220 relay", "250 relay"} {
		if _, err := fmt.Fprintf(conn, "%s\r\n", answer); err != nil || !lines.Scan() {
			return
		}
		said <- lines.Text()
	}
}

// A mail server on the network whose certificate nobody checks is named in the log, with the way to have it checked.
func TestAMailServerThatNobodyChecks(t *testing.T) {
	t.Parallel()
	for url, warned := range map[string]bool{
		"smtp://relay.invalid": true, "smtp://relay.invalid?tls=required": false, "smtps://relay.invalid": false,
		"smtp://localhost:2525": false,
	} {
		p := serve(t, []string{"LATCHKEY_SMTP_URL=" + url})
		require.Equal(t, warned, strings.Contains(p.log.String(), "add ?tls=required"), url)
	}
}
