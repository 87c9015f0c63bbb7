// Package session keeps the logins of people: session rows, and the refresh tokens derived from them.
package session

import (
	"encoding/binary"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

// Session is one login of an account.
type Session struct {
	ID         ids.Session
	Generation int64      // of the refresh token; it goes up by one at each rotation
	KeyID      keyring.ID // the key that the current refresh token is derived under
	Methods    []string   // how the person was authenticated
	Transport  string
	DeviceName *string
	Network    string
	UserAgent  string
	CreatedAt  time.Time
	// RefreshedAt is when the session was last refreshed; nil before the first time.
	RefreshedAt *time.Time
	ExpiresAt   time.Time // the idle end
	EndsAt      time.Time // the absolute end
}

// End is when the session ends: its idle end, which a refresh moves, or its absolute end, whichever comes first.
func (s *Session) End() time.Time {
	if s.EndsAt.Before(s.ExpiresAt) {
		return s.EndsAt
	}
	return s.ExpiresAt
}

// LastUsedAt is when the session was last refreshed, or began.
func (s *Session) LastUsedAt() time.Time {
	if s.RefreshedAt != nil {
		return *s.RefreshedAt
	}
	return s.CreatedAt
}

// Password is the authentication method of a password (RFC 8176 §2).
const Password = "pwd"

// Transports of a refresh token.
const (
	TransportToken  = "token"
	TransportCookie = "cookie"
)

// Granted holds the tokens of a person who signed in or refreshed.
type Granted struct {
	Account          *account.Account
	Transport        string
	AccessToken      string
	ExpiresIn        time.Duration
	RefreshToken     string
	RefreshExpiresIn time.Duration
}

const refreshPurpose keyring.Purpose = "refresh-token"

// refreshSize is the payload of a refresh token: the session's id and the generation.
const refreshSize = 16 + 8

func refreshToken(ring *keyring.Ring, portalID ids.Portal, s *Session) (string, error) {
	payload := binary.BigEndian.AppendUint64(s.ID.UUID[:], uint64(s.Generation))
	return ring.Token(s.KeyID, refreshPurpose, portalID.UUID[:], payload)
}

// readRefreshToken reads the session, the generation and the key of a refresh token. Errors: keyring.ErrForged.
func readRefreshToken(ring *keyring.Ring, portalID ids.Portal, token string) (presentedToken, error) {
	payload, key, err := ring.ReadToken(refreshPurpose, portalID.UUID[:], token, refreshSize)
	if err != nil {
		return presentedToken{}, err
	}
	p := presentedToken{generation: int64(binary.BigEndian.Uint64(payload[16:])), key: key}
	copy(p.session.UUID[:], payload)
	return p, nil
}
