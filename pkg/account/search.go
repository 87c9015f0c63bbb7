package account

import (
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/latchkey-auth/latchkey/pkg/email"
)

// searchable folds what is searched, and what it is searched in, alike.
func searchable(text string) string {
	return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(strings.TrimSpace(text))))
}

// searchText is what an administrator's q is looked for in. Names stand in both orders; line breaks keep a q from
// matching across members.
func searchText(a *Account) string {
	given, family := value(a.GivenName), value(a.FamilyName)
	return strings.Join([]string{
		SearchText(a.Email), searchable(given + " " + family), searchable(family + " " + given), value(a.Phone),
	}, "\n")
}

// SearchText is what an administrator's q is looked for in where there is an address alone.
func SearchText(address email.Address) string {
	return searchable(address.Typed()) + "\n" + address.Canonical()
}

// SearchPattern is what finds q there: the right side of a LIKE whose escape is '!'.
func SearchPattern(q string) string {
	return "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(searchable(q)) + "%"
}

func value(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}
