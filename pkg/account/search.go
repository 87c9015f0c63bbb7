package account

import (
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/latchkey-auth/latchkey/pkg/email"
)

// searchable folds a text for the search: queries and stored texts alike.
func searchable(text string) string {
	return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(strings.TrimSpace(text))))
}

// searchText is the text in which an administrator's q is searched. It has the names in both orders. Line breaks keep a
// q from matching across members.
func searchText(a *Account) string {
	given, family := value(a.GivenName), value(a.FamilyName)
	return strings.Join([]string{
		SearchText(a.Email), searchable(given + " " + family), searchable(family + " " + given), value(a.Phone),
	}, "\n")
}

// SearchText is the text to search where only an address is known, as for an invitation.
func SearchText(address email.Address) string {
	return searchable(address.Typed()) + "\n" + address.Canonical()
}

// SearchPattern is the pattern that finds q in it, for LIKE … ESCAPE '!'.
func SearchPattern(q string) string {
	return "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(searchable(q)) + "%"
}

func value(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}
