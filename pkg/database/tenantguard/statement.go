package tenantguard

import "slices"

// clause is the part of a statement that a token belongs to.
type clause uint8

const (
	elsewhere  clause = iota
	columns           // SELECT, RETURNING
	sources           // FROM, JOIN, USING
	condition         // WHERE, ON, HAVING: only here does an equality restrict anything
	assignment        // SET
	locking           // FOR UPDATE OF: names tables again
)

// clauses are the keywords that begin a clause.
var clauses = map[string]clause{
	"select": columns, "returning": columns,
	"from": sources, "join": sources, "using": sources,
	"where": condition, "on": condition, "having": condition,
	"set": assignment, "of": locking,
	"insert": elsewhere, "update": elsewhere, "delete": elsewhere, "into": elsewhere, "values": elsewhere,
	"with": elsewhere, "group": elsewhere, "order": elsewhere, "limit": elsewhere, "offset": elsewhere,
	"window": elsewhere, "union": elsewhere, "intersect": elsewhere, "except": elsewhere, "conflict": elsewhere,
	"for": elsewhere, "do": elsewhere, "matched": elsewhere,
}

// node is one side of an equality of portal_ids: a table, by the name that it has in its query. The name is empty where
// the column has no qualifier. The zero node is a parameter.
type node struct {
	query int
	name  string
}

type equality struct{ a, b node }

// use is one place where a query names a portal table.
type use struct {
	table string
	node  node
	end   int // the index of the last token of its name and alias
}

// group is the part of a statement between parentheses, or between CASE and END.
type group struct {
	clause clause
	query  int
	open   int // the index of its first token
	// isQuery is set where the group holds a whole query; else it is part of its parent's clause.
	isQuery, isCase, isFilter bool
	// found are the equalities of the clause that is being read. An OR in the same group undoes them:
	// "portal_id = ? AND x OR y" binds nothing.
	found []equality
	hasOr bool
	kept  []equality
}

func (g *group) endClause() {
	if !g.hasOr {
		g.kept = append(g.kept, g.found...)
	}
	g.found, g.hasOr = nil, false
}

// reader reads one statement. It is no full parser: it knows queries, clauses, parentheses and CASE, the portal tables
// that each query names, and the ways to bind a portal_id. In doubt it sees a table more or a binding less, so that the
// guard refuses too much and not too little.
type reader struct {
	tokens  []token
	tables  map[string]bool
	groups  []*group
	queries int
	uses    []use
	bound   []equality
}

// unbound lists the portal tables that the statements of a text name without binding their portal_id. Semicolons
// separate statements.
func unbound(tokens []token, portalTables map[string]bool) []string {
	var all []string
	for len(tokens) > 0 {
		end := slices.IndexFunc(tokens, func(t token) bool { return t.is(";") })
		if end < 0 {
			end = len(tokens)
		}
		r := reader{tokens: tokens[:end], tables: portalTables}
		r.read()
		all = append(all, r.unbound()...)
		tokens = tokens[min(end+1, len(tokens)):]
	}
	return all
}

func (r *reader) read() {
	r.queries = 1 // the zero node is a parameter
	r.groups = []*group{{isQuery: true, query: r.queries}}
	for i, t := range r.tokens {
		switch {
		case t.is("("):
			r.push(i, t)
		case t.is("case"):
			r.push(i, t)
		case t.is(")"), t.is("end") && r.top().isCase:
			r.pop(i)
		case t.is("or"):
			r.top().hasOr = true
		case t.isName():
			r.name(i, t)
		}
	}
	for len(r.groups) > 0 {
		r.pop(len(r.tokens))
	}
}

func (r *reader) top() *group { return r.groups[len(r.groups)-1] }

func (r *reader) push(i int, t token) {
	parent := r.top()
	g := &group{clause: parent.clause, query: parent.query, open: i + 1, isFilter: parent.isFilter}
	if t.is("case") {
		g.isCase, g.clause = true, elsewhere
	}
	if r.at(i - 1).is("filter") {
		g.isFilter = true // an aggregate's FILTER (WHERE …) does not restrict what is read
	}
	r.groups = append(r.groups, g)
}

func (r *reader) pop(i int) {
	g := r.top()
	g.endClause()
	r.groups = r.groups[:len(r.groups)-1]
	if len(r.groups) > 0 && !g.isQuery {
		if r.connects(g.open - 2) {
			r.top().found = append(r.top().found, g.kept...)
			r.tuple(g, i)
		}
		return
	}
	r.bound = append(r.bound, g.kept...)
	if len(r.groups) == 0 && i < len(r.tokens) { // a ")" too many
		r.groups = []*group{{isQuery: true, query: r.queries}}
	}
}

// connects reports whether a group after the token at i is a condition or a join of its own, and not the arguments of a
// function or the operand of NOT.
func (r *reader) connects(i int) bool {
	return slices.ContainsFunc([]string{"(", ",", "and", "or", "where", "on", "having", "from", "join", "row"}, r.at(i).is)
}

func (r *reader) name(i int, t token) {
	if c, begins := clauses[t.text]; begins && t.kind == word && !r.at(i-1).is(".") && !r.at(i+1).is(".") {
		r.clause(i, t, c)
		return
	}
	switch {
	case t.text == "portal_id":
		r.portalID(i)
	case r.tables[t.text] && r.namesTable(i):
		r.use(i)
	}
}

func (r *reader) clause(i int, t token, c clause) {
	if t.is("from") && r.at(i-1).is("distinct") && r.top().clause == condition {
		return // IS DISTINCT FROM
	}
	g := r.top()
	g.endClause()
	g.clause = c
	switch t.text {
	case "select", "insert", "update", "delete":
		if r.at(i-1).is("do") || r.at(i-1).is("for") || r.at(i-1).is("key") {
			return // ON CONFLICT DO UPDATE, FOR UPDATE, FOR NO KEY UPDATE
		}
		g.isQuery = true
		r.queries++
		g.query = r.queries
	case "into":
		r.insert(i + 1)
	case "using":
		r.using(i)
	}
}
