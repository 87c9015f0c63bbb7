package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// owners are the packages that write each table.
var owners = map[string]string{
	"portals": "portal", "portal_domains": "portal", "accounts": "account", "sessions": "session", "lockouts": "lockout",
	"api_keys": "apikey", "audit_events": "audit", "signing_keys": "accesstoken",
	"other_signing_keys": "accesstoken", "installation": "digest",
	"onetime_secrets": "onetime", "deliveries": "delivery", "recipients": "delivery", "invitations": "invitation",
	"invitation_numbers": "invitation", "river_job": "queue",
}

// guests are the packages that name another's table in SQL, and why.
var guests = map[string]map[string]string{
	"account": {
		"sessions":    "the last login is the newest session's beginning; a session in use leads to its account",
		"invitations": "an account ends the invitations for its address, whichever way it was made",
		"deliveries":  "an unverified registration is kept for 30 days after its last mail",
	},
	"portal": {
		"accounts": "unverified registrations are accounts once a portal requires no confirmation",
	},
	"apikey": {
		"accounts": "the key of a person is good only while they have the role admin",
	},
	"session": {
		"accounts": "a session starts and is refreshed only while the account is as it was",
		"lockouts": "a session starts only while the password is not locked, in the same statement",
	},
	"onetime": {
		"accounts": "a secret is good only while the account is as it was",
		"sessions": "a login ends the count of wrong codes in a row",
	},
	"login": {
		"accounts": "a login reads the account and its lock in one statement",
		"lockouts": "a login reads the account and its lock in one statement",
	},
	"invitation": {
		"accounts": "an account comes before an invitation",
	},
	"accesstoken": {
		"installation": "its row is the lock under which instances make one signing key together",
	},
}

// listsOfTables name tables to delete from, in one list each: keys reset, and the deletion of a portal.
var listsOfTables = []string{"digest", "erasure"}

// tableInSQL finds the tables that a text of SQL names.
var tableInSQL = regexp.MustCompile(`(?i)\b(?:FROM|JOIN|INTO|UPDATE|USING)\s+([a-z_]+)`)

// TestTables holds who names which table in SQL, or as the table of a row.
func TestTables(t *testing.T) {
	t.Parallel()
	used := map[string]map[string]bool{} // package -> tables
	root := os.DirFS("../../pkg")
	require.NoError(t, fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") ||
			strings.Contains(path.Dir(name), "test") {
			return err
		}
		source, err := fs.ReadFile(root, name)
		require.NoError(t, err)
		file, err := parser.ParseFile(token.NewFileSet(), name, source, 0)
		require.NoError(t, err)
		from, _, _ := strings.Cut(name, "/")
		ast.Inspect(file, func(n ast.Node) bool {
			literal, isText := n.(*ast.BasicLit)
			if !isText || literal.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			require.NoError(t, err)
			var names []string
			if path.Base(name) == "repository.go" { // the name of a row's table
				names = append(names, text)
			}
			for _, found := range tableInSQL.FindAllStringSubmatch(text, -1) {
				names = append(names, found[1])
			}
			for _, table := range names {
				if _, isTable := owners[table]; isTable {
					if used[from] == nil {
						used[from] = map[string]bool{}
					}
					used[from][table] = true
				}
			}
			return true
		})
		return nil
	}))
	for from, tables := range used {
		for table := range tables {
			if from != owners[table] && guests[from][table] == "" && !slices.Contains(listsOfTables, from) {
				t.Errorf("package %s names the table %s, which is %s's: ask that package, or say why here", from, table, owners[table])
			}
		}
	}
	for from, tables := range guests {
		for _, table := range slices.Sorted(maps.Keys(tables)) {
			if !used[from][table] {
				t.Errorf("package %s names the table %s no more: strike the line", from, table)
			}
		}
	}
}
