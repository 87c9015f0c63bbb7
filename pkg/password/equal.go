package password

import (
	"context"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	"golang.org/x/text/unicode/norm"
)

// Equal is a verification whose work does not depend on the account: it hashes once for each kind of hash at the
// portal, and for the pool's own kind, whatever the account has.
type Equal struct {
	Password string
	Stored   string   // the account's hash; "" for none
	Kinds    []string // one stored hash of each kind that the portal has, from any account
}

// VerifyEqual compares a password with a stored hash, as Verify does, with the same work for every account of a
// portal. After a match with an outdated hash, fresh is the hash to store instead: the pool's own kind is computed
// anyway.
//
// Errors: Verify's.
func (s Share) VerifyEqual(ctx context.Context, e Equal) (result Result, fresh string, err error) {
	p := s.pool
	normal := norm.NFC.String(e.Password)
	tooLong := utf8.RuneCountInString(normal) > MaxLength
	if tooLong {
		normal, e.Password = "", ""
	}
	stored, unreadable := parse(e.Stored)
	storedKind, storedOwn := kindOf(e.Stored), unreadable == nil && p.isOwn(e.Stored)
	kinds := e.Kinds
	if e.Stored != "" && !hasKind(kinds, storedKind) { // it was stored after the kinds were read
		kinds = append(kinds[:len(kinds):len(kinds)], e.Stored)
	}
	for _, hash := range kinds {
		matches, malformed := parse(hash)
		if malformed != nil || p.isOwn(hash) {
			continue // own hashes are below
		}
		mine := unreadable == nil && kindOf(hash) == storedKind
		if mine {
			matches = stored
		}
		for _, typed := range spellings(e.Password, normal) {
			if err := s.run(ctx, func() { result.Match = matches(typed) && mine || result.Match }); err != nil {
				return Result{}, "", err
			}
			ctx = context.WithoutCancel(ctx) // once begun, a try is decided and counted
		}
	}
	var failed error
	err = s.run(ctx, func() {
		if storedOwn {
			result.Match = stored(normal)
		} else {
			fresh, failed = argon2id.CreateHash(normal, &p.params)
		}
	})
	result.Match, result.Outdated = result.Match && !tooLong, !storedOwn
	switch {
	case err != nil, failed != nil:
		return Result{}, "", firstOf(err, failed)
	case e.Stored != "" && unreadable != nil:
		return Result{}, "", unreadable
	case !result.Match:
		return Result{}, "", nil
	}
	return result, fresh, nil
}

// isOwn reports whether a hash has the pool's kind and parameters.
func (p *Pool) isOwn(encoded string) bool {
	return len(encoded) == p.ownLength && strings.HasPrefix(encoded, p.ownPrefix)
}

// spellings are the texts that a foreign hash is compared with: other systems mostly hashed the bytes that were
// typed.
func spellings(typed, normal string) []string {
	if typed == normal {
		return []string{normal}
	}
	return []string{normal, typed}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func hasKind(hashes []string, kind string) bool {
	for _, hash := range hashes {
		if kindOf(hash) == kind {
			return true
		}
	}
	return false
}

// kindOf is everything about a hash that its cost depends on: the algorithm and its parameters, which come before
// salt and key, and the length. SQLKind is the same in SQL.
func kindOf(encoded string) string {
	length := strconv.Itoa(len(encoded))
	if len(encoded) > 3 && encoded[:2] == "$2" && encoded[3] == '$' { // bcrypt: salt and key are one field
		return encoded[:min(7, len(encoded))] + length
	}
	withoutKey := strings.TrimRight(encoded[:strings.LastIndexByte(encoded, '$')+1], "$")
	return withoutKey[:strings.LastIndexByte(withoutKey, '$')+1] + length
}

// SQLKind is the SQL of the kind of a hash in a column, in both dialects. The index accounts_hash_kind is on it.
func SQLKind(column string) string {
	return strings.ReplaceAll(`(CASE WHEN substr(#, 1, 2) = '$2' AND substr(#, 4, 1) = '$' THEN substr(#, 1, 7)
		ELSE rtrim(rtrim(rtrim(#, replace(#, '$', '')), '$'), replace(#, '$', '')) END || CAST(length(#) AS TEXT))`,
		"#", column)
}
