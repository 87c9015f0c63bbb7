package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

var (
	waitingLine    = regexp.MustCompile(`(?m)^  invited@example\.com +is invited with the role editor; the code is (\S+)$`)
	acceptedLine   = regexp.MustCompile(`(?m)^  invited@example\.com +has accepted an invitation$`)
	ranOutLine     = regexp.MustCompile(`(?m)^  expired-invitation@example\.com +was invited; the code that ran out is (\S+)$`)
	supersededLine = regexp.MustCompile(`(?m)^  resent-invitation@example\.com +is invited; the code is (\S+), the older code (\S+)$`)
	resentLine     = regexp.MustCompile(`(?m)^  resent-invitation@example\.com +is invited; the code is (\S+)$`)
)

// told gives what the lines of a greeting tell, and wants them there.
func told(t *testing.T, greeting string, line *regexp.Regexp) []string {
	t.Helper()
	found := line.FindStringSubmatch(greeting)
	require.NotNil(t, found, "%s\n%s", line, greeting)
	return found[1:]
}

// invitationList is the part of invitations as administrators see them that these tests look at.
type invitationList struct {
	Items []invitationItem `json:"items"`
}

type invitationItem struct {
	ID        string   `json:"id"`
	Email     string   `json:"email"`
	Roles     []string `json:"roles"`
	Status    string   `json:"status"`
	InvitedBy string   `json:"invited_by"`
	CreatedAt string   `json:"created_at"`
	SentAt    *string  `json:"sent_at"`
	ExpiresAt string   `json:"expires_at"`
	Locale    string   `json:"locale"`
}

// invitations lists those of a portal, newest first.
func (p *process) invitations(t *testing.T, portalPath string) []invitationItem {
	t.Helper()
	a := p.call(t, http.MethodGet, portalPath+"/invitations", operatorKey, "")
	return read[invitationList](t, a, http.StatusOK).Items
}

// redemption is what a person sends to accept an invitation.
func redemption(code, address string) string {
	return fmt.Sprintf(`{"code":%q,"email":%q,"password":%q}`, code, address, acmePassword)
}

// change changes one row of a database behind the program's back.
func change(t *testing.T, db *database.DB, query string, args ...any) {
	t.Helper()
	changed, err := db.SQL().ExecContext(t.Context(), query, args...)
	require.NoError(t, err)
	rows, err := changed.RowsAffected()
	require.NoError(t, err)
	require.EqualValues(t, 1, rows, query)
}

