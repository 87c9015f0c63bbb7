package database

import "strings"

// Values are the rows of an INSERT of several, for a statement's text and its arguments.
type Values struct {
	Args []any
	rows int
}

// Row adds one. All have the same number of members.
func (v *Values) Row(members ...any) {
	v.Args = append(v.Args, members...)
	v.rows++
}

// SQL is what stands behind VALUES.
func (v *Values) SQL() string {
	if v.rows == 0 {
		return ""
	}
	row := "(" + strings.TrimSuffix(strings.Repeat("?,", len(v.Args)/v.rows), ",") + ")"
	return strings.TrimSuffix(strings.Repeat(row+",", v.rows), ",")
}
