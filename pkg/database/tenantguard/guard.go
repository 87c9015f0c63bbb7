// Package tenantguard refuses SQL that forgets the portal. It reads the text of a statement. A statement that names a
// table of portals' data without binding its portal_id does not run. A forgotten condition then fails in the first test
// that runs it, and in production it fails too, instead of showing one portal's people to another.
//
// A table is bound when its portal_id equals a parameter, or the portal_id of a bound table of the same query. These
// bind:
//
//   - portal_id compared with a parameter, or with the portal_id of another table of the same query, in WHERE, ON or
//     HAVING, unless an OR in the same group undoes that
//   - (portal_id, …) = (…) or IN ((…), …) with a parameter in its place
//   - portal_id in the list of columns of an INSERT, or of a JOIN … USING
//
// Every use of a table counts by itself. A subquery that compares its portal_id with a table of the outer query does
// not bind: a distributed Postgres (Citus) refuses that, or asks every one of its machines.
//
// What it can see: every statement that goes through GORM, raw or built, in a transaction or not; every table that some
// migration gives a column portal_id, under an alias, quoted, in a subquery, a CTE or a join. In doubt it sees a table
// more or a binding less.
//
// What it cannot see:
//
//   - which portal a parameter holds: a statement bound to the wrong portal passes
//   - that the ON of a LEFT JOIN restricts the joined table alone, not the table before it
//   - what the database does on its own: foreign keys that cascade, triggers, views and functions
//   - statements that go past GORM: migrations, and those of a library that is given the *sql.DB or *sql.Tx (River)
package tenantguard

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// ErrPortalNotBound means that a statement names a table of portals' data and does not bind its portal_id.
var ErrPortalNotBound = errors.New("tenantguard: the statement does not bind the portal_id")

// Syntax is the SQL of one database: they differ in quoting, comments and parameters.
type Syntax string

// The databases whose SQL the guard reads.
const (
	Postgres Syntax = "postgres"
	SQLite   Syntax = "sqlite"
)

// Guard judges statements. It is safe for concurrent use.
type Guard struct {
	syntax Syntax
	tables map[string]bool

	mu       sync.RWMutex
	verdicts map[string]error
}

// maxVerdicts bounds the cache, because lists of varying length make ever new texts.
const maxVerdicts = 4096

// New makes a guard of the tables that the migrations, one text, give a column portal_id.
func New(s Syntax, migrations string) *Guard {
	return &Guard{syntax: s, tables: portalTables(s, migrations), verdicts: map[string]error{}}
}

// Tables lists the tables of portals' data, sorted.
func (g *Guard) Tables() []string { return slices.Sorted(maps.Keys(g.tables)) }

// Check returns why a statement must not run, or nil. The verdict on each text is kept.
//
// Errors: ErrPortalNotBound.
func (g *Guard) Check(query string) error {
	g.mu.RLock()
	verdict, known := g.verdicts[query]
	g.mu.RUnlock()
	if known {
		return verdict
	}

	verdict = g.judge(query)
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.verdicts) >= maxVerdicts {
		clear(g.verdicts)
	}
	g.verdicts[strings.Clone(query)] = verdict
	return verdict
}

func (g *Guard) judge(query string) error {
	if tables := unbound(tokenize(g.syntax, query), g.tables); len(tables) > 0 {
		return fmt.Errorf("%w of %s: %s", ErrPortalNotBound, strings.Join(tables, ", "), query)
	}
	return nil
}

// portalTables are the tables that some migration gives a column portal_id.
func portalTables(s Syntax, migrations string) map[string]bool {
	r := reader{tokens: tokenize(s, migrations)}
	tables := map[string]bool{}
	for i, t := range r.tokens {
		if !t.is("table") {
			continue
		}
		name := i + 1
		for _, optional := range []string{"if", "not", "exists", "only"} {
			if r.at(name).is(optional) {
				name++
			}
		}
		if r.at(name + 1).is(".") {
			name += 2
		}
		if r.givesPortalID(name + 1) {
			tables[r.at(name).text] = true
		}
		if r.at(name+1).is("rename") && r.at(name+2).is("to") && tables[r.at(name).text] {
			tables[r.at(name+3).text] = true
		}
	}
	return tables
}

// givesPortalID reports whether what follows a table's name, at i, defines a column portal_id.
func (r *reader) givesPortalID(i int) bool {
	if r.at(i).is("(") {
		return slices.ContainsFunc(r.list(i), func(s span) bool { return r.at(s.start).isPortalID() })
	}
	for ; i < len(r.tokens) && !r.at(i).is(";"); i++ { // ALTER TABLE … ADD [COLUMN] [IF NOT EXISTS] portal_id
		if r.at(i).isPortalID() && slices.ContainsFunc([]string{"add", "column", "exists"}, r.at(i-1).is) {
			return true
		}
	}
	return false
}
