package database

import "strings"

// Values collects the rows of an INSERT of several rows.
type Values struct {
	Args []any
	rows int
}

// Row adds a row. All rows have the same number of members.
func (v *Values) Row(members ...any) {
	v.Args = append(v.Args, members...)
	v.rows++
}

// SQL is the text that follows VALUES.
func (v *Values) SQL() string {
	if v.rows == 0 {
		return ""
	}
	row := "(" + strings.TrimSuffix(strings.Repeat("?,", len(v.Args)/v.rows), ",") + ")"
	return strings.TrimSuffix(strings.Repeat(row+",", v.rows), ",")
}
