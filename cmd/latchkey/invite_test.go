package main

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/mail/smtptest"
)

const acmeAdmin = "/v1/admin/portals/acme"

var invitationCode = regexp.MustCompile(`^([0-9A-HJKMNP-TV-Z]{5}-){3}[0-9A-HJKMNP-TV-Z]{5}$`)

// inviter runs `latchkey invite` at the portal acme of a database, again and again.
type inviter struct {
	url, key string
}

// newInviter makes a blank database and the portal.
func newInviter(t *testing.T, url string) inviter {
	t.Helper()
	succeed(t, "portals", "create", "acme", "--name", "Acme", "--database-url", url)
	return inviter{url, keyring.Generate()}
}

func (i inviter) args(args ...string) []string {
	return append([]string{"invite", "--portal=acme", "--log-level=debug", "--database-url=" + i.url, "--secret-key=" + i.key}, args...)
}

// invite runs it, and gives what it printed by the name of the line. Nothing is logged.
func (i inviter) invite(t *testing.T, args ...string) map[string]string {
	t.Helper()
	told := map[string]string{}
	for line := range strings.Lines(succeed(t, i.args(args...)...)) {
		name, text, found := strings.Cut(line, " ")
		require.True(t, found, line)
		told[name] = strings.TrimSpace(text)
	}
	require.Regexp(t, invitationCode, told["code"])
	return told
}

// serve starts a server over the database.
func (i inviter) serve(t *testing.T, variables ...string) *process {
	t.Helper()
	return serve(t, append(append(keyed(i.url, i.key), "LATCHKEY_OPERATOR_KEY="+operatorKey), variables...))
}

// The first administrator of a portal is invited on the terminal, before a server has ever run; the code that is printed
// makes the account, and the account administers the portal.
func TestInviteTheFirstAdministrator(t *testing.T) {
	t.Parallel()
	databasetest.EachBlank(t, func(t *testing.T, url string) {
		i := newInviter(t, url)
		told := i.invite(t, "--role=admin", "--role", "editor, admin", "--entitlement=case 1", "--locale=de", "--expires-in=48h", "Ada@Example.com")
		require.Equal(t, []string{"Ada@Example.com", "admin, editor", "case 1"}, []string{told["email"], told["roles"], told["entitlements"]})
		require.NotContains(t, told, "link", "the portal has no page for it")
		expires, err := time.Parse(time.RFC3339, told["expires"])
		require.NoError(t, err)
		require.WithinDuration(t, time.Now().Add(48*time.Hour), expires, patience)

		p := i.serve(t)
		list := p.invitations(t, acmeAdmin)
		require.Len(t, list, 1)
		require.Equal(t, []string{"Ada@Example.com", "pending", operator, "de"}, []string{list[0].Email, list[0].Status, list[0].InvitedBy, list[0].Locale})
		verified := p.call(t, http.MethodPost, acmePath+"/invitations/verify", "", fmt.Sprintf(`{"code":%q}`, told["code"]))
		require.Equal(t, http.StatusOK, verified.status, "%s", verified.body)
		typed := strings.ToLower(strings.ReplaceAll(told["code"], "-", " "))
		a := p.call(t, http.MethodPost, acmePath+"/invitations/redeem", "", redemption(typed, "ada@example.com"))
		in := read[signedIn](t, a, http.StatusCreated)
		require.Equal(t, "Ada@Example.com", in.Account.Email)
		people := read[personList](t, p.call(t, http.MethodGet, acmeAdmin+"/accounts", in.AccessToken, ""), http.StatusOK)
		require.Equal(t, []person{in.Account}, people.Items)
		require.NotContains(t, p.log.String(), told["code"])
		require.Equal(t, []string{"terminal"}, valuesOf(t, databasetest.OpenURL(t, url).SQL(),
			"SELECT actor FROM audit_events WHERE type = 'invitation.created'"))
	})
}

