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

// columns are what scan reads, of the tables in from: the invitation, its inviter, and who has the address by now. A
// claim has none. The first parameter is the portal's id.
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
	if address != "" { // else it was deleted
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

// byNumber finds an invitation, deleted or not. Errors: database.ErrNotFound.
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
	Status Status // "" for all
	Query  string // what is found in the address
	Before ids.Invitation
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

// holder reads in one statement who has an address: an account, an invitation that waits, or both where the account is
// an unverified registration. Any other account comes before an invitation. It joins accounts, of pkg/account.
func (r *Repository) holder(ctx context.Context, portalID ids.Portal, address email.Address) (Holder, error) {
	var (
		id      ids.Invitation
		counter *int64
		key     *int64
		locale  *string
		expires *int64
	)
	a, err := account.Scan(r.db.From(ctx).Raw(`SELECT `+account.Columns+`, i.id, i.counter, i.key_id, i.locale, i.expires_at
		FROM (SELECT 1 AS one) o
		LEFT JOIN accounts a ON a.portal_id = ? AND a.email_canonical = ?
		LEFT JOIN invitations i ON i.portal_id = ? AND i.email_canonical = ? AND i.open`,
		portalID, portalID, address.Canonical(), portalID, address.Canonical()).Row(), &id, &counter, &key, &locale, &expires)
	if errors.Is(err, database.ErrNotFound) {
		a, err = nil, nil
	}
	if err != nil || id.IsZero() || a != nil && a.UnverifiedSince == nil {
		return Holder{Account: a}, err
	}
	return Holder{a, &Waiting{id, *counter, *locale, *database.Time(expires), keyring.ID(*key)}}, nil
}

// nextNumbers takes n numbers that no invitation of the portal ever had, and gives the first. Whoever comes at the same
// time, be it for none, waits for the transaction of ctx.
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

// retire has invitations that expired let go of their addresses.
func (r *Repository) retire(ctx context.Context, portalID ids.Portal, canonical []string, now time.Time) error {
	return database.Err(r.db.From(ctx).Exec(`UPDATE invitations SET open = FALSE
		WHERE portal_id = ? AND email_canonical IN ? AND open AND expires_at <= ?`,
		portalID, canonical, now.UnixMilli()).Error)
}

// owned tells which addresses have an account that is no claim.
func (r *Repository) owned(ctx context.Context, portalID ids.Portal, canonical []string) (map[string]bool, error) {
	return set(database.Collect(r.db.From(ctx).Raw(`SELECT email_canonical FROM accounts
		WHERE portal_id = ? AND email_canonical IN ? AND claimed_at IS NULL`, portalID, canonical), database.One[string]))
}

// held tells which addresses an invitation holds.
func (r *Repository) held(ctx context.Context, portalID ids.Portal, canonical []string) (map[string]bool, error) {
	return set(database.Collect(r.db.From(ctx).Raw(`SELECT email_canonical FROM invitations
		WHERE portal_id = ? AND email_canonical IN ? AND open`, portalID, canonical), database.One[string]))
}

// insert adds invitations whose addresses no other one holds, and tells which went in.
func (r *Repository) insert(ctx context.Context, portalID ids.Portal, invitations []*Invitation, subject func(*Invitation) digest.Digest) (map[ids.Invitation]bool, error) {
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
		values.Row(portalID, i.ID, i.number, i.counter, int64(i.key), subject(i), i.Email.Typed(), i.Email.Canonical(),
			string(roles), string(entitlements), string(i.Metadata), i.Locale, i.Inviter.AccountID, i.Inviter.Name,
			i.Term.Milliseconds(), true, i.IssuedAt.UnixMilli(), i.ExpiresAt.UnixMilli(), database.Millis(i.SentAt),
			i.DeliveryID, account.SearchText(i.Email), i.CreatedAt.UnixMilli())
	}
	return set(database.Collect(r.db.From(ctx).Raw(`INSERT INTO invitations (portal_id, id, number, counter, key_id,
		subject, email, email_canonical, roles, entitlements, metadata, locale, inviter_id, inviter, term, open, issued_at,
		expires_at, sent_at, delivery_id, search, created_at) VALUES `+values.SQL()+`
		ON CONFLICT (portal_id, email_canonical) WHERE open DO NOTHING RETURNING id`, values.Args...), database.One[ids.Invitation]))
}

// set is a list to look things up in.
func set[T comparable](list []T, err error) (map[T]bool, error) {
	in := make(map[T]bool, len(list))
	for _, one := range list {
		in[one] = true
	}
	return in, err
}

