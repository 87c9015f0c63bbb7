package tenantguard

import "slices"

// namesTable reports whether the name at i is a table's, and not a column's, an alias's or a qualifier's.
func (r *reader) namesTable(i int) bool {
	c := r.top().clause
	switch before := r.at(i - 1); {
	case r.at(i + 1).is("."), before.is("as"), c == locking:
		return false
	case before.is("."):
		return c == sources || c == elsewhere
	}
	return true
}

// portalID checks whether the portal_id at i is compared with a parameter, or with another table's portal_id.
func (r *reader) portalID(i int) {
	g := r.top()
	qualifier, start := r.qualifier(i)
	if g.clause != condition || g.isFilter || r.at(start-1).is("not") {
		return
	}
	self := node{g.query, qualifier}
	if r.at(i + 1).is("=") {
		if other, ok := r.operand(i+2, g.query); ok && other != self {
			g.found = append(g.found, equality{self, other})
		}
		return
	}
	if r.at(start - 1).is("=") {
		left := start - 2
		if r.at(left).isName() && r.at(left-1).is("::") {
			left -= 2 // $1::uuid = portal_id
		}
		if r.at(left).kind == param {
			g.found = append(g.found, equality{self, node{}})
		}
	}
}

// operand reads the other side of a comparison: a parameter, a cast of one, or a qualified portal_id.
func (r *reader) operand(i, query int) (node, bool) {
	if r.at(i).is("cast") && r.at(i+1).is("(") {
		i += 2
	}
	if r.at(i).kind == param {
		return node{}, true
	}
	if r.at(i).isName() && r.at(i+1).is(".") && r.at(i+2).isPortalID() {
		return node{query, r.at(i).text}, true
	}
	return node{}, false
}

// qualifier returns the a of a.portal_id, and its position.
func (r *reader) qualifier(i int) (string, int) {
	if r.at(i-1).is(".") && r.at(i-2).isName() {
		return r.at(i - 2).text, i - 2
	}
	return "", i
}

// tuple checks whether the group that ended is (…, portal_id, …) and is compared with others: IN ((…), …) or = (…).
func (r *reader) tuple(g *group, end int) {
	outer := r.top()
	if g.isCase || g.isFilter || outer.clause != condition {
		return
	}
	elements := r.elements(g.open, end)
	at := slices.IndexFunc(elements, r.isPortalID)
	if at < 0 || len(elements) < 2 {
		return
	}
	qualifier, _ := r.qualifier(elements[at].end - 1)
	self := node{g.query, qualifier}
	switch {
	case r.at(end+1).is("in") && r.allParams(end+2, at):
		outer.found = append(outer.found, equality{self, node{}})
	case r.at(end+1).is("=") && r.at(end+2).is("("):
		if others := r.list(end + 2); at < len(others) {
			if other, ok := r.operand(others[at].start, g.query); ok && other != self {
				outer.found = append(outer.found, equality{self, other})
			}
		}
	}
}

// allParams reports whether every tuple of the list at open has a parameter at a place.
func (r *reader) allParams(open, place int) bool {
	tuples := r.list(open)
	return len(tuples) > 0 && !slices.ContainsFunc(tuples, func(tuple span) bool {
		start := tuple.start
		if r.at(start).is("values") { // SQLite's IN (VALUES (…), (…))
			start++
		}
		members := r.list(start)
		if !r.at(start).is("(") || place >= len(members) {
			return true
		}
		operand, ok := r.operand(members[place].start, r.top().query)
		return !ok || operand != node{}
	})
}

// insert reads the target of an INSERT, at i: its list of columns binds the table if portal_id is among them.
func (r *reader) insert(i int) {
	if r.at(i + 1).is(".") {
		i += 2
	}
	name, end := r.alias(i)
	if r.at(end+1).is("(") && r.hasPortalID(r.list(end+1)) {
		r.bound = append(r.bound, equality{node{r.top().query, name}, node{}})
	}
}

