package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

var (
	expiredLine = regexp.MustCompile(`(?m)^The reset link of (\S+) that ran out has the token (\S+)$`)
	olderLine   = regexp.MustCompile(`(?m)^The older code of (\S+) is ([0-9A-Z]{4}-[0-9A-Z]{4})$`)
)

// message is one in the developer's inbox.
type message struct {
	To      string    `json:"to"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	HTML    string    `json:"html"`
	Token   *string   `json:"token"`
	Code    *string   `json:"code"`
	Link    *string   `json:"link"`
	At      time.Time `json:"at"`
}

// inbox gives the messages that were sent, newest first.
func (p *process) inbox(t *testing.T) []message {
	t.Helper()
	return read[[]message](t, p.call(t, http.MethodGet, "/dev/inbox", "", ""), http.StatusOK)
}

// awaitMessage waits for a message to somebody and gives the newest one.
func (p *process) awaitMessage(t *testing.T, to string) message {
	t.Helper()
	var newest message
	require.Eventually(t, func() bool {
		messages := p.inbox(t)
		at := slices.IndexFunc(messages, func(m message) bool { return m.To == to })
		if at >= 0 {
			newest = messages[at]
		}
		return at >= 0
	}, patience, 20*time.Millisecond)
	return newest
}

// demo posts to the demo portal and wants a status, and the code of a problem or "".
func (p *process) demo(t *testing.T, status int, code, path, body string) answer {
	t.Helper()
	a := p.call(t, http.MethodPost, demoPath+path, "", body)
	require.Equal(t, code, read[refusal](t, a, status).Code, "%s %s", path, body)
	return a
}

// What `serve --dev` prints lets a developer see the two ways in which a genuine secret goes bad, and what helps then.
func TestDevPrintsBadSecrets(t *testing.T) {
	t.Parallel()
	p := launch(t, t.TempDir(), nil, "serve", "--dev")
	greeting := p.greeting(t)
	expired, older := expiredLine.FindStringSubmatch(greeting), olderLine.FindStringSubmatch(greeting)
	require.NotNil(t, expired, greeting)
	require.NotNil(t, older, greeting)
	require.Equal(t, []string{expiredReset, olderCode}, []string{expired[1], older[1]})

	token := fmt.Sprintf(`{"token":%q}`, expired[2])
	for range 2 { // a look consumes nothing
		p.demo(t, http.StatusGone, "token_expired", "/password-resets/verify", token)
	}
	p.demo(t, http.StatusGone, "token_expired", "/password-resets/redeem", fmt.Sprintf(`{"token":%q,"password":%q}`, expired[2], acmePassword))
	p.demo(t, http.StatusAccepted, "", "/password-resets", token) // the button of an "expired link" page
	again := p.awaitMessage(t, expiredReset)
	p.demo(t, http.StatusOK, "", "/password-resets/verify", fmt.Sprintf(`{"token":%q}`, *again.Token))
	p.demo(t, http.StatusGone, "token_superseded", "/password-resets/verify", token)

	p.demo(t, http.StatusGone, "token_superseded", "/password-resets/verify", fmt.Sprintf(`{"email":%q,"code":%q}`, olderCode, older[2]))
	newest := p.awaitMessage(t, olderCode)
	require.NotEqual(t, older[2], *newest.Code)
	redeem := fmt.Sprintf(`{"email":%q,"code":%q,"password":%q}`, olderCode, *newest.Code, acmePassword)
	p.demo(t, http.StatusOK, "", "/password-resets/redeem", redeem)
	p.demo(t, http.StatusOK, "", "/login", fmt.Sprintf(`{"email":%q,"password":%q}`, olderCode, acmePassword))
	for _, m := range p.inbox(t) {
		require.NotEqual(t, expired[2], value(m.Token), "what ran out before it was sent is not sent")
		require.NotEqual(t, older[2], value(m.Code), "what was superseded before it was sent is not sent")
	}
}

func value(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// A developer follows a person through the inbox: unconfirmed, confirmed, logged in, with a new password.
func TestDevInbox(t *testing.T) {
	t.Parallel()
	p := serve(t, []string{"LATCHKEY_OPERATOR_KEY=" + operatorKey}, "--dev")
	links := `{"links":{"confirm":"https://login.example/confirm?t={token}"}}`
	require.Equal(t, http.StatusOK, p.call(t, http.MethodPatch, adminPath, operatorKey, links).status)

	const person = "unconfirmed@example.com"
	named, password := fmt.Sprintf(`{"email":%q}`, person), fmt.Sprintf(`{"email":%q,"password":%q}`, person, demoPassword)
	p.demo(t, http.StatusForbidden, "email_not_confirmed", "/login", password)
	p.demo(t, http.StatusAccepted, "", "/confirmations", named)
	m := p.awaitMessage(t, person)
	require.NotEmpty(t, m.Subject)
	require.Equal(t, "https://login.example/confirm?t="+value(m.Token), value(m.Link))
	for _, part := range []string{m.Text, m.HTML} {
		require.Contains(t, part, value(m.Link))
		require.Contains(t, part, value(m.Code))
	}
	require.Contains(t, m.HTML, "<html")
	p.demo(t, http.StatusOK, "", "/confirmations/redeem", fmt.Sprintf(`{"token":%q}`, value(m.Token)))
	p.demo(t, http.StatusGone, "token_used", "/confirmations/redeem", fmt.Sprintf(`{"email":%q,"code":%q}`, person, value(m.Code)))
	p.demo(t, http.StatusOK, "", "/login", password)

	p.demo(t, http.StatusAccepted, "", "/password-resets", named)
	require.Eventually(t, func() bool { return p.inbox(t)[0].Subject != m.Subject }, patience, 20*time.Millisecond)
	reset := p.awaitMessage(t, person)
	require.Equal(t, "http://localhost:3000/reset?token="+value(reset.Token), value(reset.Link))
	p.demo(t, http.StatusOK, "", "/password-resets/redeem",
		fmt.Sprintf(`{"email":%q,"code":%q,"password":%q}`, person, value(reset.Code), acmePassword))
	require.Eventually(t, func() bool { return p.awaitMessage(t, person).Code == nil }, patience, 20*time.Millisecond)
	require.Nil(t, p.awaitMessage(t, person).Token, `"your password was changed" has no secret`)
	p.demo(t, http.StatusOK, "", "/login", fmt.Sprintf(`{"email":%q,"password":%q}`, person, acmePassword))

	messages := p.inbox(t)
	require.True(t, slices.IsSortedFunc(messages, func(a, b message) int { return b.At.Compare(a.At) }), "the newest comes first")
}

// Of many starts within an hour one reaches the cap between its two codes: it does not call a code older that is good.
func TestDevStartsUpToTheCap(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := launch(t, dir, nil, "serve", "--dev")
	require.Regexp(t, olderLine, p.greeting(t))
	p.stop(t)

	var asked strings.Builder // as by two starts and a person
	for _, ago := range []int{20, 30, 40, 50} {
		fmt.Fprint(&asked, time.Now().Add(-time.Duration(ago)*time.Minute).UnixMilli())
	}
	db := databasetest.OpenURL(t, "sqlite:"+filepath.Join(dir, "latchkey.db"))
	changed, err := db.SQL().ExecContext(t.Context(), `UPDATE onetime_secrets SET asked = ?
		WHERE account_id = (SELECT id FROM accounts WHERE email = ?)`, asked.String(), olderCode)
	require.NoError(t, err)
	rows, err := changed.RowsAffected()
	require.NoError(t, err)
	require.EqualValues(t, 1, rows)

	again := launch(t, dir, nil, "serve", "--dev")
	require.NotRegexp(t, olderLine, again.greeting(t))
}

// Without --dev there is no inbox.
func TestInboxIsForDevelopersAlone(t *testing.T) {
	t.Parallel()
	p := serve(t, []string{"LATCHKEY_OPERATOR_KEY=" + operatorKey})
	for _, path := range []string{"/dev/inbox", "/dev/inbox/", "/dev"} {
		for _, token := range []string{"", operatorKey} {
			require.Equal(t, "not_found", read[refusal](t, p.call(t, http.MethodGet, path, token, ""), http.StatusNotFound).Code)
		}
	}
}
