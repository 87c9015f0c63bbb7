package onetime

import (
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/slidinglog"
)

// row is what the ledger knows of a purpose and subject, and what has become of the account. The zero row is that of an
// address for which nothing ever happened.
type row struct {
	generation  int64 // 0 before any
	key         keyring.ID
	variant     string
	expiresAt   int64
	redeemed    slidinglog.Log
	tries       int
	wrongInARow int
	account     ids.Account // zero for nobody
	stamp       uuid.NullUUID
	delivery    ids.Delivery
	issued      issues
	asked       slidinglog.Log
	sent        slidinglog.Log
	wrong       slidinglog.Log

	exists    bool // the account
	email     string
	unchanged bool  // it still has the stamp
	disabled  bool  // it is
	lastLogin int64 // when its newest session began; 0 for never
}

// issues is a log of generations, each with the id of the key that its secret was derived under, as 8 hex digits.
type issues string

const issueWidth = slidinglog.Width + 8

func issue(generation int64, key keyring.ID) issues {
	return issues(fmt.Sprintf("%s%08x", slidinglog.Of(generation), uint32(key)))
}

func (l issues) all() iter.Seq2[int64, keyring.ID] {
	return func(yield func(int64, keyring.ID) bool) {
		for ; len(l) >= issueWidth; l = l[issueWidth:] {
			key, err := strconv.ParseUint(string(l[slidinglog.Width:issueWidth]), 16, 32)
			if err != nil || !yield(slidinglog.Log(l).Nth(1), keyring.ID(key)) {
				return
			}
		}
	}
}

// verdict is what a genuine secret of a generation is told; nil when it is good.
//
// Errors, in this order: token_used, token_superseded, account_disabled, token_expired.
func (r *row) verdict(generation int64, now time.Time) error {
	switch {
	case r.redeemed.Holds(generation):
		return fault.New(fault.TokenUsed)
	case generation < r.generation:
		return fault.New(fault.TokenSuperseded)
	case generation > r.generation: // the row was swept, or the database is a restored backup
		return fault.New(fault.TokenExpired)
	case r.disabled:
		return fault.New(fault.AccountDisabled)
	case !r.unchanged, r.expiresAt <= now.UnixMilli():
		return fault.New(fault.TokenExpired)
	}
	return nil
}

// tokenVerdict is verdict, and token_invalid before it.
func (r *row) tokenVerdict(of seed, now time.Time) error {
	if r.forged(of) {
		return fault.New(fault.TokenInvalid)
	}
	return r.verdict(of.generation, now)
}

// forged reports whether a token was derived under another key than its secret was issued under. Whoever got hold of
// an old key, which was replaced for that, makes no token of what is newer.
func (r *row) forged(of seed) bool {
	for generation, key := range r.issued.all() {
		if generation == of.generation {
			return key != of.key
		}
	}
	return false
}

// refusal is what every typed code is told while none is heard, even the right one; nil otherwise.
//
// Errors: code_attempts_exhausted. Its RetryAfter is until a new code may be asked for, and where a window is full,
// until it has room.
func (r *row) refusal(now time.Time) error {
	var until time.Time
	spent := r.tries >= Tries || r.wrongInARow >= offAfter && !r.loggedIn()
	if spent {
		until = r.free(false)
	}
	room := r.wrong.RoomFrom(wrongQuotas)
	if !spent && !room.After(now) {
		return nil
	}
	return fault.New(fault.CodeAttemptsExhausted).After(wait(later(until, room), now))
}

// free tells from when on a person, or an administrator, may have the next secret issued.
func (r *row) free(byAdministrator bool) time.Time {
	if byAdministrator {
		return r.sent.RoomFrom(sendQuotas)
	}
	return r.asked.RoomFrom(askQuotas)
}

// loggedIn reports whether the person has logged in since the newest wrong code: that ends the row of them.
func (r *row) loggedIn() bool { return r.wrong.Nth(1) < r.lastLogin }

// remaining is how many more wrong codes are heard.
func (r *row) remaining(now time.Time) int {
	return max(0, min(Tries-r.tries, r.wrong.Left(wrongQuotas, now), offAfter-r.wrongInARow))
}

func (r *row) found(p proof) Checked {
	return Checked{
		AccountID: r.account, SecurityStamp: r.stamp.UUID, EmailDigest: p.emailDigest, Email: r.email, Variant: r.variant,
		ExpiresAt: time.UnixMilli(r.expiresAt).UTC(), Generation: p.generation, proof: p,
	}
}

// refused is what is told of a genuine secret that is not good, or of a wrong code: whose it was meant to be.
func (r *row) refused(subject digest.Digest) Checked {
	return Checked{AccountID: r.account, EmailDigest: subject}
}

// wait is until then, and a second at least: a 429 always carries Retry-After.
func wait(until, now time.Time) time.Duration { return max(until.Sub(now), time.Second) }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
