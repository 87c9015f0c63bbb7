package onetime

import (
	"context"
	"errors"
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

// record is the table, for statements through GORM.
type record struct{}

func (record) TableName() string { return "onetime_secrets" }

// issue raises the generation. Errors: database.ErrNotFound when a cool-down or cap holds.
func (r *Repository) issue(ctx context.Context, portalID ids.Portal, w IssueRequest, key keyring.ID,
	now time.Time) (*row, error) {
	at := now.UnixMilli()
	args := map[string]any{
		"portal": portalID, "purpose": w.Purpose, "subject": w.EmailDigest, "now": at, "key": key, "variant": w.Variant,
		"expires": now.Add(w.TTL).UnixMilli(), "account": nil, "stamp": nil, "delivery": w.DeliveryID,
		"issued": issue(at, key), "asked": slidinglog.Of(at), "sent": slidinglog.Log(""), "long": slidinglog.Log(""),
		"login": slidinglog.Of(w.lastLogin()),
	}
	if w.Account != nil {
		args["account"], args["stamp"] = w.Account.ID, w.Account.SecurityStamp
	}
	if w.Purpose.alwaysLong() {
		args["long"] = slidinglog.Of(at)
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

// read reads the row of an address, and its account as it is now. An address without a row reads as an empty one. It is
// raw SQL because one statement reads three tables on a hot path.
func (r *Repository) read(ctx context.Context, portalID ids.Portal, purpose Purpose, emailDigest digest.Digest) (*row,
	error) {
	of := row{purpose: purpose}
	err := r.db.From(ctx).Raw(`SELECT o.generation, o.key_id, o.variant, o.expires_at, o.redeemed, o.tries,
			o.wrong_in_a_row, o.account_id, o.security_stamp, o.delivery_id, o.issued, o.asked, o.sent, o.wrong,
			o.long_codes, o.long_next,
			a.id IS NOT NULL, COALESCE(a.email, ''), COALESCE(a.security_stamp = o.security_stamp, FALSE),
			a.disabled_at IS NOT NULL,
			COALESCE((SELECT MAX(s.created_at) FROM sessions s WHERE s.portal_id = ? AND s.account_id = a.id), 0)
		FROM onetime_secrets o LEFT JOIN accounts a ON a.portal_id = o.portal_id AND a.id = o.account_id
		WHERE o.portal_id = ? AND o.purpose = ? AND o.subject = ?`, portalID, portalID, purpose, emailDigest).Row().Scan(
		&of.generation, &of.key, &of.variant, &of.expiresAt, &of.redeemed, &of.tries, &of.wrongInARow, &of.account,
		&of.stamp, &of.delivery, &of.issued, &of.asked, &of.sent, &of.wrong, &of.longCodes, &of.longNext, &of.exists,
		&of.email, &of.unchanged, &of.disabled, &of.lastLogin)
	if err = database.Err(err); errors.Is(err, database.ErrNotFound) {
		return &row{purpose: purpose}, nil
	}
	return &of, err
}

// miss counts a wrong code and returns the counts after it.
// Errors: database.ErrNotFound when it was not counted because the row has changed.
func (r *Repository) miss(ctx context.Context, portalID ids.Portal, g guess) (*row, error) {
	args := map[string]any{
		"portal": portalID, "purpose": g.was.purpose, "subject": g.emailDigest, "generation": g.was.generation,
		"now": g.at.UnixMilli(),
	}
	statement := missLong
	if !g.was.long() {
		statement, args["entry"], args["login"] = missShort, slidinglog.At(g.at), slidinglog.Of(g.was.lastLogin)
		slidinglog.Bind(args, "wrong", wrongQuotas, g.at)
	}
	var after row
	err := r.db.From(ctx).Raw(statement, args).Row().Scan(&after.tries, &after.wrongInARow, &after.wrong)
	return &after, database.Err(err)
}

// redeem consumes a good secret, by a typed code only while codes are accepted. Errors: database.ErrNotFound for a bad
// one.
func (r *Repository) redeem(ctx context.Context, p proof, now time.Time) (*row, error) {
	args := map[string]any{
		"portal": p.portalID, "purpose": p.purpose, "subject": p.emailDigest, "generation": p.generation, "key": p.key,
		"entry": slidinglog.Of(p.generation), "now": now.UnixMilli(),
	}
	set, condition := forgetWrong, "TRUE"
	if p.private {
		set = "" // a stranger must not see that the address has an owner
	}
	switch {
	case p.typed && p.long:
		condition = acceptsLong
	case p.typed:
		condition, args["login"] = acceptsShort, slidinglog.Of(p.lastLogin)
	}
	of := row{purpose: p.purpose}
	err := r.db.From(ctx).Raw(redeeming(set, condition), args).Row().Scan(&of.account, &of.stamp, &of.variant,
		&of.expiresAt)
	return &of, database.Err(err)
}

// shortAgain takes an address back to the short code, for every purpose that has one.
func (r *Repository) shortAgain(ctx context.Context, portalID ids.Portal, emailDigest digest.Digest) error {
	done := r.db.From(ctx).Model(record{}).
		Where("portal_id = ? AND purpose IN ? AND subject = ? AND wrong <> ''", portalID, withShortCodes, emailDigest).
		Updates(map[string]any{"wrong": "", "wrong_in_a_row": 0, "long_next": false})
	return database.Err(done.Error) // most people have typed no wrong code
}

// inTx reports whether ctx carries a transaction, which could take a count back.
func (r *Repository) inTx(ctx context.Context) bool {
	_, inTx := database.SQLTx(r.db.From(ctx))
	return inTx
}

// sweep deletes some rows that expired and last changed before a time. A row that changes meanwhile stays. Addresses
// whose next code is long stay until the earlier time long.
func (r *Repository) sweep(ctx context.Context, before, long time.Time, batch int) (int, error) {
	const over = "expires_at < ? AND updated_at < ? AND (NOT long_next OR updated_at < ?)"
	ctx = database.AcrossPortals(ctx, "secrets that are long over are swept")
	times := []any{before.UnixMilli(), before.UnixMilli(), long.UnixMilli()}
	some := r.db.From(ctx).Model(record{}).Select("portal_id", "purpose", "subject").Where(over, times...).Limit(batch)
	swept := r.db.From(ctx).Where(over, times...).Where("(portal_id, purpose, subject) IN (?)", some).Delete(record{})
	return int(swept.RowsAffected), database.Err(swept.Error)
}