// renew gives an invitation a new code and term, if it is still as it was read: an account may have ended it.
//
// Errors: database.ErrNotFound when it is not; *database.ConflictError on email_canonical when another one holds the
// address by now.
func (r *Repository) renew(ctx context.Context, portalID ids.Portal, was, to *Invitation) error {
	return database.Changed(r.db.From(ctx).Exec(`UPDATE invitations SET number = ?, counter = ?, key_id = ?, open = TRUE,
			issued_at = ?, expires_at = ?, sent_at = ?, delivery_id = ?
		WHERE portal_id = ? AND id = ? AND number = ? AND counter = ? AND open = ? AND expires_at = ?
			AND accepted_at IS NULL AND deleted_at IS NULL`,
		to.number, to.counter, int64(to.key), to.IssuedAt.UnixMilli(), to.ExpiresAt.UnixMilli(),
		database.Millis(to.SentAt), to.DeliveryID, portalID, to.ID, was.number, was.counter, was.open,
		was.ExpiresAt.UnixMilli()))
}

// sentAgain notes that the newest code was mailed once more, unless a newer one was made. It is one statement for an
// invitation that waits and for the zero one, which there is none of, alike.
func (r *Repository) sentAgain(ctx context.Context, portalID ids.Portal, of Waiting, deliveryID ids.Delivery, now time.Time) error {
	return database.Err(r.db.From(ctx).Exec(`UPDATE invitations SET sent_at = ?, delivery_id = ?
		WHERE portal_id = ? AND id = ? AND counter = ? AND open`,
		now.UnixMilli(), deliveryID, portalID, of.ID, of.Counter).Error)
}

// accept uses an invitation up, exactly once, whatever races, for the account that it makes. The others of the address
// are locked with it, for the account comes in their place: its id beside the number would have Postgres look for that
// one alone. Errors: database.ErrNotFound when it is not good any more.
func (r *Repository) accept(ctx context.Context, portalID ids.Portal, i *Invitation, accountID ids.Account, now time.Time) error {
	return database.Changed(r.db.From(ctx).Exec(`UPDATE invitations SET accepted_at = ?, account_id = ?, open = FALSE
		WHERE portal_id = ? AND number = ? AND counter = ? AND key_id = ? AND open AND expires_at > ?
			AND `+account.InOrder(r.db.Dialect(), "o.email_canonical = ?"),
		now.UnixMilli(), accountID, portalID, i.number, i.counter, int64(i.key), now.UnixMilli(),
		portalID, i.Email.Canonical()))
}

// erased is what deleting an invitation leaves of it: what its codes are told by, and nothing of the person.
const erased = `open = FALSE, email = '', email_canonical = '', search = '', roles = '[]', entitlements = '[]',
	metadata = '{}', inviter_id = NULL, inviter = '', account_id = NULL, deleted_at = ?`

// delete deletes an invitation that was not accepted, and gives the digest of its address. Errors: database.ErrNotFound.
func (r *Repository) delete(ctx context.Context, portalID ids.Portal, id ids.Invitation, now time.Time) (subject digest.Digest, err error) {
	err = r.db.From(ctx).Raw(`UPDATE invitations SET `+erased+`
		WHERE portal_id = ? AND id = ? AND accepted_at IS NULL AND deleted_at IS NULL RETURNING subject`,
		now.UnixMilli(), portalID, id).Row().Scan(&subject)
	return subject, database.Err(err)
}

// deleteOf deletes every invitation that an account came of, or that was made for its address, and gives their ids. A
// mere claim has no part in those that were.
func (r *Repository) deleteOf(ctx context.Context, portalID ids.Portal, a *account.Account, now time.Time) ([]ids.Invitation, error) {
	return database.Collect(r.db.From(ctx).Raw(`UPDATE invitations SET `+erased+`
		WHERE portal_id = ? AND `+account.InOrder(r.db.Dialect(), "(o.account_id = ? OR (o.email_canonical = ? AND ?))")+`
		RETURNING id`, now.UnixMilli(), portalID, portalID, a.ID, a.Email.Canonical(), a.UnverifiedSince == nil), database.One[ids.Invitation])
}

// Sweep deletes at most batch invitations that ended before a time. It returns how many it deleted.
func (r *Repository) Sweep(ctx context.Context, before time.Time, batch int) (int, error) {
	portals := r.db.From(database.AcrossPortals(ctx, "the portals of invitations to sweep")).Raw(
		`SELECT DISTINCT portal_id FROM invitations WHERE expires_at < ?`, before.UnixMilli())
	return database.SweepPortals(portals, batch, func(portalID ids.Portal, limit int) *gorm.DB {
		// MATERIALIZED keeps a join from running the SELECT again, which would lock and delete more rows than the limit.
		return r.db.From(ctx).Exec(`WITH old AS MATERIALIZED (SELECT id FROM invitations
				WHERE portal_id = @portal AND expires_at < @before
				LIMIT @limit`+r.db.Dialect().Lock("FOR UPDATE SKIP LOCKED")+`)
			DELETE FROM invitations WHERE portal_id = @portal AND id IN (SELECT id FROM old) AND expires_at < @before`,
			map[string]any{"portal": portalID, "before": before.UnixMilli(), "limit": limit})
	})
}
