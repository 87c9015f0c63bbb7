package invitation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
)

// Repository keeps invitations.
type Repository struct{ db *database.DB }

// NewRepository keeps invitations in db.
func NewRepository(db *database.DB) *Repository { return &Repository{db} }

// row names the table to GORM. Every read and write names its columns.
type row struct{}

func (row) TableName() string { return "invitations" }

// columns are those that scan reads, of the tables in from: the invitation, its inviter, and the account that has the
// address now. An unverified registration has no address. Both joins read accounts, of
// pkg/account. The first parameter is the portal's id.
const (
	columns = `i.id, i.number, i.counter, i.key_id, i.email, CAST(i.roles AS TEXT), CAST(i.entitlements AS TEXT),
	CAST(i.metadata AS TEXT), i.locale, i.inviter_id, i.inviter, i.term, CAST(i.open AS INTEGER), i.issued_at,
	i.expires_at, i.accepted_at, i.account_id, i.deleted_at, i.sent_at, i.delivery_id, i.created_at,
	b.email, b.given_name, b.family_name, h.id IS NOT NULL,
	EXISTS (SELECT 1 FROM invitations n WHERE n.portal_id = ? AND n.subject = i.subject
		AND (n.issued_at, n.number) > (i.issued_at, i.number))`
	from = ` FROM invitations i
	LEFT JOIN accounts b ON b.portal_id = i.portal_id AND b.id = i.inviter_id
	LEFT JOIN accounts h ON h.portal_id = i.portal_id AND h.email_canonical = i.email_canonical AND h.claimed_at IS NULL`
)

func scan(row database.Row) (*Invitation, error) {
	var (
		i                             Invitation
		address                       string
		roles, entitlements, metadata string
		key                           int64
		term, issued, expires         int64
		created                       int64
		open                          int
		accepted, deleted, sent       *int64
	)
	err := row.Scan(&i.ID, &i.number, &i.counter, &key, &address, &roles, &entitlements, &metadata, &i.Locale,
		&i.Inviter.AccountID, &i.Inviter.Name, &term, &open, &issued, &expires, &accepted, &i.accountID, &deleted, &sent,
		&i.DeliveryID, &created, &i.inviter.email, &i.inviter.givenName, &i.inviter.familyName, &i.taken, &i.superseded)
	if err != nil {
		return nil, database.Err(err)
	}
	if address != "" { // "" when it was deleted
		if i.Email, err = email.Parse(address); err != nil {
			return nil, fmt.Errorf("stored address of invitation %s: %w", i.ID, err)
		}
	}
	err = errors.Join(json.Unmarshal([]byte(roles), &i.Roles), json.Unmarshal([]byte(entitlements), &i.Entitlements))
	if err != nil {
		return nil, fmt.Errorf("stored roles of invitation %s: %w", i.ID, err)
	}
	i.Metadata, i.key, i.open = json.RawMessage(metadata), keyring.ID(key), open != 0
	i.Term = time.Duration(term) * time.Millisecond
	i.CreatedAt, i.IssuedAt = *database.Time(&created), *database.Time(&issued)
	i.ExpiresAt = *database.Time(&expires)
	i.AcceptedAt, i.SentAt, i.deletedAt = database.Time(accepted), database.Time(sent), database.Time(deleted)
	return &i, nil
}

// byNumber finds an invitation, even a deleted one. Errors: database.ErrNotFound.
func (r *Repository) byNumber(ctx context.Context, portalID ids.Portal, number int64) (*Invitation, error) {
	return scan(r.db.From(ctx).Raw(`SELECT `+columns+from+` WHERE i.portal_id = ? AND i.number = ?`,
		portalID, portalID, number).Row())
}

// byID finds an invitation that was not deleted. Errors: database.ErrNotFound.
func (r *Repository) byID(ctx context.Context, portalID ids.Portal, id ids.Invitation) (*Invitation, error) {
	return scan(r.db.From(ctx).Raw(`SELECT `+columns+from+` WHERE i.portal_id = ? AND i.id = ? AND i.deleted_at IS NULL`,
		portalID, portalID, id).Row())
}

