package onetime

import (
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/slidinglog"
	"github.com/latchkey-auth/latchkey/pkg/typedcode"
)

// A typed code has one of two forms. A short code is quick to type and can be guessed, so it takes few wrong tries.
// After too many wrong short codes for an address, the next secrets carry a long code, which nobody guesses. A stranger
// who guesses can so make a person's next code longer, and never shuts the person out.
const (
	shortLength = 6 // digits
	longLength  = 8 // characters of typedcode.Alphabet, 40 bits
	longGroup   = 4

	// Tries is the number of wrong tries at one short code, however many come at once.
	Tries = 5
	// LongTries is the number of wrong tries at one long code, however many come at once.
	LongTries = 100_000
	// triesInARow is the number of wrong short codes in a row, across secrets, after which the next code is long.
	triesInARow = 100
	// oldCodeTries is the number of wrong tries at a long code after which older, short codes are not recognised any
	// more. Otherwise a stranger could find a used one among a million in the tries that a long code takes, and see at
	// a private portal that the address has an account.
	oldCodeTries = 15
)

// wrongQuotas are the wrong short codes of one purpose and address after which the next code is long.
var wrongQuotas = []slidinglog.Quota{{N: 15, Within: time.Hour}, {N: 50, Within: 24 * time.Hour}}

// alwaysLong reports whether every code is long. A code that sets a password is: otherwise a stranger who tries a few
// codes at each of very many accounts gets into one of them.
func (p Purpose) alwaysLong() bool { return p == Password }

// withShortCodes are the purposes whose codes may be short.
var withShortCodes = []Purpose{Confirmation, LoginCode}

// typedCode is a code as a person typed it, without everything that does not matter.
type typedCode struct {
	plain string
	long  bool
}

// readCode reads a typed code. ok is false for input that can be a code of neither form.
func readCode(typed string) (code typedCode, ok bool) {
	plain, _ := typedcode.Read(typed, longLength)
	switch {
	case len(plain) == longLength:
		return typedCode{plain, true}, true
	case len(plain) == shortLength && strings.Trim(plain, "0123456789") == "":
		return typedCode{plain, false}, true
	}
	return typedCode{}, false
}

// show is a code as a message shows it.
func (c typedCode) show() string {
	if c.long {
		return typedcode.Group(c.plain, longGroup)
	}
	return c.plain
}

// long reports whether the newest code is, or would be where none was issued yet.
func (r *row) long() bool {
	if r.generation == 0 {
		return r.purpose.alwaysLong()
	}
	return r.longCodes.Holds(r.generation)
}

// accepts reports whether the newest code can be redeemed as far as wrong codes go.
func (r *row) accepts() bool {
	if r.long() {
		return r.tries < LongTries
	}
	return r.tries < Tries && (!r.longNext || r.loggedIn())
}

// refusal is why every typed code is refused, even the right one. It is nil while codes are accepted. The link of the
// same secret stays good.
//
// Errors: code_attempts_exhausted. Its RetryAfter is the time until a new code may be asked for.
func (r *row) refusal(now time.Time) error {
	if r.accepts() {
		return nil
	}
	return fault.New(fault.CodeAttemptsExhausted).After(wait(r.free(false), now))
}

// loggedIn reports whether the person has logged in since the newest wrong short code. A login takes the address back
// to the short code.
func (r *row) loggedIn() bool { return r.wrong.Nth(1) < r.lastLogin }

// remaining is the number of further wrong tries at the newest code, a short one.
func (r *row) remaining(now time.Time) int {
	return max(0, min(Tries-r.tries, r.wrong.Left(wrongQuotas, now), triesInARow-r.wrongInARow))
}

// recognises reports whether a code is compared with those of older secrets.
func (r *row) recognises(code typedCode) bool {
	return code.long || !r.long() || r.tries < oldCodeTries
}
