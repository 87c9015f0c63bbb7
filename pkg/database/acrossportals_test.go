package database_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// acrossPortals are the only callers of database.AcrossPortals: each is a hole in the wall between portals, and is here
// so that a new one is made on purpose. A file gives its reasons in the order in which they stand there.
var acrossPortals = map[string][]string{
	"pkg/account/repository.go": {"the portals of unverified registrations to sweep"},
	"pkg/apikey/repository.go":  {"an operator lists or revokes any API key"},
	"pkg/delivery/repository.go": {
		"messages that lost their job are found at every portal",
		"how much mail waits is counted over the whole installation", "old messages are swept at every portal",
	},
	"pkg/invitation/repository.go": {"the portals of invitations to sweep"},
	"pkg/digest/key.go":            {"a copied database starts anew under another secret key"},
	"pkg/lockout/repository.go":    {"counts that are over are swept"},
	"pkg/onetime/repository.go":    {"secrets that are long over are swept"},
	"pkg/portal/repository.go":     {"a domain leads to its portal"},
	"pkg/session/repository.go":    {"sessions that ended are swept"},
}

func TestAcrossPortalsCallers(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(root, "go.mod"))

	found := map[string][]string{}
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules" || entry.Name() == "apitest") {
			return fs.SkipDir // apitest is for tests alone, as the layout test holds
		}
		if entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if reasons := reasonsIn(t, path, source); len(reasons) > 0 {
			name, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			found[filepath.ToSlash(name)] = reasons
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, acrossPortals, found)
}

// reasonsIn lists the reasons that a file's calls of AcrossPortals give. A use that is no call with a literal reason
// could hide one, and fails the test.
func reasonsIn(t *testing.T, path string, source []byte) (reasons []string) {
	t.Helper()
	if !strings.Contains(string(source), "AcrossPortals") {
		return nil
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, source, parser.SkipObjectResolution)
	require.NoError(t, err)
	uses := 0
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if file.Name.Name == "database" && n.Name.Name == "AcrossPortals" {
				uses-- // its own declaration
			}
		case *ast.Ident:
			if n.Name == "AcrossPortals" {
				uses++
			}
		case *ast.CallExpr:
			if reason := reasonOf(n); reason != "" {
				reasons = append(reasons, reason)
			}
		}
		return true
	})
	require.Len(t, reasons, uses, "%s uses AcrossPortals other than by calling it with a literal reason", path)
	return reasons
}

func reasonOf(call *ast.CallExpr) string {
	name := call.Fun
	if selector, ok := name.(*ast.SelectorExpr); ok {
		name = selector.Sel
	}
	if id, ok := name.(*ast.Ident); !ok || id.Name != "AcrossPortals" || len(call.Args) != 2 {
		return ""
	}
	literal, ok := call.Args[1].(*ast.BasicLit)
	if !ok {
		return ""
	}
	reason, err := strconv.Unquote(literal.Value)
	if err != nil {
		return ""
	}
	return reason
}

func TestReasonsIn(t *testing.T) {
	t.Parallel()
	source := "package x\nfunc f() { db.AcrossPortals(nil, \"one\"); db.AcrossPortals(nil, `two`) }"
	require.Equal(t, []string{"one", "two"}, reasonsIn(t, "x.go", []byte(source)))
	require.Empty(t, reasonsIn(t, "x.go", []byte("package x // AcrossPortals\n")))
}
