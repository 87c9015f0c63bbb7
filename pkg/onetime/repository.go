package onetime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/slidinglog"
)

// Repository keeps the ledger.
type Repository struct{ db *database.DB }

// NewRepository returns the ledger in db.
func NewRepository(db *database.DB) *Repository { return &Repository{db} }

// history is the number of generations and times that the logs keep, as many as the longest quota needs. The log of wrong
// codes is longer.
const history = 20

// issueUnless is raw SQL because one statement has to decide the race: it gives the row its next generation, or changes
// nothing and returns no row where held is true. Of any number of calls at once exactly as many pass as are allowed.
func issueUnless(held string) string {
	return fmt.Sprintf(`INSERT INTO onetime_secrets (portal_id, purpose, subject, generation, key_id, variant, expires_at,
		redeemed, tries, wrong_in_a_row, account_id, security_stamp, delivery_id, issued, asked, sent, wrong, updated_at)
	VALUES (@portal, @purpose, @subject, @now, @key, @variant, @expires, '', 0, 0, @account, @stamp, @delivery, @issued,
		@asked, @sent, '', @now)
	ON CONFLICT (portal_id, purpose, subject) DO UPDATE SET
		generation = %[1]s, key_id = excluded.key_id, variant = excluded.variant, expires_at = excluded.expires_at,
		tries = 0, account_id = excluded.account_id, security_stamp = excluded.security_stamp,
		delivery_id = excluded.delivery_id,
		issued = substr(CAST(%[1]s AS TEXT) || substr(excluded.issued, %[2]d) || onetime_secrets.issued, 1, %[3]d),
		asked = %[4]s,
		sent = %[5]s,
		updated_at = excluded.updated_at
	WHERE NOT %[6]s
	RETURNING generation, asked, sent`,
		`CASE WHEN onetime_secrets.generation < excluded.generation THEN excluded.generation
			ELSE onetime_secrets.generation + 1 END`,
		slidinglog.Width+1, history*issueWidth,
		slidinglog.SQLAdd("excluded.asked", "onetime_secrets.asked", slidinglog.Octets(history)),
		slidinglog.SQLAdd("excluded.sent", "onetime_secrets.sent", slidinglog.Octets(history)), held)
}

var (
	issueAsked = issueUnless(slidinglog.SQLFull("onetime_secrets.asked", "asked", askQuotas))
	issueSent  = issueUnless(slidinglog.SQLFull("onetime_secrets.sent", "sent", sendQuotas))
)

// issue raises the generation. Errors: database.ErrNotFound when a cool-down or cap holds.
func (r *Repository) issue(ctx context.Context, portalID ids.Portal, w IssueRequest, key keyring.ID, now time.Time) (*row, error) {
	at := now.UnixMilli()
	args := map[string]any{
		"portal": portalID, "purpose": w.Purpose, "subject": w.EmailDigest, "now": at, "key": key, "variant": w.Variant,
		"expires": now.Add(w.TTL).UnixMilli(), "account": nil, "stamp": nil, "delivery": w.DeliveryID,
		"issued": issue(at, key), "asked": slidinglog.Of(at), "sent": slidinglog.Log(""),
	}
	if w.Account != nil {
		args["account"], args["stamp"] = w.Account.ID, w.Account.SecurityStamp
	}
	statement := issueAsked
	if w.ByAdministrator {
		statement, args["asked"], args["sent"] = issueSent, slidinglog.Log(""), slidinglog.Of(at)
	}
	slidinglog.Bind(args, "asked", askQuotas, now)
	slidinglog.Bind(args, "sent", sendQuotas, now)
	var after row
	err := r.db.From(ctx).Raw(statement, args).Row().Scan(&after.generation, &after.asked, &after.sent)
	return &after, database.Err(err)
}

// read reads the row of an address, and its account as it is now. An address without a row reads as the zero row. It is
// raw SQL because one statement reads three tables on a hot path.
func (r *Repository) read(ctx context.Context, portalID ids.Portal, purpose Purpose, emailDigest digest.Digest) (*row,
	error) {
	var of row
	err := r.db.From(ctx).Raw(`SELECT o.generation, o.key_id, o.variant, o.expires_at, o.redeemed, o.tries,
			o.wrong_in_a_row, o.account_id, o.security_stamp, o.delivery_id, o.issued, o.asked, o.sent, o.wrong,
			a.id IS NOT NULL, COALESCE(a.email, ''), COALESCE(a.security_stamp = o.security_stamp, FALSE),
			a.disabled_at IS NOT NULL,
			COALESCE((SELECT MAX(s.created_at) FROM sessions s WHERE s.portal_id = ? AND s.account_id = a.id), 0)
		FROM onetime_secrets o LEFT JOIN accounts a ON a.portal_id = o.portal_id AND a.id = o.account_id
		WHERE o.portal_id = ? AND o.purpose = ? AND o.subject = ?`, portalID, portalID, purpose, emailDigest).Row().Scan(
		&of.generation, &of.key, &of.variant, &of.expiresAt, &of.redeemed, &of.tries, &of.wrongInARow, &of.account,
		&of.stamp, &of.delivery, &of.issued, &of.asked, &of.sent, &of.wrong, &of.exists, &of.email, &of.unchanged,
		&of.disabled, &of.lastLogin)
	if err = database.Err(err); errors.Is(err, database.ErrNotFound) {
		return &row{}, nil
	}
	return &of, err
}

