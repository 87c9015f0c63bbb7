package session

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/slidinglog"
)

// presentedToken is a refresh token whose MAC is good, and the terms on which it is refreshed.
type presentedToken struct {
	session    ids.Session
	generation int64
	key        keyring.ID // the key that the token is derived under
	primary    keyring.ID // the key that derives the next generation
	expires    time.Time  // the idle end of a session that is used now
	grace      time.Duration
	now        time.Time
}

// reusedError means that a token was presented that is not forgiven: it was stolen. The session has ended.
type reusedError struct{ account ids.Account }

func (reusedError) Error() string { return "session: refresh token reused" }

// errAccountChanged means that the account's stamp is not the session's, in the snapshot that the statement read.
var errAccountChanged = errors.New("session: the account changed since the session began")

// lateForgiveness bounds how often the generation before the current one is forgiven after the grace: a phone that loses
// an answer comes back now and then, a thief who holds the previous token comes back again and again.
var lateForgiveness = []slidinglog.Quota{{N: 5, Within: 24 * time.Hour}}

// refresh is raw SQL because one statement must decide rotation, forgiveness, theft and both ends, outside any transaction
// that could roll back:
//
//   - The current generation rotates: it goes up by one. Within the grace it does not, and stays the current one.
//   - The generation before it is forgiven within the grace, and gets the current one too.
//   - After the grace that generation is still forgiven while the current one was never presented: the answer that carried
//     the current one was lost. lateForgiveness bounds how often.
//   - Every other older generation ends the session.
//   - A generation under a key that it was not derived under finds no row, so that a leaked secret key which has been
//     replaced neither refreshes nor ends a session. Nor does a generation that the database has not reached (a restored
//     backup), nor a session that has ended.
var refresh = `UPDATE sessions SET
		ended_at = CASE WHEN ` + reused + ` THEN CAST(@now AS BIGINT) END,
		generation = CASE WHEN ` + rotates + ` THEN generation + 1 ELSE generation END,
		key_id = CASE WHEN ` + rotates + ` THEN CAST(@primary AS BIGINT) ELSE key_id END,
		key_from = CASE WHEN ` + replacesKey + ` THEN generation + 1 ELSE key_from END,
		earlier_key_id = CASE WHEN ` + replacesKey + ` THEN key_id ELSE earlier_key_id END,
		rotated_at = CASE WHEN ` + rotates + ` THEN CAST(@now AS BIGINT) ELSE rotated_at END,
		presented = CASE WHEN generation = @generation THEN generation ELSE presented END,
		forgiven = CASE WHEN ` + forgivesLate + ` THEN ` + addForgiven + ` ELSE forgiven END,
		expires_at = CASE WHEN ` + rotates + ` OR ` + forgivesLate + ` THEN CAST(@expires AS BIGINT) ELSE expires_at END
	WHERE portal_id = @portal AND id = @id AND ended_at IS NULL AND expires_at > @now AND ends_at > @now
		AND generation >= @generation AND ` + underItsKey + `
	RETURNING account_id, generation, key_id, amr, transport, created_at, expires_at, ends_at, ended_at, `

const (
	rotates     = `(generation = @generation AND rotated_at + @grace <= @now)`
	replacesKey = `(` + rotates + ` AND key_id <> @primary)`
	late        = `(generation = @generation + 1 AND rotated_at + @grace <= @now)`
	// underItsKey keeps to the key that the row knows for a generation. Of the generations long before the current one the
	// row knows only that they are not under a newer key.
	underItsKey = `(CASE WHEN @generation >= key_from THEN key_id ELSE earlier_key_id END = @key)`
	// unchangedAccount selects the account if it still has the session's stamp and is not disabled. The table sessions
	// has no alias because SQLite takes none where RETURNING holds a subquery.
	unchangedAccount = ` FROM accounts a WHERE a.portal_id = @portal AND a.id = sessions.account_id
		AND a.security_stamp = sessions.security_stamp AND a.disabled_at IS NULL`
)

var (
	answerLost = `(presented < generation AND NOT ` +
		slidinglog.SQLFull("forgiven", "late", lateForgiveness) + `)`
	forgivesLate = `(` + late + ` AND ` + answerLost + `)`
	reused       = `(generation > @generation + 1 OR (` + late + ` AND NOT ` + answerLost + `))`
	addForgiven  = slidinglog.SQLAdd("@logged", "forgiven", slidinglog.Octets(lateForgiveness[0].N))
)

// refresh brings a session forward. Errors: database.ErrNotFound when the session has ended, or the token is not of it;
// errAccountChanged, with the session; reusedError when the session ends now.
func (r *Repository) refresh(
	ctx context.Context, portalID ids.Portal, p presentedToken,
) (*Session, *account.Account, error) {
	s := &Session{ID: p.session}
	var (
		owner                    ids.Account
		packed                   []byte
		methods                  string
		created, expiresAt, ends int64
		ended                    *int64
	)
	args := map[string]any{
		"portal": portalID, "id": p.session, "generation": p.generation, "key": p.key, "primary": p.primary,
		"now": p.now.UnixMilli(), "logged": slidinglog.At(p.now), "expires": p.expires.UnixMilli(),
		"grace": p.grace.Milliseconds(),
	}
	slidinglog.Bind(args, "late", lateForgiveness, p.now)
	returning := `(SELECT ` + account.Packed(r.db.Dialect()) + unchangedAccount + `)`
	err := r.db.From(ctx).Raw(refresh+returning, args).Row().
		Scan(&owner, &s.Generation, &s.KeyID, &methods, &s.Transport, &created, &expiresAt, &ends, &ended, &packed)
	switch {
	case err != nil:
		return nil, nil, database.Err(err)
	case ended != nil:
		return nil, nil, reusedError{owner}
	}
	s.Methods, s.CreatedAt = strings.Fields(methods), *database.Time(&created)
	s.ExpiresAt, s.EndsAt = *database.Time(&expiresAt), *database.Time(&ends)
	if packed == nil {
		return s, nil, errAccountChanged
	}
	a, err := account.ScanPacked(packed)
	return s, a, err
}

// accountOf reads the account of a session that has not ended. Errors: database.ErrNotFound when the account has changed
// since the session began. Raw because the columns of an account hold a subquery.
func (r *Repository) accountOf(ctx context.Context, portalID ids.Portal, id ids.Session) (*account.Account, error) {
	return account.Scan(r.db.From(ctx).Raw(`SELECT `+account.Columns+` FROM accounts a JOIN sessions o
		ON o.portal_id = a.portal_id AND o.account_id = a.id AND o.security_stamp = a.security_stamp
		WHERE a.portal_id = ? AND o.id = ? AND o.ended_at IS NULL AND a.disabled_at IS NULL`,
		portalID, portalID, id).Row())
}

// endByToken ends the session of a refresh token of any generation, if the token is under its key, and returns the
// account. Errors: database.ErrNotFound.
func (r *Repository) endByToken(ctx context.Context, portalID ids.Portal, p presentedToken) (ids.Account, error) {
	return ended(r.alive(ctx, portalID, p.session).
		Where(underItsKey, map[string]any{"generation": p.generation, "key": p.key}), p.now)
}
