package account

import (
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
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
		searchable(a.Email.Typed()), a.Email.Canonical(), searchable(given + " " + family),
		searchable(family + " " + given), value(a.Phone),
	}, "\n")
}

func value(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}
