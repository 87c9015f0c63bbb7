package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// command runs a subcommand in this process.
func command(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, log bytes.Buffer
	err = run(t.Context(), args, &out, &log)
	return out.String(), log.String(), err
}

// succeed runs a subcommand that has to, and gives what it printed.
func succeed(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, err := command(t, args...)
	require.NoError(t, err)
	require.Empty(t, stderr)
	return stdout
}

func TestPortalsOnTheTerminal(t *testing.T) {
	t.Parallel()
	databasetest.EachBlank(t, func(t *testing.T, url string) {
		portals := func(args ...string) []string {
			return append(append([]string{"portals"}, args...), "--database-url", url)
		}
		type settings struct {
			Name    string `json:"name"`
			Enabled bool   `json:"enabled"`
		}
		show := func() (s settings) {
			require.NoError(t, json.Unmarshal([]byte(succeed(t, portals("show", "acme")...)), &s))
			return s
		}

		succeed(t, "migrate", "--database-url", url)
		require.Equal(t, "SLUG  NAME  ENABLED  CREATED\n", succeed(t, portals("list")...), "on a database that is new")
		require.Equal(t, "acme\n", succeed(t, portals("create", "acme", "--name", "Acme Inc.")...))
		require.Equal(t, "globex\n", succeed(t, portals("create", "globex", "--name", "Globex")...))
		require.Equal(t, settings{"Acme Inc.", true}, show())
		require.Empty(t, succeed(t, portals("disable", "acme")...))
		require.Equal(t, settings{"Acme Inc.", false}, show())
		list := succeed(t, portals("list")...)
		require.Regexp(t, `(?m)^acme +Acme Inc\. +false +\S+Z$`, list)
		require.Regexp(t, `(?m)^globex +Globex +true +\S+Z$`, list)
		require.Empty(t, succeed(t, portals("enable", "acme")...))
		require.Equal(t, settings{"Acme Inc.", true}, show())

		for _, refused := range []struct {
			args []string
			why  string
		}{
			{[]string{"create", "acme", "--name", "Another"}, "slug: This is already taken."},
			{[]string{"create", "Not_A_Slug", "--name", "Any"}, "slug: This entry is not valid."},
			{[]string{"create", "nameless", "--name", ""}, "name: "},
			{[]string{"show", "nowhere"}, "There is no portal"},
			{[]string{"enable", "nowhere"}, "There is no portal"},
			{[]string{"disable", "nowhere"}, "There is no portal"},
		} {
			stdout, _, err := command(t, portals(refused.args...)...)
			require.ErrorContains(t, err, refused.why, "%q", refused.args)
			require.Empty(t, stdout)
		}
		require.Equal(t, settings{"Acme Inc.", true}, show(), "a refusal changes nothing")
	})
}

// The list goes on where one read of the database ends.
func TestPortalsListIsWhole(t *testing.T) {
	t.Parallel()
	databasetest.EachBlank(t, func(t *testing.T, url string) {
		succeed(t, "migrate", "--database-url", url)
		db := databasetest.OpenURL(t, url)
		service := portal.NewService(portal.Dependencies{Portals: portal.NewRepository(db), Audit: audit.NewRecorder(db, time.Now), Now: time.Now})
		settings := portal.Defaults()
		settings.Name = "Any"
		const many = 201 // one more than are read at once
		for i := range many {
			_, err := service.Create(t.Context(), fmt.Sprintf("portal-%d", i), settings)
			require.NoError(t, err)
		}
		lines := strings.Split(strings.TrimSpace(succeed(t, "portals", "list", "--database-url", url)), "\n")
		require.Len(t, lines, 1+many)
		slugs := map[string]bool{}
		for _, line := range lines[1:] {
			slugs[strings.Fields(line)[0]] = true
		}
		require.Len(t, slugs, many)
	})
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	databasetest.EachBlank(t, func(t *testing.T, url string) {
		for range 2 {
			require.Equal(t, "the database is up to date\n", succeed(t, "migrate", "--database-url", url))
		}
		require.NoError(t, databasetest.OpenURL(t, url).Ready(t.Context()))
	})
}

func TestWrongArgumentsAreExplained(t *testing.T) {
	t.Parallel()
	for wrong, why := range map[string]string{
		"":                                       `expected one of "serve", "migrate", "portals", "keys", "invite", ...`,
		"frobnicate":                             "unexpected argument frobnicate",
		"serve --bogus":                          "unknown flag --bogus",
		"serve now":                              "unexpected argument now",
		"serve --log-level=loud":                 "--log-level must be one of",
		"serve --hash-slots=many":                "--hash-slots",
		"serve --hash-wait=2":                    "--hash-wait",
		"portals":                                "expected one of",
		"portals create acme":                    "missing flags: --name",
		"portals show":                           "<slug>",
		"invite ada@example.com":                 "missing flags: --portal",
		"invite --portal=acme":                   `expected "<email>"`,
		"invite --expires-in=600":                "--expires-in",
		"migrate --database-url=mysql://db/name": "LATCHKEY_DATABASE_URL: want sqlite:",
	} {
		stdout, _, err := command(t, strings.Fields(wrong)...)
		require.ErrorContains(t, err, why, "%q", wrong)
		require.Empty(t, stdout, "%q", wrong)
		if !strings.HasPrefix(wrong, "migrate") {
			require.ErrorContains(t, err, "latchkey --help")
		}
	}
}

func TestHelpTellsEveryVariable(t *testing.T) {
	t.Parallel()
	help := succeed(t, "--help")
	for _, name := range []string{"serve", "migrate", "portals", "keys", "invite", "version"} {
		require.Contains(t, help, name)
	}
	help = succeed(t, "invite", "--help")
	for _, flag := range []string{"--portal", "--role", "--entitlement", "--locale", "--expires-in", "--no-send", "$LATCHKEY_SECRET_KEY"} {
		require.Contains(t, help, flag)
	}
	help = succeed(t, "serve", "--help")
	for _, variable := range []string{
		"ADDR", "PUBLIC_URL", "DATABASE_URL", "DATABASE_MAX_CONNS", "SECRET_KEY", "OPERATOR_KEY", "TRUSTED_PROXIES",
		"UNLIMITED_NETWORKS", "HASH_SLOTS", "HASH_WAIT", "LOG_FORMAT", "LOG_LEVEL",
	} {
		require.Contains(t, help, "$LATCHKEY_"+variable)
	}
	for _, variable := range []string{"PUBLIC_URL", "DATABASE_URL", "SECRET_KEY", "OPERATOR_KEY", "SMTP_URL"} {
		require.Contains(t, help, "$LATCHKEY_"+variable+"_FILE")
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	require.Regexp(t, `^latchkey \S+ .*`+runtime.Version()+`\n$`, succeed(t, "version"))
}

// A command waits for a database that does not answer. The end of the wait names the reason.
func TestDatabaseThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var log transcript
	ended := make(chan struct{})
	var err error
	go func() {
		defer close(ended)
		err = run(ctx, []string{"migrate", "--database-url", "postgres://someone:not-to-be-told@127.0.0.1:1/latchkey"},
			&transcript{}, &log)
	}()
	log.await(t, "the database does not answer yet", ended)
	cancel()
	<-ended
	require.ErrorContains(t, err, "database: unavailable")
	require.ErrorContains(t, err, "refused")
	require.NotContains(t, err.Error()+log.String(), "not-to-be-told")
}
