package password

import (
	"cmp"
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Lengths of a password, in code points after NFC.
const (
	// DefaultMinLength is asked for where a portal asks for nothing else, MinLengthFloor is the least it may ask for.
	DefaultMinLength = 12
	MinLengthFloor   = 8
	MaxLength        = 128
)

const (
	// minWordLength is the least length of a word of an email or name that counts. Many passwords contain shorter ones.
	minWordLength = 4
	// minRemainder is the least that must remain of a password without those words.
	minRemainder = 8
)

// ReasonCode says why a password is refused. A code never changes its meaning.
type ReasonCode string

// Why a password can be refused.
const (
	TooShort           ReasonCode = "too_short"
	TooLong            ReasonCode = "too_long"
	Common             ReasonCode = "common"
	BreachedBefore     ReasonCode = "breached"
	ContainsEmail      ReasonCode = "contains_email"
	ContainsPortalName ReasonCode = "contains_portal_name"
)

// Reason is one thing that is wrong with a password.
type Reason struct {
	Code ReasonCode
	// Limit is the length in code points that was missed, for too_short and too_long.
	Limit int
}

// Facts are the inputs, other than the password, of the rules.
type Facts struct {
	// MinLength is the portal's. Zero means DefaultMinLength, and anything below MinLengthFloor means MinLengthFloor.
	MinLength  int
	Email      string
	PortalName string
}

// Policy is how an installation judges new passwords. The zero Policy asks no other host.
type Policy struct {
	// Breached is asked too when it is set.
	Breached *Breached
}

// Check returns every reason to refuse the password, in the order of the codes above. None means that it is good.
// With Breached set it makes a network request of up to its timeout, so no connection or transaction is to be held.
func (p Policy) Check(ctx context.Context, password string, facts Facts) []Reason {
	breached := p.Breached != nil && p.Breached.Knows(ctx, password)
	return judge(password, facts, breached)
}

func judge(password string, facts Facts, breached bool) []Reason {
	password = norm.NFC.String(password)
	length := utf8.RuneCountInString(password)
	ofEmail, ofPortalName := madeOf(password, facts.Email, facts.PortalName)

	var reasons []Reason
	refuseIf := func(refused bool, reason Reason) {
		if refused {
			reasons = append(reasons, reason)
		}
	}
	minimum := effectiveMinimum(facts.MinLength)
	refuseIf(length < minimum, Reason{Code: TooShort, Limit: minimum})
	refuseIf(length > MaxLength, Reason{Code: TooLong, Limit: MaxLength})
	refuseIf(isCommon(password), Reason{Code: Common})
	refuseIf(breached, Reason{Code: BreachedBefore})
	refuseIf(ofEmail, Reason{Code: ContainsEmail})
	refuseIf(ofPortalName, Reason{Code: ContainsPortalName})
	return reasons
}

func effectiveMinimum(minLength int) int {
	return min(max(cmp.Or(minLength, DefaultMinLength), MinLengthFloor), MaxLength)
}

// madeOf tells whether too little remains of the password without the words of the email and of the portal's name,
// and which of the two it has words of.
func madeOf(password, email, portalName string) (ofEmail, ofPortalName bool) {
	folded := strings.ToLower(password)
	covered := make([]bool, len(folded))
	inEmail := cover(covered, folded, wordsOf(email))
	inPortalName := cover(covered, folded, wordsOf(portalName))

	remainder := 0
	for i := range folded {
		if !covered[i] {
			remainder++
		}
	}
	return inEmail && remainder < minRemainder, inPortalName && remainder < minRemainder
}

// wordsOf returns the whole text, so that signs between its words count too, and each of its words.
func wordsOf(text string) []string {
	text = strings.ToLower(norm.NFC.String(strings.TrimSpace(text)))
	words := append(strings.FieldsFunc(text, isSeparator), text)
	long := words[:0]
	for _, word := range words {
		if utf8.RuneCountInString(word) >= minWordLength {
			long = append(long, word)
		}
	}
	return long
}

func isSeparator(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r)
}

// cover marks every byte of text that belongs to one of the words, overlapping ones included, and tells whether any
// does.
func cover(covered []bool, text string, words []string) (found bool) {
	for _, word := range words {
		for start := 0; ; start++ {
			at := strings.Index(text[start:], word)
			if at < 0 {
				break
			}
			found = true
			start += at
			for i := range word {
				covered[start+i] = true
			}
		}
	}
	return found
}
