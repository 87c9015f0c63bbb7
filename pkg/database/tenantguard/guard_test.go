package tenantguard

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const schemaForGuard = `
CREATE TABLE portals (id UUID PRIMARY KEY);
CREATE TABLE IF NOT EXISTS accounts (portal_id UUID NOT NULL REFERENCES portals (id), id UUID, PRIMARY KEY (portal_id, id));
CREATE TABLE "sessions" (
	id UUID, -- not first
	"portal_id" UUID
);
CREATE TABLE public.devices (portal_id UUID);
CREATE TABLE jobs (id UUID, note TEXT DEFAULT 'portal_id', CHECK (note <> 'portal_id'));
CREATE INDEX sessions_account ON sessions (portal_id);
-- CREATE TABLE ghosts (portal_id UUID);
ALTER TABLE locks ADD COLUMN IF NOT EXISTS portal_id UUID;
ALTER TABLE jobs ADD COLUMN owner UUID;
CREATE TABLE events_new (portal_id UUID);
ALTER TABLE events_new RENAME TO events;
DROP TABLE jobs`

func TestPortalTables(t *testing.T) {
	t.Parallel()
	for _, d := range []Syntax{Postgres, SQLite} {
		require.Equal(t, map[string]bool{
			"accounts": true, "sessions": true, "devices": true, "locks": true, "events_new": true, "events": true,
		}, portalTables(d, schemaForGuard))
	}
}

func guardFor(s Syntax) *Guard { return New(s, schemaForGuard) }

// inBoth gives the text with $1, $2 and so on for Postgres, and as it is for SQLite.
func inBoth(text string) map[Syntax]string {
	numbered, n := "", 0
	for part := range strings.SplitSeq(text, "?") {
		if n > 0 {
			numbered += fmt.Sprintf("$%d", n)
		}
		numbered += part
		n++
	}
	return map[Syntax]string{Postgres: numbered, SQLite: text}
}