// While a server runs, the mail goes out at once and holds the code and the link that were printed; with --no-send
// none does.
func TestInviteWhileAServerRuns(t *testing.T) {
	onEachAtOnce(t, func(t *testing.T, d database.Dialect) {
		relay := smtptest.New(t, smtptest.Options{})
		i := newInviter(t, databasetest.BlankURL(t, d))
		p := i.serve(t, "LATCHKEY_SMTP_URL="+relay.URL(), "LATCHKEY_LOG_LEVEL=debug")
		links := `{"links":{"invitation":"https://login.acme.example/invite?code={token}"}}`
		require.Equal(t, http.StatusOK, p.call(t, http.MethodPatch, acmeAdmin, operatorKey, links).status)

		quiet := i.invite(t, "--no-send", "quiet@example.com")
		require.Equal(t, []string{"-", "-", "none"}, []string{quiet["roles"], quiet["entitlements"], quiet["mail"]})
		told := i.invite(t, "--role=admin", "ada@example.com")
		require.Equal(t, "https://login.acme.example/invite?code="+told["code"], told["link"])
		require.Contains(t, told["mail"], "queued")
		m := relay.Wait(t, 1, patience)[0]
		require.Equal(t, []string{"ada@example.com"}, m.To)
		require.Contains(t, m.Text, "\n    "+told["code"]+"\n")
		require.Contains(t, m.Text, told["link"])

		for _, made := range []struct{ address, code string }{{"quiet@example.com", quiet["code"]}, {"ada@example.com", told["code"]}} {
			a := p.call(t, http.MethodPost, acmePath+"/invitations/redeem", "", redemption(made.code, made.address))
			require.Equal(t, http.StatusCreated, a.status, "%s", a.body)
		}
		p.stop(t)
		require.Len(t, relay.Messages(), 1)
		log, dump := p.out.String()+p.log.String(), dumpOf(t, databasetest.OpenURL(t, i.url))
		require.Contains(t, dump, "ada@example.com")
		for _, code := range []string{told["code"], quiet["code"]} {
			for _, written := range []string{code, strings.ReplaceAll(code, "-", ""), code[len(code)-11:]} {
				require.NotContains(t, log, written)
				require.NotContains(t, dump, written)
			}
		}
	})
}

// Every obstacle is explained in words, and nothing is made.
func TestInviteRefuses(t *testing.T) {
	t.Parallel()
	databasetest.EachBlank(t, func(t *testing.T, url string) {
		i := newInviter(t, url)
		many := make([]string, 65)
		for n := range many {
			many[n] = fmt.Sprintf("role-%d", n)
		}
		long := strings.Repeat("ü", 128)
		for _, wrong := range []struct {
			args []string
			why  []string
		}{
			{[]string{"--portal=nowhere", "ada@example.com"}, []string{"There is no portal"}},
			{[]string{"ada"}, []string{"email: This is not an email address."}},
			{[]string{"ada@example.com, bob@example.com"}, []string{"email: This is not an email address."}},
			{[]string{"--role=", "ada@example.com"}, []string{"role: This entry is missing."}},
			{[]string{"--role=a,,b", "ada@example.com"}, []string{"role: This entry is missing."}},
			{[]string{"--role=" + long + "ü", "ada@example.com"}, []string{"role: This entry may have at most 128 characters."}},
			{[]string{"--role=" + strings.Join(many, ","), "ada@example.com"}, []string{"role: There may be at most 64 entries here."}},
			{[]string{"--entitlement=a\x1b[31m", "ada@example.com"}, []string{"entitlement: This entry contains a character that cannot be printed."}},
			{[]string{"--entitlement=a\xff", "ada@example.com"}, []string{"entitlement: This entry is not valid UTF-8."}},
			{[]string{"--locale=pt", "ada@example.com"}, []string{"locale: ", "en, de, fr, nl, da"}},
			{[]string{"--expires-in=59s", "ada@example.com"}, []string{"expires-in: ", "1m0s to 720h0m0s"}},
			{[]string{"--expires-in=0s", "ada@example.com"}, []string{"expires-in: "}},
			{[]string{"--expires-in=721h", "ada@example.com"}, []string{"expires-in: "}},
			{[]string{"--role=", "--locale=pt", "ada"}, []string{"email: ", "role: ", "locale: "}},
			{[]string{"--secret-key=short", "ada@example.com"}, []string{"LATCHKEY_SECRET_KEY"}},
		} {
			stdout, log, err := command(t, i.args(wrong.args...)...)
			require.Empty(t, stdout+log, "%q", wrong.args)
			for _, why := range wrong.why {
				require.ErrorContains(t, err, why, "%q", wrong.args)
			}
		}
		require.Equal(t, "ada@example.com", i.invite(t, append([]string{"--role=" + strings.Join(many[1:], ","), "--entitlement=" + long,
			"--expires-in=720h"}, "ada@example.com")...)["email"])
		addresses := valuesOf(t, databasetest.OpenURL(t, url).SQL(), "SELECT email FROM invitations")
		require.Equal(t, []string{"ada@example.com"}, addresses, "a refusal makes nothing")
	})
}