// Filter says which invitations are listed.
type Filter struct {
	Status Status         // "" for all
	Query  string         // a part of the address; "" for all
	Before ids.Invitation // the last one of the page before; zero for the first page
	Limit  int
}

// page lists invitations, newest first.
func (r *Repository) page(ctx context.Context, portalID ids.Portal, f Filter, now time.Time) ([]*Invitation, error) {
	query, args := `SELECT `+columns+from+` WHERE i.portal_id = ? AND i.deleted_at IS NULL`, []any{portalID, portalID}
	where := func(condition string, more ...any) {
		query, args = query+" AND "+condition, append(args, more...)
	}
	switch f.Status {
	case Pending:
		where("i.accepted_at IS NULL AND i.expires_at > ? AND h.id IS NULL", now.UnixMilli())
	case Expired:
		where("i.accepted_at IS NULL AND (i.expires_at <= ? OR h.id IS NOT NULL)", now.UnixMilli())
	case Accepted:
		where("i.accepted_at IS NOT NULL")
	}
	if f.Query != "" {
		where(`i.search LIKE ? ESCAPE '!'`, account.SearchPattern(f.Query))
	}
	if !f.Before.IsZero() {
		where("i.id < ?", f.Before)
	}
	return database.Collect(r.db.From(ctx).Raw(query+` ORDER BY i.id DESC LIMIT ?`, append(args, f.Limit)...), scan)
}

// holder reads the holder of an address: an account, an invitation, or both if the account is an unverified
// registration. An account that is verified comes before an invitation. It is raw SQL because it is on the hot path
// of every lookup: one statement answers exactly one row, whether or not the account and the invitation exist. It
// joins accounts, of pkg/account.
func (r *Repository) holder(ctx context.Context, portalID ids.Portal, address email.Address) (Holder, error) {
	var (
		id      ids.Invitation
		counter *int64
		key     *int64
		locale  *string
		expires *int64
	)
	a, err := account.Scan(r.db.From(ctx).Raw(`SELECT `+account.Columns+`,
			i.id, i.counter, i.key_id, i.locale, i.expires_at
		FROM (SELECT 1 AS one) o
		LEFT JOIN accounts a ON a.portal_id = ? AND a.email_canonical = ?
		LEFT JOIN invitations i ON i.portal_id = ? AND i.email_canonical = ? AND i.open`,
		portalID, portalID, address.Canonical(), portalID, address.Canonical()).Row(),
		&id, &counter, &key, &locale, &expires)
	if errors.Is(err, database.ErrNotFound) {
		a, err = nil, nil
	}
	if err != nil || id.IsZero() || a != nil && a.UnverifiedSince == nil {
		return Holder{Account: a}, err
	}
	return Holder{a, &Waiting{id, *counter, *locale, *database.Time(expires), keyring.ID(*key)}}, nil
}

// nextNumbers takes n numbers that no invitation of the portal ever had, and gives the first. Concurrent callers of
// the portal block until ctx's transaction ends, even those who take none. It is raw SQL because its upsert decides
// that race.
func (r *Repository) nextNumbers(ctx context.Context, portalID ids.Portal, n int) (first int64, err error) {
	var last int64
	err = r.db.From(ctx).Raw(`INSERT INTO invitation_numbers (portal_id, last) VALUES (?, ?)
		ON CONFLICT (portal_id) DO UPDATE SET last = invitation_numbers.last + excluded.last
		RETURNING last`, portalID, n).Row().Scan(&last)
	if err == nil && last > maxNumber {
		err = errors.New("invitation: the portal has had 33,554,431 invitations, and no number is left")
	}
	return last - int64(n) + 1, database.Err(err)
}

// retire makes expired invitations release their addresses.
func (r *Repository) retire(ctx context.Context, portalID ids.Portal, canonical []string, now time.Time) error {
	return database.Err(r.db.From(ctx).Model(&row{}).
		Where("portal_id = ? AND email_canonical IN ? AND open AND expires_at <= ?", portalID, canonical, now.UnixMilli()).
		Update("open", false).Error)
}

