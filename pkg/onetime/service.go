package onetime

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/clock"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

// Service issues secrets, and checks and redeems those that come back.
type Service struct {
	repo  *Repository
	ring  *keyring.Ring
	clock clock.Clock
}

// Dependencies are the parts of a Service.
type Dependencies struct {
	Secrets *Repository
	Ring    *keyring.Ring
	Now     clock.Clock
}

// NewService makes a service of its parts.
func NewService(with Dependencies) *Service {
	return &Service{
		repo: with.Secrets, ring: with.Ring, clock: with.Now,
	}
}

// Issue makes a secret, which supersedes the one before it. In a transaction it locks the row. The order of locks is
// secret, account, lockout, session, delivery.
//
// Errors: resend_too_soon with a RetryAfter; nothing is issued then.
func (s *Service) Issue(ctx context.Context, portalID ids.Portal, w IssueRequest) (Issued, error) {
	now := s.clock.Now()
	after, err := s.repo.issue(ctx, portalID, w, s.ring.Primary(), now)
	if errors.Is(err, database.ErrNotFound) {
		if after, err = s.repo.read(ctx, portalID, w.Purpose, w.EmailDigest); err == nil {
			err = fault.New(fault.ResendTooSoon).After(wait(after.free(w.ByAdministrator), now))
		}
	}
	if err != nil {
		return Issued{}, err
	}
	return Issued{
		Generation: after.generation, ExpiresAt: now.Add(w.TTL), ResendAfter: wait(after.free(w.ByAdministrator), now),
		DeliveryID: w.DeliveryID,
	}, nil
}

// Outstanding returns the secret that could be redeemed now, if there is one.
func (s *Service) Outstanding(ctx context.Context, portalID ids.Portal, purpose Purpose,
	emailDigest digest.Digest) (Issued, bool, error) {
	row, err := s.repo.read(ctx, portalID, purpose, emailDigest)
	if err != nil {
		return Issued{}, false, err
	}
	now := s.clock.Now()
	_, err = s.derive(row, seed{portalID, purpose, emailDigest, row.generation, row.key}, now)
	switch fault.CodeOf(err) {
	case "":
	case fault.Internal:
		return Issued{}, false, err
	default:
		return Issued{}, false, nil
	}
	return Issued{
		Generation: row.generation, ExpiresAt: time.UnixMilli(row.expiresAt).UTC(),
		ResendAfter: max(0, row.free(false).Sub(now)), DeliveryID: row.delivery,
	}, true, nil
}

// Secret derives the secret that a message carries. It is called as the message is sent, and derives only a secret that
// could be redeemed now.
//
// Errors: token_used, token_superseded, account_disabled, token_expired: nothing is left to send.
func (s *Service) Secret(ctx context.Context, portalID ids.Portal, purpose Purpose, emailDigest digest.Digest,
	generation int64) (Secret, error) {
	row, err := s.repo.read(ctx, portalID, purpose, emailDigest)
	if err != nil {
		return Secret{}, err
	}
	return s.derive(row, seed{portalID, purpose, emailDigest, generation, row.key}, s.clock.Now())
}

// derive makes the secret of a row's newest generation. A secret that was issued under a removed key can no longer be
// redeemed.
func (s *Service) derive(row *row, of seed, now time.Time) (Secret, error) {
	if err := row.verdict(of.generation, now); err != nil {
		return Secret{}, err
	}
	code := typedCode{long: row.long()}
	var err error
	code.plain, err = of.code(s.ring, code.long)
	if errors.Is(err, keyring.ErrUnknownKey) {
		return Secret{}, fault.Wrap(fault.TokenExpired, err)
	}
	if err != nil {
		return Secret{}, err
	}
	token, err := of.token(s.ring)
	if err != nil {
		return Secret{}, err
	}
	return Secret{token, code.show(), time.UnixMilli(row.expiresAt).UTC(), row.variant}, nil
}

// AccountOf returns the account that a genuine token was sent to, and the digest of the address. The token may be
// expired, used or superseded: a person may present it instead of the address to ask for a new one. The account may
// have another address by now, so the caller must compare the digests before it sends anything there.
//
// Errors: token_invalid; token_expired when the row or the account is gone.
func (s *Service) AccountOf(ctx context.Context, portalID ids.Portal, purpose Purpose, token string) (ids.Account,
	digest.Digest, error) {
	of, err := readToken(s.ring, portalID, purpose, token)
	if err != nil {
		return ids.Account{}, digest.Digest{}, err
	}
	row, err := s.repo.read(ctx, portalID, purpose, of.emailDigest)
	if err != nil {
		return ids.Account{}, digest.Digest{}, err
	}
	if row.forged(of) {
		return ids.Account{}, digest.Digest{}, fault.New(fault.TokenInvalid)
	}
	if !row.exists {
		return ids.Account{}, digest.Digest{}, fault.New(fault.TokenExpired)
	}
	return row.account, of.emailDigest, nil
}

// Sweep deletes up to batch rows that have no use any more, and returns their number. Call it until that is 0.
func (s *Service) Sweep(ctx context.Context, batch int) (int, error) {
	now := s.clock.Now()
	return s.repo.sweep(ctx, now.Add(-database.Kept), now.Add(-keptLong), batch)
}

// ForgetWrongCodes takes an address back to the short code, as an administrator asks. In a transaction it locks the
// rows of the address, in the order that Issue names.
func (s *Service) ForgetWrongCodes(ctx context.Context, portalID ids.Portal, emailDigest digest.Digest) error {
	return s.repo.shortAgain(ctx, portalID, emailDigest)
}
