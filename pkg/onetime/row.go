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

// row is the ledger's row for a purpose and address, with the current state of its account. The zero row belongs to an
// address that has none yet.
type row struct {
	purpose     Purpose
	generation  int64 // 0 before any
	key         keyring.ID
	variant     string
	expiresAt   int64
	redeemed    slidinglog.Log
	tries       int
	wrongInARow int
	account     ids.Account // zero for an address without one
	stamp       uuid.NullUUID
	delivery    ids.Delivery
	issued      issues
	asked       slidinglog.Log
	sent        slidinglog.Log
	wrong       slidinglog.Log // short codes
	longCodes   slidinglog.Log // the generations that carry a long code
	longNext    bool           // the next one does, too

	exists    bool // the account does
	email     string
	unchanged bool  // the account still has the stamp
	disabled  bool  // the account is
	lastLogin int64 // when the account's newest session began; 0 for never
}

// issues is a log of generations, each with the id of the key that derived its secret, as 8 hex digits.
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

// verdict is why a genuine secret of a generation is refused. It is nil for a good one.
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

// forged reports whether a token was derived under another key than its secret was issued under. A thief of a replaced
// key can so forge no token of a newer secret.
func (r *row) forged(of seed) bool {
	for generation, key := range r.issued.all() {
		if generation == of.generation {
			return key != of.key
		}
	}
	return false
}

// free is the time from which a person, or an administrator, may have the next secret issued.
func (r *row) free(byAdministrator bool) time.Time {
	if byAdministrator {
		return r.sent.RoomFrom(sendQuotas)
	}
	return r.asked.RoomFrom(askQuotas)
}

func (r *row) found(p proof) Checked {
	return Checked{
		AccountID: r.account, SecurityStamp: r.stamp.UUID, EmailDigest: p.emailDigest, Email: r.email, Variant: r.variant,
		ExpiresAt: time.UnixMilli(r.expiresAt).UTC(), Generation: p.generation, proof: p,
	}
}

// refused names the account that a bad secret or a wrong code was meant for.
func (r *row) refused(subject digest.Digest) Checked {
	return Checked{AccountID: r.account, EmailDigest: subject}
}

// wait is the time until then, at least a second: a 429 always carries Retry-After.
func wait(until, now time.Time) time.Duration { return max(until.Sub(now), time.Second) }