func TestGuardAccepts(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"SELECT 1", "", ";", "SAVEPOINT x", "SELECT id FROM portals WHERE slug = ?",
		"SELECT email FROM accounts WHERE portal_id = ? AND id = ?",
		"select EMAIL from ACCOUNTS where PORTAL_ID=?",
		"SELECT email FROM accounts WHERE ? = portal_id",
		`SELECT "accounts"."email" FROM "accounts" WHERE "accounts"."portal_id" = ? AND "accounts"."id" = ? LIMIT 1`,
		"SELECT a.email FROM accounts AS a WHERE a.portal_id = CAST(? AS uuid)",
		"SELECT email FROM accounts WHERE portal_id = ? AND (phone = ? OR email = ?)",
		"SELECT email FROM accounts WHERE (portal_id = ? AND email = ?) AND (x OR y)",
		"SELECT (a OR b) FROM accounts WHERE portal_id = ?",
		"SELECT a OR b FROM accounts WHERE portal_id = ?",
		"SELECT CASE WHEN a OR b THEN 1 ELSE 2 END FROM accounts WHERE portal_id = ?",
		"SELECT id FROM accounts WHERE CASE WHEN a OR b THEN 1 END = 1 AND portal_id = ?",
		"SELECT id FROM accounts WHERE portal_id = ? AND phone IS DISTINCT FROM ? AND id = ?",
		"SELECT id FROM accounts WHERE phone IS DISTINCT FROM ? AND portal_id = ?",
		"SELECT count(*) AS accounts FROM accounts WHERE portal_id = ?",
		"SELECT id FROM accounts WHERE (portal_id, id) IN ((?, ?), (?, ?))",
		"SELECT id FROM accounts a WHERE (a.portal_id, a.id) = (?, ?)",
		"SELECT 1 FROM accounts a JOIN sessions s ON s.portal_id = a.portal_id AND s.account_id = a.id WHERE a.portal_id = ?",
		"SELECT 1 FROM accounts a JOIN sessions s ON (s.portal_id, s.account_id) = (a.portal_id, a.id) WHERE a.portal_id = ?",
		"SELECT 1 FROM accounts a JOIN sessions s USING (portal_id, id) WHERE a.portal_id = ?",
		"SELECT 1 FROM accounts a, sessions s WHERE a.portal_id = ? AND s.portal_id = ?",
		"SELECT 1 FROM accounts a LEFT JOIN (sessions s JOIN devices d ON d.portal_id = s.portal_id) ON s.portal_id = a.portal_id WHERE a.portal_id = ?",
		"SELECT 1 FROM (SELECT 1) one LEFT JOIN accounts a ON a.portal_id = ? AND a.email = ? LEFT JOIN locks l ON l.portal_id = ? AND l.subject = ?",
		`SELECT id FROM accounts a WHERE a.portal_id = ? AND (a.email = ? OR EXISTS
			(SELECT 1 FROM sessions s WHERE s.portal_id = ? AND s.account_id = a.id))`,
		"WITH recent AS (SELECT id FROM sessions WHERE portal_id = ?) SELECT a.id FROM accounts a JOIN recent r ON r.id = a.id WHERE a.portal_id = ?",
		"SELECT id FROM accounts WHERE portal_id = ? UNION ALL SELECT id FROM sessions WHERE portal_id = ?",
		"SELECT id FROM accounts WHERE portal_id = ? FOR UPDATE OF accounts",
		"SELECT id FROM accounts WHERE portal_id = ? FOR NO KEY UPDATE SKIP LOCKED",
		"INSERT INTO accounts (portal_id, id) VALUES (?, ?)",
		`INSERT INTO "accounts" ("id","portal_id") VALUES (?, ?), (?, ?) ON CONFLICT ("portal_id","id") DO UPDATE SET "id" = "excluded"."id" RETURNING "id"`,
		"INSERT INTO locks AS l (portal_id, subject) VALUES (?, ?) ON CONFLICT (portal_id, subject) DO UPDATE SET n = l.n + 1 WHERE l.n < ? RETURNING n",
		"INSERT INTO sessions (portal_id, id) SELECT a.portal_id, ? FROM accounts a WHERE a.portal_id = ? AND a.id = ?",
		`UPDATE sessions SET (generation, rotated_at) = (SELECT CASE WHEN x THEN 1 ELSE 2 END, ?) WHERE portal_id = ? AND id = ?
			RETURNING generation, (SELECT roles FROM accounts WHERE portal_id = ? AND id = sessions.account_id)`,
		"UPDATE accounts SET email = ? WHERE portal_id = ? AND id = ?",
		"DELETE FROM sessions WHERE portal_id = ?",
		"DELETE FROM sessions USING accounts a WHERE sessions.portal_id = ? AND a.portal_id = sessions.portal_id",
		"SELECT 'FROM accounts' FROM portals", "SELECT 1 -- FROM accounts\n", "SELECT 1 /* FROM accounts */",
		"SELECT 'it''s; FROM accounts'", "UPDATE portals SET slug = ? WHERE id = ?; DELETE FROM sessions WHERE portal_id = ?",
		"SELECT account.sessions FROM portals account",
		"SELECT 1 FROM accounts a JOIN sessions s USING (portal_id) JOIN devices d USING (portal_id) WHERE d.portal_id = ?",
		"WITH old AS MATERIALIZED (SELECT id FROM accounts WHERE portal_id = ?) DELETE FROM accounts WHERE portal_id = ? AND id IN (SELECT id FROM old)",
		"SELECT id FROM accounts WHERE (portal_id, id) IN (VALUES (?, ?), (?, ?))",
		`INSERT INTO public.accounts AS "a" (id, portal_id) VALUES (?, ?) ON CONFLICT DO NOTHING`,
		"SELECT 1 FROM accounts a NATURAL JOIN portals WHERE a.portal_id = ?",
	} {
		for d, text := range inBoth(text) {
			require.NoError(t, guardFor(d).Check(text), "%s: %s", d, text)
		}
	}
	for d, texts := range map[Syntax][]string{
		Postgres: {
			"SELECT email FROM accounts WHERE portal_id = $1::uuid", "SELECT email FROM accounts WHERE $1::uuid = portal_id",
			`SELECT email FROM ONLY public."accounts" WHERE portal_id = $1`,
			"SELECT E'it\\'s FROM accounts'", "SELECT $$ FROM accounts $$", "SELECT $x$ FROM accounts $$ $x$",
			"SELECT 1 /* /* */ FROM accounts */", "SELECT roles[1] FROM accounts WHERE portal_id = $1",
		},
		SQLite: {
			"SELECT email FROM accounts WHERE portal_id == ?1", "SELECT email FROM accounts WHERE portal_id = :portal",
			"SELECT email FROM accounts WHERE portal_id = @portal", "SELECT email FROM accounts WHERE portal_id = $portal",
			"SELECT email FROM [accounts] WHERE [portal_id] = ?", "SELECT email FROM `accounts` WHERE `portal_id` = ?",
			"INSERT OR IGNORE INTO main.accounts (portal_id, id) VALUES (?, ?)",
			"UPDATE OR IGNORE accounts SET id = ? WHERE portal_id = ?",
		},
	} {
		for _, text := range texts {
			require.NoError(t, guardFor(d).Check(text), "%s: %s", d, text)
		}
	}
}

func TestGuardRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"SELECT email FROM accounts", "SELECT email FROM accounts WHERE id = ?", "DELETE FROM sessions",
		`SELECT email FROM "accounts" WHERE id = ?`, "SELECT email FROM public.accounts", "SELECT email FROM portals, accounts",
		"UPDATE accounts SET email = ?", "TRUNCATE accounts", "TABLE accounts", "DROP TABLE accounts",
		"SELECT email FROM accounts WHERE portal_id <> ?", "SELECT email FROM accounts WHERE portal_id >= ?",
		"SELECT email FROM accounts WHERE portal_id != ?", "SELECT email FROM accounts WHERE portal_id = 'acme'",
		"SELECT email FROM accounts WHERE portal_id = portal_id", "SELECT email FROM accounts a WHERE a.portal_id = a.portal_id",
		"SELECT email FROM accounts WHERE portal_id = coalesce(?, portal_id)", "SELECT email FROM accounts WHERE portal_id IS NOT NULL",
		"SELECT email FROM accounts WHERE NOT portal_id = ?", "SELECT email FROM accounts WHERE NOT (portal_id = ? AND x)",
		"SELECT email FROM accounts WHERE coalesce(portal_id = ?, true)",
		// Precedence: the portal is bound on one side of the OR.
		"SELECT email FROM accounts WHERE portal_id = ? AND email = ? OR phone = ?",
		"SELECT email FROM accounts WHERE id = ? OR portal_id = ?", "SELECT email FROM accounts WHERE (portal_id = ? AND x) OR y",
		"SELECT email FROM accounts WHERE (portal_id = ? OR x)", "SELECT email FROM accounts WHERE (portal_id, id) IN ((?, ?)) OR x",
		// A portal_id that restricts nothing.
		"SELECT portal_id = ? FROM accounts", "UPDATE accounts SET portal_id = ?", "SELECT id FROM accounts ORDER BY portal_id = ?",
		"SELECT count(*) FILTER (WHERE portal_id = ?) FROM accounts", "SELECT CASE WHEN portal_id = ? THEN 1 END FROM accounts",
		"UPDATE accounts SET (portal_id, id) = (?, ?)", "SELECT id FROM accounts WHERE (portal_id, id) NOT IN ((?, ?))",
		"SELECT id FROM accounts WHERE hash(portal_id, id) IN (?)", "SELECT id FROM accounts WHERE (portal_id, id) = (portal_id, ?)",
		"SELECT id FROM accounts WHERE (id, portal_id) > (?, ?)",
		// One short.
		"SELECT 1 FROM accounts a JOIN sessions s ON s.account_id = a.id WHERE a.portal_id = ?",
		"SELECT 1 FROM accounts a JOIN sessions s ON s.account_id = a.id AND a.portal_id = ? WHERE a.portal_id = ?",
		"SELECT 1 FROM accounts a, sessions s WHERE a.portal_id = s.portal_id",
		"SELECT 1 FROM accounts a, sessions s WHERE a.portal_id = s.portal_id AND s.portal_id = a.portal_id",
		"SELECT 1 FROM accounts a, sessions s, devices d WHERE a.portal_id = ? AND s.portal_id = ? AND a.portal_id = s.portal_id",
		"SELECT 1 FROM accounts a, accounts b WHERE a.portal_id = ?", "SELECT 1 FROM accounts a JOIN sessions s USING (portal_id)",
		"SELECT 1 FROM accounts a JOIN sessions s USING (account_id) WHERE a.portal_id = ?",
		"SELECT id FROM accounts WHERE portal_id = ? AND id IN (SELECT account_id FROM sessions)",
		"SELECT id FROM accounts WHERE portal_id = ? UNION ALL SELECT id FROM sessions",
		"SELECT id, (SELECT count(*) FROM sessions) FROM accounts WHERE portal_id = ?",
		"WITH x AS (SELECT id FROM sessions) SELECT id FROM accounts WHERE portal_id = ?",
		"INSERT INTO accounts VALUES (?, ?)", "INSERT INTO accounts (id) VALUES (?)", "INSERT INTO accounts SELECT portal_id FROM portals",
		"INSERT INTO sessions (portal_id, id) SELECT portal_id, id FROM accounts", "INSERT INTO accounts (id) VALUES (?) ON CONFLICT (portal_id, id) DO NOTHING",
		"MERGE INTO accounts USING (SELECT 1) x ON true WHEN MATCHED THEN DELETE",
		"UPDATE portals SET slug = ? WHERE id = ?; DELETE FROM sessions", "DELETE FROM sessions; DELETE FROM accounts WHERE portal_id = ? AND portal_id = ?",
		// One table twice, and another one not at all.
		"SELECT id FROM accounts a WHERE portal_id = ? AND a.portal_id = ? AND id IN (SELECT account_id FROM sessions)",
		"SELECT id FROM accounts a JOIN sessions s ON s.account_id = a.id WHERE a.portal_id = ? AND a.portal_id = ?",
		"SELECT id FROM accounts a JOIN sessions s ON s.account_id = a.id WHERE portal_id = ? AND a.portal_id = ?",
		"DELETE FROM accounts WHERE portal_id = ? AND ? = portal_id AND EXISTS (SELECT 1 FROM sessions)",
		"INSERT INTO sessions (portal_id, id) SELECT ?, id FROM accounts WHERE sessions.portal_id = ?",
		// A subquery that only a table of the outer query ties to a portal.
		"SELECT a.id, (SELECT MAX(s.at) FROM sessions s WHERE s.portal_id = a.portal_id) FROM accounts a WHERE a.portal_id = ?",
		"SELECT id FROM accounts a WHERE a.portal_id = ? AND EXISTS (SELECT 1 FROM sessions s WHERE s.portal_id = a.portal_id)",
		"SELECT id FROM accounts a WHERE a.portal_id = ? AND a.id IN (SELECT account_id FROM sessions s WHERE (s.portal_id, s.x) = (a.portal_id, a.x))",
		"UPDATE sessions SET x = 1 WHERE portal_id = ? RETURNING (SELECT roles FROM accounts WHERE portal_id = sessions.portal_id)",
		`INSERT INTO sessions (portal_id, id) SELECT a.portal_id, ? FROM accounts a WHERE a.portal_id = ?
			AND NOT EXISTS (SELECT 1 FROM locks l WHERE l.portal_id = a.portal_id)`,
		"SELECT 1 FROM accounts a JOIN (SELECT portal_id FROM sessions) s ON s.portal_id = a.portal_id WHERE a.portal_id = ?",
		"SELECT 1 FROM accounts a, sessions s JOIN (SELECT 1 portal_id) x USING (portal_id) WHERE a.portal_id = ?",
		"SELECT id FROM accounts WHERE (portal_id, id) IN (SELECT portal_id, id FROM accounts WHERE portal_id = ?)",
		"SELECT id FROM accounts WHERE (portal_id, id) IN ((?, ?), (portal_id, ?))",
		"SELECT id FROM accounts sessions, sessions x WHERE sessions.portal_id = ?",
		// Neither a comment nor a string binds.
		"SELECT id FROM accounts -- WHERE portal_id = ?", "SELECT id FROM accounts /* WHERE portal_id = ? */",
		"SELECT id FROM accounts WHERE x = 'AND portal_id = ?'", "SELECT id FROM/**/accounts", "SELECT 1 /* ' */ FROM accounts /* ' */",
		"SELECT '--' FROM accounts", "SELECT '''' FROM accounts", `SELECT "--" FROM accounts`, `SELECT "a""" FROM accounts`,
		"SELECT id FROM accounts)", "SELECT id FROM ((accounts", "SELECT CASE FROM accounts",
	} {
		for d, text := range inBoth(text) {
			require.ErrorIs(t, guardFor(d).Check(text), ErrPortalNotBound, "%s: %s", d, text)
		}
	}
	for d, texts := range map[Syntax][]string{
		Postgres: {
			"SELECT E'\\'' FROM accounts", "SELECT '\\' FROM accounts", "SELECT $$'$$ FROM accounts", "SELECT $1 FROM accounts",
			"SELECT $a$ $b$ $a$ FROM accounts -- $b$", "SELECT /* /* */ */ 1 FROM accounts", "SELECT ARRAY[(SELECT id FROM accounts)]",
			"SELECT E'\\\\' FROM accounts", "LOCK TABLE accounts", "COPY accounts TO STDOUT", "SELECT id FROM accounts WHERE portal_id = ANY($1)",
		},
		SQLite: {
			"SELECT 1 /* /* */ FROM accounts", "SELECT id FROM [accounts]", "SELECT id FROM `accounts`", "SELECT id FROM 'accounts'",
			"SELECT id FROM main.'accounts'", "SELECT $$ FROM accounts -- $$", "SELECT '\\' FROM accounts", "REPLACE INTO accounts VALUES (?)",
		},
	} {
		for _, text := range texts {
			require.ErrorIs(t, guardFor(d).Check(text), ErrPortalNotBound, "%s: %s", d, text)
		}
	}
}