// A developer finds an invitation in every state, with codes to try, and the good ones in the inbox.
func TestDevInvitations(t *testing.T) {
	t.Parallel()
	dir, variables := t.TempDir(), []string{"LATCHKEY_OPERATOR_KEY=" + operatorKey}
	p := launch(t, dir, variables, "serve", "--dev")
	greeting := p.greeting(t)
	waiting, ranOut := told(t, greeting, waitingLine)[0], told(t, greeting, ranOutLine)[0]
	superseded := told(t, greeting, supersededLine)
	newest, older := superseded[0], superseded[1]

	verify := func(code string) string { return fmt.Sprintf(`{"code":%q}`, code) }
	for _, good := range []struct{ to, code string }{{waitingInvitation, waiting}, {resentInvitation, newest}} {
		m := p.awaitMessage(t, good.to)
		require.Equal(t, "You are invited to Demo", m.Subject)
		require.Equal(t, good.code, value(m.Code))
		require.Equal(t, good.code, value(m.Token))
		require.Equal(t, "http://localhost:3000/invite?code="+good.code, value(m.Link))
		for _, part := range []string{m.Text, m.HTML} {
			require.Contains(t, part, good.code)
			require.Contains(t, part, value(m.Link))
		}
		p.demo(t, http.StatusOK, "", "/invitations/verify", verify(good.code))
	}
	p.demo(t, http.StatusGone, "token_expired", "/invitations/verify", verify(ranOut))
	p.demo(t, http.StatusGone, "token_expired", "/invitations/redeem", redemption(ranOut, expiredInvitation))
	p.demo(t, http.StatusGone, "token_superseded", "/invitations/verify", verify(older))
	p.demo(t, http.StatusGone, "token_superseded", "/invitations/redeem", redemption(older, resentInvitation))
	for _, m := range p.inbox(t) {
		require.NotContains(t, []string{ranOut, older}, value(m.Code), "what is not good any more is not sent")
	}

	made := p.invitations(t, adminPath)
	require.Len(t, made, len(demoInvitations))
	statuses := map[string]string{}
	for _, i := range made {
		statuses[i.Email] = i.Status
		require.Equal(t, operator, i.InvitedBy)
	}
	require.Equal(t, map[string]string{
		waitingInvitation: "pending", resentInvitation: "pending", expiredInvitation: "expired",
	}, statuses)
	in := read[struct {
		Account struct{ Roles []string }
	}](t, p.call(t, http.MethodPost, demoPath+"/invitations/redeem", "", redemption(waiting, waitingInvitation)), http.StatusCreated)
	require.Equal(t, []string{"editor"}, in.Account.Roles)
	const twoDays = 2 * 24 * 60 * 60 * 1000
	db := databasetest.OpenURL(t, "sqlite:"+filepath.Join(dir, "latchkey.db"))
	change(t, db, `UPDATE invitations SET created_at = created_at - ?, issued_at = issued_at - ?, expires_at = expires_at - ?
		WHERE email = ?`, twoDays, twoDays, twoDays, expiredInvitation)
	change(t, db, `DELETE FROM onetime_secrets WHERE purpose = 'invitation'`) // no cool-down keeps it from being sent again
	made = p.invitations(t, adminPath)
	p.stop(t)

	again := launch(t, dir, variables, "serve", "--dev")
	greeting = again.greeting(t)
	told(t, greeting, acceptedLine)
	require.Equal(t, ranOut, told(t, greeting, ranOutLine)[0])
	require.Equal(t, newest, told(t, greeting, resentLine)[0])
	require.Equal(t, made, again.invitations(t, adminPath), "a second start finds what the first has made")
	again.demo(t, http.StatusOK, "", "/invitations/verify", verify(newest))
}

// Where an invitation ran out since, or was swept, or a start was killed before it was sent again, a start makes what is
// missing.
func TestDevInvitationsAreMadeAnew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := launch(t, dir, nil, "serve", "--dev")
	greeting := p.greeting(t)
	waiting, ranOut := told(t, greeting, waitingLine)[0], told(t, greeting, ranOutLine)[0]
	newest := told(t, greeting, supersededLine)[0]
	p.awaitMessage(t, waitingInvitation)
	p.stop(t)

	db := databasetest.OpenURL(t, "sqlite:"+filepath.Join(dir, "latchkey.db"))
	change(t, db, `UPDATE invitations SET expires_at = created_at + 1 WHERE email = ?`, waitingInvitation)
	change(t, db, `DELETE FROM invitations WHERE email = ?`, expiredInvitation)
	change(t, db, `UPDATE invitations SET issued_at = created_at WHERE email = ?`, resentInvitation)
	change(t, db, `DELETE FROM onetime_secrets WHERE purpose = 'invitation'`)

	again := launch(t, dir, nil, "serve", "--dev")
	greeting = again.greeting(t)
	another := told(t, greeting, waitingLine)[0]
	require.NotEqual(t, waiting, another)
	require.Equal(t, another, value(again.awaitMessage(t, waitingInvitation).Code))
	require.NotEqual(t, ranOut, told(t, greeting, ranOutLine)[0])
	require.Equal(t, newest, told(t, greeting, supersededLine)[1])
	require.Equal(t, told(t, greeting, supersededLine)[0], value(again.awaitMessage(t, resentInvitation).Code))
}
