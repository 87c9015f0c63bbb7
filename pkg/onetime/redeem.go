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

// errInTx is a mistake of the program's: a wrong code must stay counted though what it was typed for is taken back.
var errInTx = errors.New("onetime: codes are checked outside a transaction, and consumed inside it")

// codeRounds is how often a code is compared anew because a newer secret was issued, or the last try that is heard was
// counted, since the row was read: once each, which a cool-down and the exhausted tries see to.
const codeRounds = 3

// Check says whether a secret is good, and consumes nothing. A wrong code is counted, once and for all, which is why a
// code is not checked inside a transaction. An entry that cannot be a code, since it is not 6 digits, is as wrong as a
// changed token and counts as little: it tells a guesser nothing. What is found of a refused secret is whose it was meant to be, for the audit trail: nothing of a forged token,
// or of what is no code.
//
// Errors: token_invalid (attempts_remaining, of a code that was counted), token_used, token_superseded, account_disabled,
// token_expired; of codes alone and before all others code_attempts_exhausted, with a RetryAfter.
func (s *Service) Check(ctx context.Context, portalID ids.Portal, purpose Purpose, given Credential) (Checked, error) {
	if given.Token == "" {
		return s.checkCode(ctx, portalID, purpose, given)
	}
	of, err := readToken(s.ring, portalID, purpose, given.Token)
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
	return row.found(proof{seed: of}), nil
}

func (s *Service) checkCode(ctx context.Context, portalID ids.Portal, purpose Purpose, given Credential) (Checked, error) {
	if s.repo.inTx(ctx) {
		return Checked{}, errInTx
	}
	code, ok := readCode(given.Code)
	if !ok {
		return Checked{}, fault.New(fault.TokenInvalid)
	}
	return database.Retry(codeRounds, database.ErrNotFound, func() (Checked, error) {
		now := s.clock.Now()
		row, err := s.repo.read(ctx, portalID, purpose, given.EmailDigest)
		if err != nil {
			return Checked{}, err
		}
		if err := row.refusal(now); err != nil {
			return row.refused(given.EmailDigest), err
		}
		if of, matched := s.match(row, seed{portalID: portalID, purpose: purpose, emailDigest: given.EmailDigest}, code); matched {
			if err := row.verdict(of.generation, now); err != nil {
				return row.refused(given.EmailDigest), err
			}
			return row.found(proof{seed: of, typed: true, lastLogin: row.lastLogin}), nil
		}
		left, err := s.miss(ctx, portalID, purpose, given.EmailDigest, row, now)
		if err != nil {
			return Checked{}, err // not found: it was not counted
		}
		return row.refused(given.EmailDigest), fault.New(fault.TokenInvalid).With("attempts_remaining", left)
	})
}

// match finds the generation that a code is of: the newest, one that was redeemed, or any other that the row still knows.
// Nobody's newest is of none: it was sent to nobody.
func (s *Service) match(row *row, of seed, code string) (found seed, matched bool) {
	for generation, key := range row.issued.all() {
		of.generation, of.key = generation, key
		if !of.hasCode(s.ring, code) || generation == row.generation && row.account.IsZero() {
			continue
		}
		if !matched || row.redeemed.Holds(generation) && found.generation != row.generation {
			found, matched = of, true
		}
	}
	return found, matched
}

// miss counts a wrong code though its caller has hung up: he may have seen the answer to another one. It gives how many
// more are heard. Errors: database.ErrNotFound when it was not counted.
func (s *Service) miss(ctx context.Context, portalID ids.Portal, purpose Purpose, subject digest.Digest, was *row, now time.Time) (int, error) {
	ctx, cancel := database.Detached(ctx)
	defer cancel()
	after, err := s.repo.miss(ctx, portalID, purpose, subject, was, now)
	if err != nil {
		return 0, err
	}
	return after.remaining(now), nil
}

// Consume redeems what Check found, exactly once, whatever races: in the caller's transaction, with what the secret is
// for. Whatever may have happened since Check is checked once more.
//
// Errors: Check's.
func (s *Service) Consume(ctx context.Context, portalID ids.Portal, purpose Purpose, found Checked) error {
	if found.proof.portalID != portalID || found.proof.purpose != purpose {
		return fault.New(fault.TokenInvalid)
	}
	_, err := s.consume(ctx, found.proof)
	return err
}

// RedeemToken is Check and Consume of a token in one statement, for where nothing is to be done between them.
//
// Errors: Check's.
func (s *Service) RedeemToken(ctx context.Context, portalID ids.Portal, purpose Purpose, token string) (Checked, error) {
	of, err := readToken(s.ring, portalID, purpose, token)
	if err != nil {
		return Checked{}, err
	}
	return s.consume(ctx, proof{seed: of})
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
	if p.typed {
		err = row.refusal(now)
	}
	if err == nil {
		err = row.tokenVerdict(p.seed, now)
	}
	if err == nil { // it was not good a moment ago, and is now
		err = fault.New(fault.Unavailable).After(time.Second)
	}
	return Checked{}, err
}
