package account

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/latchkey-auth/latchkey/pkg/fault"
)

// CheckNames reads roles or entitlements, as they are for accounts and invitations: one that stands twice counts once.
// What is wrong points into the list.
func CheckNames(names []string) (distinct []string, wrong []fault.Field) {
	if len(names) > MaxNames {
		return nil, []fault.Field{{Code: fault.FieldTooMany, Limit: MaxNames}}
	}
	distinct = make([]string, 0, len(names))
	seen := make(map[string]bool, len(names))
	for i, name := range names {
		at := "/" + strconv.Itoa(i)
		if strings.TrimSpace(name) == "" {
			wrong = append(wrong, fault.Field{Pointer: at, Code: fault.FieldRequired})
		}
		if utf8.RuneCountInString(name) > MaxNameLength {
			wrong = append(wrong, fault.Field{Pointer: at, Code: fault.FieldTooLong, Limit: MaxNameLength})
		}
		if !seen[name] {
			seen[name] = true
			distinct = append(distinct, name)
		}
	}
	return distinct, wrong
}