// The package comment names these limits: it must change when they do.
func TestGuardLimits(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"SELECT 1 FROM accounts a LEFT JOIN sessions s ON s.portal_id = a.portal_id AND s.portal_id = ?",
		"DELETE FROM portals WHERE id = ?", // and the rows that cascade from it
	} {
		for d, text := range inBoth(text) {
			require.NoError(t, guardFor(d).Check(text), "%s: %s", d, text)
		}
	}
}

func TestGuardRemembersVerdictsWithinBounds(t *testing.T) {
	t.Parallel()
	g := guardFor(SQLite)
	for i := range maxVerdicts + 10 {
		require.NoError(t, g.Check(fmt.Sprintf("SELECT %d", i)))
	}
	require.LessOrEqual(t, len(g.verdicts), maxVerdicts)
	for range 2 {
		require.Error(t, g.Check("SELECT id FROM accounts"))
	}
}

// Whatever the text, the guard ends without a panic; and what it thinks of a text does not change what it thinks of an
// unbound table after it.
func FuzzGuard(f *testing.F) {
	for _, seed := range []string{
		"SELECT 1", "((", "))", "CASE", "END END", "'", `"`, "/*", "--", "$", "$$", "$a", "[", "`", "E'\\", "INSERT INTO", "USING (",
		"portal_id = ", "= portal_id", "(portal_id,", "JOIN x USING (portal_id", "INSERT INTO accounts AS", ";;", "a.portal_id =",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, d := range []Syntax{Postgres, SQLite} {
			g := guardFor(d)
			_ = g.judge(text)
			if err := g.judge("DELETE FROM accounts; " + text); err == nil {
				t.Errorf("%s: accepted: %q", d, text)
			}
		}
	})
}

func BenchmarkGuard(b *testing.B) {
	const text = "SELECT a.email FROM accounts a JOIN sessions s ON s.portal_id = a.portal_id WHERE a.portal_id = $1"
	b.Run("known", func(b *testing.B) {
		g := guardFor(Postgres)
		for b.Loop() {
			_ = g.Check(text)
		}
	})
	b.Run("new", func(b *testing.B) {
		g := guardFor(Postgres)
		for b.Loop() {
			_ = g.judge(text)
		}
	})
}
