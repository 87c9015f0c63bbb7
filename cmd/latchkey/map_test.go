package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	packageRow  = regexp.MustCompile("(?m)^\\| ((?:`[a-z]+`(?:, )?)+) \\| .+ \\|$")
	quotedNames = regexp.MustCompile("`([a-z]+)`")
)

// TestMap holds pkg/README.md to the tree: every package has a row under the heading of its tier, and no row is left of a
// package that is gone.
func TestMap(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../pkg/README.md")
	require.NoError(t, err)
	text, _, found := strings.Cut(string(page), "\n## Where each rule lives")
	require.True(t, found)
	var listed []string
	above := -1 // the lowest tier of the sections before
	for section := range strings.SplitSeq(text, "\n## ") {
		lowest := above
		for _, row := range packageRow.FindAllStringSubmatch(section, -1) {
			for _, name := range quotedNames.FindAllStringSubmatch(row[1], -1) {
				tier, known := tiers[name[1]]
				require.True(t, known, "%s has no tier", name[1])
				require.Greater(t, tier, above, "%s is under a heading too low for its tier", name[1])
				listed, lowest = append(listed, name[1]), max(lowest, tier)
			}
		}
		above = lowest
	}
	entries, err := os.ReadDir("../../pkg")
	require.NoError(t, err)
	var packages []string
	for _, entry := range entries {
		if entry.IsDir() {
			packages = append(packages, entry.Name())
		}
	}
	slices.Sort(listed)
	require.Equal(t, packages, listed)
}
