package database

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// ErrPortalNotBound means that a statement names more tables of portals' data than it binds portal_ids. It never ran.
var ErrPortalNotBound = errors.New("database: a portal_id is not bound")

type acrossPortalsKey struct{}

// AcrossPortals lifts the guard for what runs under the context that it returns: work that belongs to no portal, such as
// sweeping what has expired. why is for the reader; a test keeps the list of callers.
func AcrossPortals(ctx context.Context, why string) context.Context {
	return context.WithValue(ctx, acrossPortalsKey{}, why)
}

// guard keeps portals apart: it refuses a statement that names more tables of portals' data than it binds portal_ids, so
// that a forgotten condition fails in the first test that runs it, and in production rather than showing one portal's
// people to another. What binds:
//
//   - portal_id compared with a parameter, or with another table's portal_id, in WHERE, ON or HAVING, unless an OR
//     beside it undoes that
//   - (portal_id, …) IN (…) or = (…)
//   - portal_id in the list of columns of an INSERT, or of a JOIN … USING
//
// Naming a table twice takes two bindings.
type guard struct {
	dialect Dialect
	tables  map[string]bool

	mu       sync.RWMutex
	verdicts map[string]error
}

// maxVerdicts bounds the cache; lists of varying length make texts without end.
const maxVerdicts = 4096

// guards make the guard of each dialect, once, since the tables are read from the migrations.
var guards = map[Dialect]func() *guard{
	Postgres: sync.OnceValue(func() *guard { return newGuard(Postgres) }),
	SQLite:   sync.OnceValue(func() *guard { return newGuard(SQLite) }),
}

func newGuard(d Dialect) *guard {
	return &guard{dialect: d, tables: portalTables(d, migrationText(d)), verdicts: map[string]error{}}
}

func (g *guard) check(ctx context.Context, query string) error {
	if ctx.Value(acrossPortalsKey{}) != nil {
		return nil
	}
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

func (g *guard) judge(query string) error {
	for _, s := range read(tokenize(g.dialect, query), g.tables) {
		if len(s.tables) > s.bound {
			return fmt.Errorf("%w: the statement names %s and binds %d: %s",
				ErrPortalNotBound, strings.Join(s.tables, ", "), s.bound, query)
		}
	}
	return nil
}

// portalTables are the tables that some migration gives a column portal_id.
func portalTables(d Dialect, migrations string) map[string]bool {
	r := reader{tokens: tokenize(d, migrations)}
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

// PortalTables lists the tables of portals' data, sorted: those that the guard watches over.
func PortalTables(d Dialect) []string {
	return slices.Sorted(maps.Keys(guards[d]().tables))
}
