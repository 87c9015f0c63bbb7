package account

import (
	"strconv"
	"strings"

	"github.com/latchkey-auth/latchkey/pkg/fault"
)

// CheckNames checks the roles or entitlements of an account or an invitation, and drops repetitions. The pointers of
// wrong begin at the list.
func CheckNames(names []string) (distinct []string, wrong fault.Fields) {
	if len(names) > MaxNames {
		wrong.Beyond("", fault.FieldTooMany, MaxNames)
		return nil, wrong
	}
	distinct = make([]string, 0, len(names))
	seen := make(map[string]bool, len(names))
	for i, name := range names {
		pointer := "/" + strconv.Itoa(i)
		if strings.TrimSpace(name) == "" {
			wrong.Wrong(pointer, fault.FieldRequired)
		}
		wrong.Longest(pointer, name, MaxNameLength)
		if !seen[name] {
			seen[name] = true
			distinct = append(distinct, name)
		}
	}
	return distinct, wrong
}