// accepting is the SQL condition that typed codes are accepted: the opposite of row.refusal. A login after the newest
// wrong code, at @login, ends the run of wrong codes.
var accepting = fmt.Sprintf(`(onetime_secrets.tries < %d AND NOT %s AND (onetime_secrets.wrong_in_a_row < %d OR %s))`,
	Tries, slidinglog.SQLFull("onetime_secrets.wrong", "wrong", wrongQuotas), offAfter, loggedIn)

var loggedIn = slidinglog.SQLTime("onetime_secrets.wrong", slidinglog.Start(1)) + ` < @login`

func bindAccepting(args map[string]any, lastLogin int64, now time.Time) {
	args["login"] = slidinglog.Of(lastLogin)
	slidinglog.Bind(args, "wrong", wrongQuotas, now)
}

// miss is raw SQL because one statement has to decide the race: it counts nothing and returns no row where codes are no
// longer accepted, or a newer secret was issued meanwhile. An address without a row gets one of generation 0.
var miss = fmt.Sprintf(`INSERT INTO onetime_secrets (portal_id, purpose, subject, generation, key_id, variant, expires_at,
		redeemed, tries, wrong_in_a_row, issued, asked, sent, wrong, updated_at)
	VALUES (@portal, @purpose, @subject, 0, 0, '', 0, '', 1, 1, '', '', '', @entry, @now)
	ON CONFLICT (portal_id, purpose, subject) DO UPDATE SET
		tries = onetime_secrets.tries + 1,
		wrong_in_a_row = CASE WHEN %s THEN 1 ELSE onetime_secrets.wrong_in_a_row + 1 END,
		wrong = %s,
		updated_at = excluded.updated_at
	WHERE onetime_secrets.generation = @generation AND %s
	RETURNING tries, wrong_in_a_row, wrong`, loggedIn, slidinglog.SQLAdd("excluded.wrong", "onetime_secrets.wrong",
	slidinglog.Octets(wrongQuotas[len(wrongQuotas)-1].N)), accepting)

// miss counts a wrong code and returns the counts after it.
// Errors: database.ErrNotFound when it was not counted because the row has changed.
func (r *Repository) miss(ctx context.Context, portalID ids.Portal, g guess) (*row, error) {
	args := map[string]any{
		"portal": portalID, "purpose": g.purpose, "subject": g.emailDigest, "generation": g.was.generation,
		"entry": slidinglog.At(g.at), "now": g.at.UnixMilli(),
	}
	bindAccepting(args, g.was.lastLogin, g.at)
	var after row
	err := r.db.From(ctx).Raw(miss, args).Row().Scan(&after.tries, &after.wrongInARow, &after.wrong)
	return &after, database.Err(err)
}

// redeem is raw SQL because one statement has to decide the race: of any number of calls at once one gets the row.
var redeem = fmt.Sprintf(`UPDATE onetime_secrets SET
		redeemed = %s, wrong_in_a_row = 0, updated_at = @now
	WHERE portal_id = @portal AND purpose = @purpose AND subject = @subject AND generation = @generation
		AND key_id = @key AND %s <> @entry AND expires_at > @now
		AND EXISTS (SELECT 1 FROM accounts a WHERE a.portal_id = @portal
			AND a.id = onetime_secrets.account_id AND a.security_stamp = onetime_secrets.security_stamp
			AND a.disabled_at IS NULL)`,
	slidinglog.SQLAdd("@entry", "redeemed", slidinglog.Octets(history)),
	slidinglog.SQLTime("redeemed", slidinglog.Start(1)))

const redeemed = ` RETURNING account_id, security_stamp, variant, expires_at`

// redeem consumes a good secret, by a typed code only while codes are accepted. Errors: database.ErrNotFound for a bad one.
func (r *Repository) redeem(ctx context.Context, p proof, now time.Time) (*row, error) {
	args := map[string]any{
		"portal": p.portalID, "purpose": p.purpose, "subject": p.emailDigest, "generation": p.generation, "key": p.key,
		"entry": slidinglog.Of(p.generation), "now": now.UnixMilli(),
	}
	statement := redeem
	if p.typed {
		statement += " AND " + accepting
		bindAccepting(args, p.lastLogin, now)
	}
	var of row
	err := r.db.From(ctx).Raw(statement+redeemed, args).Row().Scan(&of.account, &of.stamp, &of.variant, &of.expiresAt)
	return &of, database.Err(err)
}

// inTx reports whether ctx carries a transaction, which could take a count back.
func (r *Repository) inTx(ctx context.Context) bool {
	_, inTx := database.SQLTx(r.db.From(ctx))
	return inTx
}

// sweep deletes some rows that expired and last changed before a time. A row that changes meanwhile stays. Codes that are
// off stay off for good.
func (r *Repository) sweep(ctx context.Context, before time.Time, batch int) (int, error) {
	const over = `expires_at < @before AND updated_at < @before AND wrong_in_a_row < @off`
	ctx = database.AcrossPortals(ctx, "secrets that are long over are swept")
	swept := r.db.From(ctx).Exec(`DELETE FROM onetime_secrets WHERE `+over+` AND (portal_id, purpose, subject) IN (
		SELECT portal_id, purpose, subject FROM onetime_secrets WHERE `+over+` LIMIT @batch)`,
		map[string]any{"before": before.UnixMilli(), "off": offAfter, "batch": batch})
	return int(swept.RowsAffected), database.Err(swept.Error)
}