// A person who is invited or registered already is not invited again. The operator sees a call that helps, and it does.
func TestInviteTwice(t *testing.T) {
	t.Parallel()
	databasetest.EachBlank(t, func(t *testing.T, url string) {
		i := newInviter(t, url)
		told := i.invite(t, "--no-send", "ada@example.com")
		p := i.serve(t)
		id := p.invitations(t, acmeAdmin)[0].ID

		stdout, log, err := command(t, i.args("--role=admin", "ADA@example.com")...)
		require.Empty(t, stdout+log)
		require.ErrorContains(t, err, "There is already a pending invitation")
		calls := regexp.MustCompile(`(POST|DELETE) (/\S+)`).FindAllStringSubmatch(err.Error(), -1)
		require.Len(t, calls, 2)
		require.Contains(t, calls[0][2], id)
		require.Equal(t, http.StatusAccepted, p.call(t, calls[0][1], calls[0][2], operatorKey, "").status)
		a := p.call(t, http.MethodPost, acmePath+"/invitations/verify", "", fmt.Sprintf(`{"code":%q}`, told["code"]))
		require.Equal(t, "token_superseded", read[refusal](t, a, http.StatusGone).Code)
		require.Equal(t, http.StatusNoContent, p.call(t, calls[1][1], calls[1][2], operatorKey, "").status)

		told = i.invite(t, "ada@example.com")
		a = p.call(t, http.MethodPost, acmePath+"/invitations/redeem", "", redemption(told["code"], "ada@example.com"))
		in := read[signedIn](t, a, http.StatusCreated)
		stdout, log, err = command(t, i.args("--role=admin", "ada@example.com")...)
		require.Empty(t, stdout+log)
		require.ErrorContains(t, err, "There is already an account")
		patch := regexp.MustCompile(`PATCH (/\S+)`).FindStringSubmatch(err.Error())
		require.NotNil(t, patch, err)
		path := strings.Replace(patch[1], "{id}", in.Account.ID, 1)
		require.Equal(t, http.StatusOK, p.call(t, http.MethodPatch, path, operatorKey, `{"roles":["admin"]}`).status)
	})
}

// The program itself ends with 1, says why on the error output, and says so of a key that does not fit as well.
func TestInviteExits(t *testing.T) {
	t.Parallel()
	databasetest.EachBlank(t, func(t *testing.T, url string) {
		i := newInviter(t, url)
		own := launch(t, t.TempDir(), keyed(url, i.key), "invite", "--portal=acme", "ada@example.com")
		require.Zero(t, own.exitCode(t))
		require.Contains(t, own.out.String(), "ada@example.com")
		require.Empty(t, own.log.String())

		other := keyring.Generate()
		for why, p := range map[string]*process{
			"There is already a pending invitation":              launch(t, t.TempDir(), keyed(url, i.key), "invite", "--portal=acme", "ada@example.com"),
			"LATCHKEY_SECRET_KEY does not fit this database":     launch(t, t.TempDir(), keyed(url, other), "invite", "--portal=acme", "bob@example.com"),
			"LATCHKEY_DATABASE_URL: want sqlite:PATH or postgre": launch(t, t.TempDir(), keyed("mysql://db", other), "invite", "--portal=acme", "bob@example.com"),
		} {
			require.Equal(t, 1, p.exitCode(t))
			require.Empty(t, p.out.String())
			require.Contains(t, p.log.String(), why)
			require.NotContains(t, p.log.String(), i.key)
			require.NotContains(t, p.log.String(), other)
		}
	})
}

// Without a configured key an embedded database has one beside it, the same that a server uses; Postgres wants one.
func TestInviteWithTheKeyFileOfTheDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, args := range [][]string{{"portals", "create", "acme", "--name=Acme"}, {"invite", "--portal=acme", "ada@example.com"}} {
		p := launch(t, dir, nil, args...)
		require.Zero(t, p.exitCode(t), p.log.String())
		if args[0] == "invite" {
			code := regexp.MustCompile(`(?m)^code +(\S+)$`).FindStringSubmatch(p.out.String())
			require.NotNil(t, code, p.out.String())
			server := launch(t, dir, nil, "serve").listening(t)
			a := server.call(t, http.MethodPost, acmePath+"/invitations/redeem", "", redemption(code[1], "ada@example.com"))
			require.Equal(t, http.StatusCreated, a.status, "%s", a.body)
		}
	}
	requirePrivateFiles(t, dir)

	p := launch(t, dir, []string{"LATCHKEY_DATABASE_URL=postgres://db.invalid/latchkey"}, "invite", "--portal=acme", "ada@example.com")
	require.Equal(t, 1, p.exitCode(t))
	require.Contains(t, p.log.String(), "LATCHKEY_SECRET_KEY: required with Postgres")
}