// owned gives the addresses that have an account. An unverified registration is no account. The table is
// pkg/account's.
func (r *Repository) owned(ctx context.Context, portalID ids.Portal, canonical []string) (map[string]bool, error) {
	var addresses []string
	err := r.db.From(ctx).Table("accounts").
		Where("portal_id = ? AND email_canonical IN ? AND claimed_at IS NULL", portalID, canonical).
		Pluck("email_canonical", &addresses).Error
	return set(addresses, database.Err(err))
}

// held gives the addresses that an open invitation holds.
func (r *Repository) held(ctx context.Context, portalID ids.Portal, canonical []string) (map[string]bool, error) {
	var addresses []string
	err := r.db.From(ctx).Model(&row{}).
		Where("portal_id = ? AND email_canonical IN ? AND open", portalID, canonical).
		Pluck("email_canonical", &addresses).Error
	return set(addresses, database.Err(err))
}

// insert adds those invitations whose addresses no other invitation holds, and gives their ids. It is raw SQL because
// one statement inserts a batch of 200 and decides which of them lost a race.
func (r *Repository) insert(
	ctx context.Context, portalID ids.Portal, invitations []*Invitation, digestOf func(*Invitation) digest.Digest,
) (map[ids.Invitation]bool, error) {
	var values database.Values
	for _, i := range invitations {
		roles, err := json.Marshal(i.Roles)
		if err != nil {
			return nil, err
		}
		entitlements, err := json.Marshal(i.Entitlements)
		if err != nil {
			return nil, err
		}
		values.Row(portalID, i.ID, i.number, i.counter, int64(i.key), digestOf(i), i.Email.Typed(), i.Email.Canonical(),
			string(roles), string(entitlements), string(i.Metadata), i.Locale, i.Inviter.AccountID, i.Inviter.Name,
			i.Term.Milliseconds(), true, i.IssuedAt.UnixMilli(), i.ExpiresAt.UnixMilli(), database.Millis(i.SentAt),
			i.DeliveryID, account.SearchText(i.Email), i.CreatedAt.UnixMilli())
	}
	return set(database.Collect(r.db.From(ctx).Raw(`INSERT INTO invitations (portal_id, id, number, counter, key_id,
		subject, email, email_canonical, roles, entitlements, metadata, locale, inviter_id, inviter, term, open, issued_at,
		expires_at, sent_at, delivery_id, search, created_at) VALUES `+values.SQL()+`
		ON CONFLICT (portal_id, email_canonical) WHERE open DO NOTHING RETURNING id`, values.Args...),
		database.One[ids.Invitation]))
}

// set makes a set of a list.
func set[T comparable](list []T, err error) (map[T]bool, error) {
	in := make(map[T]bool, len(list))
	for _, one := range list {
		in[one] = true
	}
	return in, err
}

// renew gives an invitation a new code and term, if it is still as it was read.
//
// Errors: database.ErrNotFound when it is not; *database.ConflictError on email_canonical when another invitation
// holds the address.
func (r *Repository) renew(ctx context.Context, portalID ids.Portal, was, to *Invitation) error {
	return database.Changed(r.db.From(ctx).Model(&row{}).
		Where("portal_id = ? AND id = ? AND accepted_at IS NULL AND deleted_at IS NULL", portalID, to.ID).
		Where("number = ? AND counter = ?", was.number, was.counter).
		Where("open = ? AND expires_at = ?", was.open, was.ExpiresAt.UnixMilli()).
		Updates(map[string]any{
			"number": to.number, "counter": to.counter, "key_id": int64(to.key), "open": true,
			"issued_at": to.IssuedAt.UnixMilli(), "expires_at": to.ExpiresAt.UnixMilli(),
			"sent_at": database.Millis(to.SentAt), "delivery_id": to.DeliveryID,
		}))
}

// sentAgain notes that the newest code was mailed once more, unless a newer code was made.
func (r *Repository) sentAgain(
	ctx context.Context, portalID ids.Portal, of Waiting, deliveryID ids.Delivery, now time.Time,
) error {
	return database.Err(r.db.From(ctx).Model(&row{}).
		Where("portal_id = ? AND id = ? AND counter = ? AND open", portalID, of.ID, of.Counter).
		Updates(map[string]any{"sent_at": now.UnixMilli(), "delivery_id": deliveryID}).Error)
}

