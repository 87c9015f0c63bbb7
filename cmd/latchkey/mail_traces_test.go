package main

import (
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/mail/smtptest"
)

// People register, confirm, log in, mistype, forget and change passwords. Afterwards neither the log at its most
// talkative nor any row of the database, nor a byte of its file, has a password, a token or a code of theirs.
func TestNoSecretStaysBehind(t *testing.T) {
	onEachAtOnce(t, func(t *testing.T, d database.Dialect) {
		relay := smtptest.New(t, smtptest.Options{User: "latchkey", Password: "the-relay-s-own-password"})
		url, variables := acme(t, d, relay)
		p := serve(t, append(variables, "LATCHKEY_LOG_LEVEL=debug", "LATCHKEY_OPERATOR_KEY="+operatorKey))
		v := &visit{t: t, process: p, relay: relay}
		v.keep("the operator's key", operatorKey)
		v.keep("the relay's password", "the-relay-s-own-password")
		v.keep("the secret key", strings.TrimPrefix(variables[1], "LATCHKEY_SECRET_KEY="))
		v.everything()
		p.stop(t)

		var mails strings.Builder
		for _, m := range relay.Messages() {
			mails.WriteString(m.Text)
		}
		for _, s := range v.secrets {
			if s.mailed {
				require.True(t, s.in(mails.String()), "%s is not looked for as it is written", s.what)
			}
		}
		log, dump := p.out.String()+p.log.String(), dumpOf(t, databasetest.OpenURL(t, url))
		require.Contains(t, log, "/registrations")
		require.Contains(t, dump, "ada@example.com")
		require.Contains(t, dump, "$argon2id$")
		for _, s := range v.secrets {
			require.False(t, s.in(log), "%s is in the log", s.what)
			require.False(t, s.in(dump), "%s is in the database", s.what)
		}
		if path, embedded := strings.CutPrefix(url, "sqlite:"); embedded {
			requireNoneInFiles(t, path, v.secrets)
		}
	})
}

// requireNoneInFiles looks at what SQLite has on disk, deleted rows included. Codes are left out: among so many bytes
// that are no text, any six digits may stand by chance.
func requireNoneInFiles(t *testing.T, path string, secrets []secret) {
	t.Helper()
	names, err := filepath.Glob(path + "*")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for _, name := range names {
		bytes, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, s := range secrets {
			require.False(t, !s.isCode() && s.in(string(bytes)), "%s is in %s", s.what, filepath.Base(name))
		}
	}
}

// secret is something that a run used and must not leave behind.
type secret struct {
	what, value string
	mailed      bool
}

// isCode tells a typed code from what is long enough to be found anywhere.
func (s secret) isCode() bool { return len(s.value) == 6 }

// in looks for a secret, in the ways in which bytes are written; for a code as a word of its own, which the fraction of
// a second is not.
func (s secret) in(text string) bool {
	if s.isCode() {
		return regexp.MustCompile(`(^|[^0-9A-Za-z.])` + s.value + `($|[^0-9A-Za-z])`).MatchString(text)
	}
	raws := []string{s.value}
	for part := range strings.SplitSeq(s.value, ".") { // of a signed token, each part
		if decoded, err := base64.RawURLEncoding.DecodeString(part); err == nil && len(decoded) >= 16 {
			raws = append(raws, string(decoded))
		}
	}
	for _, raw := range raws {
		for _, written := range []string{
			raw, hex.EncodeToString([]byte(raw)),
			base64.RawStdEncoding.EncodeToString([]byte(raw)), base64.RawURLEncoding.EncodeToString([]byte(raw)),
		} {
			if strings.Contains(text, written) {
				return true
			}
		}
	}
	return false
}

// dumpOf is every value of every table.
func dumpOf(t *testing.T, db *database.DB) string {
	t.Helper()
	list := `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`
	if db.Dialect() == database.Postgres {
		list = `SELECT tablename FROM pg_tables WHERE schemaname = 'public'`
	}
	var dump strings.Builder
	for _, table := range valuesOf(t, db.SQL(), list) {
		for _, value := range valuesOf(t, db.SQL(), fmt.Sprintf("SELECT * FROM %q", table)) {
			dump.WriteString(value + "\n")
		}
	}
	return dump.String()
}

// valuesOf gives all values of all rows; bytes are written twice, as they are and in hexadecimal.
func valuesOf(t *testing.T, db *sql.DB, query string) (values []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	columns, err := rows.Columns()
	require.NoError(t, err)
	for rows.Next() {
		row, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		require.NoError(t, rows.Scan(into...))
		for _, value := range row {
			if bytes, ok := value.([]byte); ok {
				values = append(values, string(bytes), hex.EncodeToString(bytes))
				continue
			}
			values = append(values, fmt.Sprint(value))
		}
	}
	require.NoError(t, rows.Err())
	return values
}
