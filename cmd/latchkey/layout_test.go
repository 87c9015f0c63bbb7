package main

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// tiers place every package: an import only ever points to a lower number, or to a pair in withinTier.
var tiers = map[string]int{
	// ground
	"fault": 0, "spreadsheet": 0, "slidinglog": 0, "ids": 0, "clock": 0, "typedcode": 0,
	"config": 1, "keyring": 1, "password": 1, "database": 1, "email": 1, "phone": 1, "locale": 1, "mail": 1, "ratelimit": 1,
	"digest": 2, "queue": 2,
	// records
	"audit":   3,
	"portal":  4,
	"account": 5, "lockout": 5, "accesstoken": 5,
	"session": 6, "onetime": 6, "delivery": 6, "apikey": 6,
	// decision
	"admission": 7,
	// deeds
	"challenge":     8, // a secret and the message that carries it
	"passwordreset": 9, "invitation": 9, "administration": 9,
	"dispatch":     10, // derives secrets and codes as it sends
	"login":        10, // mails the link to people who have no password yet
	"erasure":      10, // knows every row about a person, or of a portal
	"registration": 11,
	// composition
	"app": 12,
	"api": 13,
	"cmd": 14,
}

var withinTier = [][2]string{{"config", "keyring"}}

var (
	topLevel    = []string{"api", "cmd", "pkg", "openapi.yaml", "docker-compose.yml", "go.mod", "go.sum", "README.md"}
	saysNothing = []string{"util", "utils", "common", "helper", "helpers", "model", "models"}
)

const (
	ownModule   = "github.com/latchkey-auth/latchkey/"
	longestFile = 500 // lines
)

// placeOf is the package's name in tiers: that of its directory in pkg, what lies below it included.
func placeOf(dir string) string {
	parts := strings.Split(dir, "/")
	if parts[0] == "pkg" && len(parts) > 1 {
		return parts[1]
	}
	return parts[0]
}

// The rules of the layout, which nobody has to remember because they stand here.
func TestLayout(t *testing.T) {
	t.Parallel()
	root := os.DirFS("../..")
	requireTopLevel(t, root)
	require.NoError(t, fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && len(name) > 1 && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case path.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go"):
			requireInPlace(t, root, name)
		}
		return nil
	}))
}

func requireInPlace(t *testing.T, root fs.FS, name string) {
	t.Helper()
	source, err := fs.ReadFile(root, name)
	require.NoError(t, err)
	if lines := bytes.Count(source, []byte("\n")); lines > longestFile {
		t.Errorf("%s has %d lines, more than %d: split it by meaning", name, lines, longestFile)
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly)
	require.NoError(t, err)
	if slices.Contains(saysNothing, file.Name.Name) {
		t.Errorf("%s: the name of package %s says nothing", name, file.Name.Name)
	}
	from := placeOf(path.Dir(name))
	if _, known := tiers[from]; !known {
		t.Errorf("%s: package %s has no tier yet", name, from)
	}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		require.NoError(t, err)
		if why := refused(name, from, imported); why != "" {
			t.Errorf("%s imports %s: %s", name, imported, why)
		}
	}
}

// refused says why a file of package from must not import a package; "" where it may.
func refused(name, from, imported string) string {
	if dir, ours := strings.CutPrefix(imported, ownModule); ours {
		to := placeOf(dir)
		switch {
		case forTests(dir) && !forTests(path.Dir(name)):
			return "that is for tests"
		case to != from && tiers[to] >= tiers[from] && !slices.Contains(withinTier, [2]string{from, to}):
			return "an import only ever points down the tiers"
		}
	}
	switch {
	case strings.HasPrefix(imported, "github.com/labstack/") && from != "api" && from != "cmd":
		return "Echo stays in api and cmd"
	case strings.HasPrefix(imported, "gorm.io/") && from != "database" && path.Base(name) != "repository.go":
		return "GORM stays in database and in files named repository.go"
	}
	return ""
}

// forTests reports whether the package of a directory is for tests alone.
func forTests(dir string) bool { return strings.HasSuffix(dir, "test") }

// requireTopLevel allows topLevel, dot-files and files that git ignores.
func requireTopLevel(t *testing.T, root fs.FS) {
	t.Helper()
	ignored, err := fs.ReadFile(root, ".gitignore")
	require.NoError(t, err)
	entries, err := fs.ReadDir(root, ".")
	require.NoError(t, err)
	for _, entry := range entries {
		name := entry.Name()
		allowed := strings.HasPrefix(name, ".") || slices.Contains(topLevel, name)
		for pattern := range strings.FieldsSeq(string(ignored)) {
			matches, err := path.Match(strings.TrimPrefix(pattern, "/"), name)
			require.NoError(t, err)
			allowed = allowed || matches
		}
		if !allowed {
			t.Errorf("%s does not belong at the top level", name)
		}
	}
}