// using reads JOIN … USING (…, portal_id, …) at i: it ties the table before it to the query's table before that one.
func (r *reader) using(i int) {
	if !r.at(i+1).is("(") || !r.hasPortalID(r.list(i+1)) {
		return
	}
	query := r.top().query
	uses := slices.DeleteFunc(slices.Clone(r.uses), func(u use) bool { return u.node.query != query })
	if n := len(uses); n > 1 && uses[n-1].end == i-1 {
		r.bound = append(r.bound, equality{uses[n-1].node, uses[n-2].node})
	}
}

// use notes the portal table that is named at i.
func (r *reader) use(i int) {
	name, end := r.alias(i)
	r.uses = append(r.uses, use{r.at(i).text, node{r.top().query, name}, end})
}

// alias returns the name that the table at i has in its query, and the index of the last token of that name.
func (r *reader) alias(i int) (name string, end int) {
	next := r.at(i + 1)
	_, begins := clauses[next.text]
	switch {
	case next.is("as") && r.at(i+2).isName():
		return r.at(i + 2).text, i + 2
	case next.kind == quoted, next.kind == word && !begins && !slices.Contains(noAliases, next.text):
		return next.text, i + 1
	}
	return r.at(i).text, i
}

// noAliases are the words that follow a table's name without being its alias. Those that begin a clause are no aliases
// either.
var noAliases = []string{
	"as", "left", "right", "full", "inner", "outer", "cross", "natural", "default", "tablesample", "indexed",
	"not", "when",
}

// unbound lists the tables whose portal_id equals no parameter. A column without a qualifier belongs to the only portal
// table of its query; where the query names more, it binds none. An equality with a table of an outer query binds
// nothing: a distributed Postgres looks for the portal in the conditions of the query itself.
func (r *reader) unbound() (tables []string) {
	named := map[int][]node{}
	for _, u := range r.uses {
		named[u.node.query] = append(named[u.node.query], u.node)
	}
	inQuery := func(n node) (node, bool) {
		switch all := named[n.query]; {
		case n == node{}:
			return n, true
		case n.name == "" && len(all) == 1:
			return all[0], true
		default:
			return n, slices.Contains(all, n)
		}
	}
	equal := ties{}
	for _, e := range r.bound {
		a, hasA := inQuery(e.a)
		b, hasB := inQuery(e.b)
		if hasA && hasB {
			equal.join(a, b)
		}
	}
	for _, u := range r.uses {
		if equal.root(u.node) != equal.root(node{}) {
			tables = append(tables, u.table)
		}
	}
	return tables
}

// span is a run of tokens: an element of a list.
type span struct{ start, end int }

func (r *reader) isPortalID(s span) bool {
	switch s.end - s.start {
	case 1:
		return r.at(s.start).isPortalID()
	case 3:
		return r.at(s.start).isName() && r.at(s.start+1).is(".") && r.at(s.start+2).isPortalID()
	}
	return false
}

func (r *reader) hasPortalID(list []span) bool { return slices.ContainsFunc(list, r.isPortalID) }

// list returns the elements of the list whose "(" is at open.
func (r *reader) list(open int) []span {
	depth := 0
	for i := open; i < len(r.tokens); i++ {
		if r.tokens[i].is("(") {
			depth++
		} else if r.tokens[i].is(")") {
			if depth--; depth == 0 {
				return r.elements(open+1, i)
			}
		}
	}
	return nil
}

// elements splits the tokens from start to end at the commas outside parentheses.
func (r *reader) elements(start, end int) []span {
	var all []span
	depth, from := 0, start
	for i := start; i < end; i++ {
		switch t := r.tokens[i]; {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case t.is(",") && depth == 0:
			all = append(all, span{from, i})
			from = i + 1
		}
	}
	return append(all, span{from, end})
}

// at returns the token at i, or an empty symbol outside the statement.
func (r *reader) at(i int) token {
	if i < 0 || i >= len(r.tokens) {
		return token{kind: symbol}
	}
	return r.tokens[i]
}

// ties is a disjoint-set forest: which portal_ids are known to be equal.
type ties map[node]node

func (t ties) root(n node) node {
	for {
		up, ok := t[n]
		if !ok {
			return n
		}
		n = up
	}
}

func (t ties) join(a, b node) {
	if rootA, rootB := t.root(a), t.root(b); rootA != rootB {
		t[rootA] = rootB
	}
}
