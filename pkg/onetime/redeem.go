package onetime

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// errInTx is a mistake in the program. A transaction that rolls back would forget a wrong code.
var errInTx = errors.New("onetime: codes are checked outside a transaction, and consumed inside it")

// codeRounds is how often a code is compared again because the row changed after it was read. Two things can change it:
// a newer secret was issued, or the last try was counted. The cool-down and the count allow each of them once.
const codeRounds = 3

// Check reports whether a secret is good, and consumes nothing. A wrong code is counted for good, so a code is never
// checked inside a transaction. Input that cannot be a code, or has the long form while the newest code is short, is
// token_invalid and is not counted: it tells a guesser nothing. For a refused secret Check returns the account that it
// was meant for, for the audit trail, but not for a forged token or for input that cannot be a code.
//
// Errors: token_invalid (attempts_remaining, of a code that was counted while the newest is short), token_used,
// token_superseded, account_disabled, token_expired; of codes alone and before all others code_attempts_exhausted, with
// a RetryAfter.
func (s *Service) Check(ctx context.Context, portalID ids.Portal, purpose Purpose, presented Credential) (Checked,
	error) {
	if presented.Token == "" {
		return s.checkCode(ctx, portalID, purpose, presented)
	}
	of, err := readToken(s.ring, portalID, purpose, presented.Token)
	if err != nil {
		return Checked{}, err
	}
	row, err := s.repo.read(ctx, portalID, purpose, of.emailDigest)
	if err != nil {
		return Checked{}, err
	}
	if err := row.tokenVerdict(of, s.clock.Now()); err != nil {
		return row.refused(of.emailDigest), err
	}
	return row.found(proof{seed: of, private: presented.Private}), nil
}

func (s *Service) checkCode(ctx context.Context, portalID ids.Portal, purpose Purpose, presented Credential) (Checked,
	error) {
	if s.repo.inTx(ctx) {
		return Checked{}, errInTx
	}
	code, ok := readCode(presented.Code)
	if !ok {
		return Checked{}, fault.New(fault.TokenInvalid)
	}
	return database.Retry(codeRounds, database.ErrNotFound, func() (Checked, error) {
		now := s.clock.Now()
		row, err := s.repo.read(ctx, portalID, purpose, presented.EmailDigest)
		if err != nil {
			return Checked{}, err
		}
		if presented.Private {
			row.lastLogin = 0
		}
		if err := row.refusal(now); err != nil {
			return row.refused(presented.EmailDigest), err
		}
		facts := seed{portalID: portalID, purpose: purpose, emailDigest: presented.EmailDigest}
		if of, matched := s.match(row, facts, code); matched {
			if err := row.verdict(of.generation, now); err != nil {
				return row.refused(presented.EmailDigest), err
			}
			return row.found(proof{
				seed: of, typed: true, long: row.long(), private: presented.Private, lastLogin: row.lastLogin,
			}), nil
		}
		wrong := fault.New(fault.TokenInvalid)
		if code.long && !row.long() {
			return row.refused(presented.EmailDigest), wrong
		}
		after, err := s.miss(ctx, portalID, guess{presented.EmailDigest, row, now})
		if err != nil {
			return Checked{}, err // ErrNotFound: the row has changed
		}
		if !row.long() {
			wrong = wrong.With("attempts_remaining", after.remaining(now))
		}
		return row.refused(presented.EmailDigest), wrong
	})
}

// match finds the generation that a code belongs to: the newest, a redeemed one, or any other in the row's log, in this
// order. The newest secret of an address without an account matches no code: it was sent to nobody.
func (s *Service) match(row *row, of seed, code typedCode) (found seed, matched bool) {
	for generation, key := range row.issued.all() {
		newest := generation == row.generation
		if newest && row.account.IsZero() || !newest && !row.recognises(code) {
			continue
		}
		of.generation, of.key = generation, key
		if code.long != row.longCodes.Holds(generation) || !of.hasCode(s.ring, code) {
			continue
		}
		if !matched || row.redeemed.Holds(generation) && found.generation != row.generation {
			found, matched = of, true
		}
	}
	return found, matched
}

// guess is a wrong code.
type guess struct {
	emailDigest digest.Digest
	was         *row // that the code was compared with
	at          time.Time
}

// miss counts a wrong code, even if the caller has hung up, and returns the counts after it.
// Errors: database.ErrNotFound when it was not counted because the row has changed.
func (s *Service) miss(ctx context.Context, portalID ids.Portal, g guess) (*row, error) {
	ctx, cancel := database.Detached(ctx)
	defer cancel()
	return s.repo.miss(ctx, portalID, g)
}

// Consume redeems a secret that Check found, exactly once, however many try at once. Call it in the transaction that
// does what the secret is for. It checks everything once more that may have changed since Check.
//
// Errors: Check's.
func (s *Service) Consume(ctx context.Context, portalID ids.Portal, purpose Purpose, found Checked) error {
	if found.proof.portalID != portalID || found.proof.purpose != purpose {
		return fault.New(fault.TokenInvalid)
	}
	_, err := s.consume(ctx, found.proof)
	return err
}

func (s *Service) consume(ctx context.Context, p proof) (Checked, error) {
	now := s.clock.Now()
	redeemed, err := s.repo.redeem(ctx, p, now)
	if err == nil {
		return redeemed.found(p), nil
	}
	if !errors.Is(err, database.ErrNotFound) {
		return Checked{}, err
	}
	row, err := s.repo.read(ctx, p.portalID, p.purpose, p.emailDigest)
	if err != nil {
		return Checked{}, err
	}
	if p.private {
		row.lastLogin = 0
	}
	if p.typed {
		err = row.refusal(now)
	}
	if err == nil {
		err = row.tokenVerdict(p.seed, now)
	}
	if err == nil { // it was bad a moment ago, and is good now
		err = fault.New(fault.Unavailable).After(time.Second)
	}
	return Checked{}, err
}
