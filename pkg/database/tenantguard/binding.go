package tenantguard

import "slices"

// namesTable tells a table's name from a column's, an alias's and a qualifier's.
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

// operand reads what a portal_id is compared with: a parameter, a cast of one, or a qualified portal_id.
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

// qualifier gives the a of a.portal_id, and its position.
func (r *reader) qualifier(i int) (string, int) {
	if r.at(i-1).is(".") && r.at(i-2).isName() {
		return r.at(i - 2).text, i - 2
	}
	return "", i
}

// tuple checks whether the group that ended at i is (…, portal_id, …) and is compared with another: IN (…) or = (…).
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
	case r.at(end + 1).is("in"):
		outer.found = append(outer.found, equality{self, node{}})
	case r.at(end+1).is("=") && r.at(end+2).is("("):
		if others := r.list(end + 2); at < len(others) {
			if other, ok := r.operand(others[at].start, g.query); ok && other != self {
				outer.found = append(outer.found, equality{self, other})
			}
		}
	}
}

// insert reads the target of an INSERT, at i: its list of columns binds the table if portal_id is among them.
func (r *reader) insert(i int) {
	if r.at(i + 1).is(".") {
		i += 2
	}
	i++
	switch _, keyword := clauses[r.at(i).text]; {
	case r.at(i).is("as"):
		i += 2
	case r.at(i).isName() && !keyword:
		i++
	}
	if r.at(i).is("(") && r.hasPortalID(r.list(i)) {
		r.bind(equality{r.fresh(), node{}})
	}
}

// fresh is a node that equals no other.
func (r *reader) fresh() node {
	r.queries++
	return node{query: r.queries}
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

// list gives the elements of the list whose "(" is at open.
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

// at gives the token at i. Outside the statement it gives an empty symbol.
func (r *reader) at(i int) token {
	if i < 0 || i >= len(r.tokens) {
		return token{kind: symbol}
	}
	return r.tokens[i]
}

// ties is a disjoint-set forest: which tables' portal_ids are known to be one.
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

// join ties two and reports whether they were apart.
func (t ties) join(a, b node) bool {
	rootA, rootB := t.root(a), t.root(b)
	if rootA == rootB {
		return false
	}
	t[rootA] = rootB
	return true
}
