package main

import (
	"io"
	"strings"
	"text/tabwriter"
)

// table is a list for a terminal, its columns aligned.
type table struct{ text strings.Builder }

func newTable(heads ...string) *table {
	t := new(table)
	t.row(heads...)
	return t
}

func (t *table) row(cells ...string) { t.text.WriteString(strings.Join(cells, "\t") + "\n") }

func (t *table) print(to io.Writer) error {
	aligned := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	if _, err := io.WriteString(aligned, t.text.String()); err != nil {
		return err
	}
	return aligned.Flush()
}