// accept consumes an invitation for the account that it makes. It is raw SQL because the one UPDATE decides the race:
// only one caller gets a row. It also locks the other invitations of the address in number order, because the account
// ends them all. The condition names the number and not the id: with the id, Postgres would lock that one row alone.
// Errors: database.ErrNotFound when the invitation is not good any more.
func (r *Repository) accept(
	ctx context.Context, portalID ids.Portal, i *Invitation, accountID ids.Account, now time.Time,
) error {
	return database.Changed(r.db.From(ctx).Exec(`UPDATE invitations SET accepted_at = ?, account_id = ?, open = FALSE
		WHERE portal_id = ? AND number = ? AND counter = ? AND key_id = ? AND open AND expires_at > ?
			AND `+account.InOrder(r.db.Dialect(), "o.email_canonical = ?"),
		now.UnixMilli(), accountID, portalID, i.number, i.counter, int64(i.key), now.UnixMilli(),
		portalID, i.Email.Canonical()))
}

// erased are the assignments that delete an invitation. Its number stays, so that old codes can be explained. Nothing
// of the person stays.
const erased = `open = FALSE, email = '', email_canonical = '', search = '', roles = '[]', entitlements = '[]',
	metadata = '{}', inviter_id = NULL, inviter = '', account_id = NULL, deleted_at = ?`

// delete deletes an invitation that was not accepted, and gives the digest of its address. It is raw SQL because the
// one UPDATE decides whether it or an acceptance came first. Errors: database.ErrNotFound.
func (r *Repository) delete(
	ctx context.Context, portalID ids.Portal, id ids.Invitation, now time.Time,
) (addressDigest digest.Digest, err error) {
	err = r.db.From(ctx).Raw(`UPDATE invitations SET `+erased+`
		WHERE portal_id = ? AND id = ? AND accepted_at IS NULL AND deleted_at IS NULL RETURNING subject`,
		now.UnixMilli(), portalID, id).Row().Scan(&addressDigest)
	return addressDigest, database.Err(err)
}

// deleteOf deletes the invitation that an account was made from and, unless the account is unverified, those for its
// address. It gives their ids. It is raw SQL because it must lock them in number order.
func (r *Repository) deleteOf(
	ctx context.Context, portalID ids.Portal, a *account.Account, now time.Time,
) ([]ids.Invitation, error) {
	condition := account.InOrder(r.db.Dialect(), "(o.account_id = ? OR (o.email_canonical = ? AND ?))")
	return database.Collect(r.db.From(ctx).Raw(`UPDATE invitations SET `+erased+`
		WHERE portal_id = ? AND `+condition+` RETURNING id`,
		now.UnixMilli(), portalID, portalID, a.ID, a.Email.Canonical(), a.UnverifiedSince == nil),
		database.One[ids.Invitation])
}

// Sweep deletes at most batch invitations that ended before a time. It returns how many it deleted.
func (r *Repository) Sweep(ctx context.Context, before time.Time, batch int) (int, error) {
	portals := r.db.From(database.AcrossPortals(ctx, "the portals of invitations to sweep")).Raw(
		`SELECT DISTINCT portal_id FROM invitations WHERE expires_at < ?`, before.UnixMilli())
	return database.SweepPortals(portals, batch, func(portalID ids.Portal, limit int) *gorm.DB {
		// MATERIALIZED keeps a join from running the SELECT again, which would lock and delete more rows than the
		// limit.
		return r.db.From(ctx).Exec(`WITH old AS MATERIALIZED (SELECT id FROM invitations
				WHERE portal_id = @portal AND expires_at < @before
				LIMIT @limit`+r.db.Dialect().Lock("FOR UPDATE SKIP LOCKED")+`)
			DELETE FROM invitations WHERE portal_id = @portal AND id IN (SELECT id FROM old) AND expires_at < @before`,
			map[string]any{"portal": portalID, "before": before.UnixMilli(), "limit": limit})
	})
}
