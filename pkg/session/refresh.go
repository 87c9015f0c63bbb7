package session

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

// presented is a refresh token whose MAC is good, and the terms on which it is refreshed.
type presented struct {
	session    ids.Session
	generation int64
	primary    keyring.ID // derives the next generation
	expires    time.Time  // the idle end of a session that rotates now
	grace      time.Duration
	now        time.Time
}

// reusedError means that a token of an older generation was presented: the token was stolen. The session has ended.
type reusedError struct{ account ids.Account }

func (reusedError) Error() string { return "session: refresh token reused" }

// errAccountChanged means that the account's stamp is not the session's, in the snapshot that the statement read.
var errAccountChanged = errors.New("session: the account changed since the session began")

// refresh is raw SQL because one statement must decide rotation, grace, theft and both ends, outside any transaction that
// could roll back:
//
//   - The current generation rotates: it goes up by one. Within the grace it does not, and stays the current one.
//   - The generation before it is forgiven within the grace, and gets the current one too.
//   - An older generation ends the session, and so does the one before it after the grace.
//   - A generation that the database has not reached (a restored backup) finds no row, nor does a session that has ended.
const refresh = `UPDATE sessions SET
		ended_at = CASE WHEN ` + reused + ` THEN CAST(@now AS BIGINT) END,
		generation = CASE WHEN ` + rotates + ` THEN generation + 1 ELSE generation END,
		key_id = CASE WHEN ` + rotates + ` THEN CAST(@key AS BIGINT) ELSE key_id END,
		rotated_at = CASE WHEN ` + rotates + ` THEN CAST(@now AS BIGINT) ELSE rotated_at END,
		expires_at = CASE WHEN ` + rotates + ` THEN CAST(@expires AS BIGINT) ELSE expires_at END
	WHERE portal_id = @portal AND id = @id AND ended_at IS NULL AND expires_at > @now AND ends_at > @now
		AND generation >= @generation
	RETURNING account_id, generation, key_id, transport, expires_at, ends_at, ended_at, `

const (
	reused  = `(generation > @generation + 1 OR (generation > @generation AND rotated_at + @grace <= @now))`
	rotates = `(generation = @generation AND rotated_at + @grace <= @now)`
	// unchangedAccount selects the account if it still has the session's stamp and is not disabled. The table sessions
	// has no alias because SQLite takes none where RETURNING holds a subquery.
	unchangedAccount = ` FROM accounts a WHERE a.portal_id = @portal AND a.id = sessions.account_id
		AND a.security_stamp = sessions.security_stamp AND a.disabled_at IS NULL`
)

// refresh brings a session forward. Errors: database.ErrNotFound when the session has ended; errAccountChanged;
// reusedError when the session ends now.
func (r *Repository) refresh(ctx context.Context, portalID ids.Portal, p presented) (*Session, *account.Account, error) {
	s := &Session{ID: p.session}
	var (
		owner           ids.Account
		packed          []byte
		expiresAt, ends int64
		ended           *int64
	)
	returning := `(SELECT ` + account.Packed(r.db.Dialect()) + unchangedAccount + `)`
	err := r.db.From(ctx).Raw(refresh+returning, map[string]any{
		"portal": portalID, "id": p.session, "generation": p.generation, "key": p.primary, "now": p.now.UnixMilli(),
		"expires": p.expires.UnixMilli(), "grace": p.grace.Milliseconds(),
	}).Row().Scan(&owner, &s.Generation, &s.KeyID, &s.Transport, &expiresAt, &ends, &ended, &packed)
	switch {
	case err != nil:
		return nil, nil, database.Err(err)
	case ended != nil:
		return nil, nil, reusedError{owner}
	case packed == nil:
		return nil, nil, errAccountChanged
	}
	s.ExpiresAt, s.EndsAt = *database.Time(&expiresAt), *database.Time(&ends)
	a, err := account.ScanPacked(packed)
	return s, a, err
}
