package tenantguard

import "strings"

// token is a word of SQL. Comments are dropped, and a literal has no text.
type token struct {
	kind tokenKind
	// text is in lower case: neither database tells unquoted names apart by case.
	text string
}

type tokenKind uint8

const (
	word   tokenKind = iota // an unquoted name or a keyword
	quoted                  // a quoted name, which is never a keyword
	param
	literal
	symbol
)

// is reports whether the token is the keyword or symbol.
func (t token) is(text string) bool { return (t.kind == word || t.kind == symbol) && t.text == text }

// isPortalID reports whether the token is the name portal_id, quoted or not.
func (t token) isPortalID() bool { return t.isName() && t.text == "portal_id" }

func (t token) isName() bool { return t.kind == word || t.kind == quoted }

// tokenizer splits SQL as its database does, so that nothing the database runs can hide in what looks like a string or
// a comment here.
type tokenizer struct {
	syntax Syntax
	text   string
	at     int
	tokens []token
}

func tokenize(s Syntax, text string) []token {
	t := tokenizer{syntax: s, text: text, tokens: make([]token, 0, len(text)/4)}
	for t.at < len(t.text) {
		t.next()
	}
	return t.tokens
}

func (t *tokenizer) next() {
	switch c := t.text[t.at]; {
	case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
		t.at++
	case t.has("--"):
		t.skipLine()
	case t.has("/*"):
		t.skipComment()
	case c == '\'':
		t.stringLiteral(false)
	case c == '"', t.syntax == SQLite && c == '`':
		t.quotedName(c)
	case t.syntax == SQLite && c == '[':
		t.quotedName(']')
	case c == '?':
		t.at++
		t.skipWhile(isDigit)
		t.emit(param, "")
	case c == '$':
		t.dollar()
	case t.syntax == SQLite && (c == ':' || c == '@') && isNameByte(t.peek(1)):
		t.at++
		t.skipWhile(isNameByte)
		t.emit(param, "")
	case isDigit(c):
		t.skipWhile(func(c byte) bool { return isNameByte(c) || c == '.' })
		t.emit(literal, "")
	case isNameByte(c):
		t.word()
	default:
		t.symbol()
	}
}

func (t *tokenizer) word() {
	start := t.at
	t.skipWhile(isNameByte)
	text := strings.ToLower(t.text[start:t.at])
	if t.syntax == Postgres && text == "e" && t.peek(0) == '\'' {
		t.stringLiteral(true)
		return
	}
	t.emit(word, text)
}

// symbol keeps operators of two characters together, or "<=" would be read as a lone "=".
func (t *tokenizer) symbol() {
	for _, two := range []string{"==", "<=", ">=", "<>", "!=", "=>", ":=", "::"} {
		if t.has(two) {
			t.at += 2
			if two == "==" { // SQLite's other spelling
				two = "="
			}
			t.emit(symbol, two)
			return
		}
	}
	t.at++
	t.emit(symbol, t.text[t.at-1:t.at])
}

// dollar reads $1 and SQLite's $name as a parameter, and Postgres' $tag$…$tag$ as a literal.
func (t *tokenizer) dollar() {
	start := t.at
	t.at++
	if t.syntax == SQLite || isDigit(t.peek(0)) {
		t.skipWhile(isNameByte)
		t.emit(param, "")
		return
	}
	t.skipWhile(func(c byte) bool { return isNameByte(c) && c != '$' })
	if t.peek(0) != '$' {
		t.emit(symbol, "$")
		return
	}
	t.at++
	t.skipPast(t.text[start:t.at])
	t.emit(literal, "")
}

// stringLiteral reads '…'. SQLite reads a string as a name where the grammar allows only a name.
func (t *tokenizer) stringLiteral(backslashes bool) {
	start := t.at
	t.at++
	for t.at < len(t.text) {
		switch {
		case backslashes && t.text[t.at] == '\\':
			t.at += 2
		case t.has("''"):
			t.at += 2
		case t.text[t.at] == '\'':
			t.at++
			t.emitString(t.text[start+1 : t.at-1])
			return
		default:
			t.at++
		}
	}
	t.emit(literal, "")
}

func (t *tokenizer) emitString(content string) {
	if n := len(t.tokens); t.syntax == SQLite && n > 0 {
		for _, before := range []string{"from", "join", "into", "update", "using", "table", "."} {
			if t.tokens[n-1].is(before) {
				t.emit(quoted, strings.ToLower(content))
				return
			}
		}
	}
	t.emit(literal, "")
}

func (t *tokenizer) quotedName(closing byte) {
	start := t.at + 1
	t.at++
	for t.at < len(t.text) {
		if t.text[t.at] == closing {
			if closing == ']' || t.peek(1) != closing {
				break
			}
			t.at++
		}
		t.at++
	}
	name := t.text[min(start, len(t.text)):min(t.at, len(t.text))]
	t.at++
	t.emit(quoted, strings.ToLower(name))
}

func (t *tokenizer) skipLine() {
	if end := strings.IndexByte(t.text[t.at:], '\n'); end >= 0 {
		t.at += end + 1
		return
	}
	t.at = len(t.text)
}

// skipComment skips /*…*/, which Postgres nests and SQLite does not.
func (t *tokenizer) skipComment() {
	depth := 0
	for t.at < len(t.text) {
		switch {
		case t.has("/*") && (depth == 0 || t.syntax == Postgres):
			depth++
			t.at += 2
		case t.has("*/"):
			depth--
			t.at += 2
			if depth == 0 {
				return
			}
		default:
			t.at++
		}
	}
}

func (t *tokenizer) skipPast(closing string) {
	if end := strings.Index(t.text[t.at:], closing); end >= 0 {
		t.at += end + len(closing)
		return
	}
	t.at = len(t.text)
}

func (t *tokenizer) skipWhile(ok func(byte) bool) {
	for t.at < len(t.text) && ok(t.text[t.at]) {
		t.at++
	}
}

func (t *tokenizer) emit(kind tokenKind, text string) {
	t.tokens = append(t.tokens, token{kind, text})
}

func (t *tokenizer) has(prefix string) bool { return strings.HasPrefix(t.text[t.at:], prefix) }

// peek returns the byte that many places ahead, or 0 past the end.
func (t *tokenizer) peek(ahead int) byte {
	if t.at+ahead < len(t.text) {
		return t.text[t.at+ahead]
	}
	return 0
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || isDigit(c) || c == '_' || c == '$' || c >= 0x80
}
