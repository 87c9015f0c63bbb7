package email

import (
	"cmp"
	"slices"
	"strings"
)

// maxSuggestions bounds how many addresses a person is asked to choose from.
const maxSuggestions = 3

// Suggest returns the addresses that were probably meant where the domain of a canonical address looks mistyped:
// three at most, the likeliest first. known are further domains to compare with, in canonical form, such as a
// portal's own; they go before equally likely ones. For a domain that is among them, or well known, it returns none.
func Suggest(canonical string, known []string) []string {
	local, domain, found := strings.Cut(canonical, "@")
	if !found || isReal(domain, known) {
		return nil
	}
	domains := meantDomains(domain, known)
	for i, meant := range domains {
		domains[i] = local + "@" + meant
	}
	return slices.DeleteFunc(domains, func(address string) bool { return len(address) > MaxLength })
}

// meantDomains returns the domains that were probably meant by one that is not known to be real.
func meantDomains(domain string, known []string) []string {
	targets := slices.Concat(known, providers)
	mended, slipped := mendTopLevel(domain)
	if slipped && isReal(mended, known) {
		return []string{mended}
	}
	if meant := closest(domain, targets); len(meant) > 0 || !slipped {
		return meant
	}
	if meant := closest(mended, targets); len(meant) > 0 {
		return meant
	}
	return []string{mended}
}

func isReal(domain string, known []string) bool {
	return slices.Contains(known, domain) || slices.Contains(providers, domain) || slices.Contains(neighbours, domain)
}

// mendTopLevel corrects a mistyped top-level domain.
func mendTopLevel(domain string) (mended string, slipped bool) {
	dot := strings.LastIndexByte(domain, '.')
	for _, slip := range topLevelSlips {
		if domain[dot+1:] == slip.typed {
			return domain[:dot+1] + slip.meant, true
		}
	}
	return "", false
}

// closest returns the targets that are the fewest slips of the hand away from domain; farther ones are noise.
func closest(domain string, targets []string) []string {
	guesses := near(domain, targets, func(target string) int {
		name, _, _ := strings.Cut(target, ".")
		switch {
		case len(name) < 3:
			return 0 // names of two letters are all alike
		case len(target) >= 9 && strings.HasPrefix(domain, target[:1]):
			return 2 // people who miss two keys seldom miss the first
		default:
			return 1
		}
	})
	if len(guesses) == 0 {
		return nil
	}
	fewest := guesses[0].slips
	return texts(slices.DeleteFunc(guesses, func(g guess) bool { return g.slips > fewest }))
}

// guess is a text that may have been meant, and its distance from the typed text, in slips of the hand.
type guess struct {
	text  string
	slips int
}

// near returns the candidates within limit slips of typed, the nearest first, in their own order where equally near.
func near(typed string, candidates []string, limit func(candidate string) int) []guess {
	var guesses []guess
	for _, candidate := range candidates {
		most := limit(candidate)
		slips := distance(typed, candidate, most)
		isNew := !slices.ContainsFunc(guesses, func(g guess) bool { return g.text == candidate })
		if 0 < slips && slips <= most && isNew {
			guesses = append(guesses, guess{candidate, slips})
		}
	}
	slices.SortStableFunc(guesses, func(a, b guess) int { return cmp.Compare(a.slips, b.slips) })
	return guesses
}

func texts(guesses []guess) []string {
	var texts []string
	for _, g := range guesses[:min(len(guesses), maxSuggestions)] {
		texts = append(texts, g.text)
	}
	return texts
}
