package delivery

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/slidinglog"
)

// repository keeps messages, and a log of the messages of each recipient.
type repository struct{ db *database.DB }

// row is a message in the table. Times are Unix milliseconds.
type row struct {
	PortalID       ids.Portal
	ID             ids.Delivery
	Kind           Kind
	Channel        string
	Masked         string
	AccountID      ids.Account
	InvitationID   ids.Invitation
	Purpose        string
	Subject        []byte // the digest of the address at the portal
	Generation     int64
	Locale         string
	Network        string
	Status         Status
	Attempts       int64
	ProviderAnswer string
	Recipient      []byte
	CreatedAt      int64
	SentAt         *int64
	NextAttemptAt  *int64
	HeldUntil      *int64
}

// TableName is the table of messages.
func (row) TableName() string { return "deliveries" }

func rowOf(d *Delivery) row {
	return row{
		PortalID: d.PortalID, ID: d.ID, Kind: d.Kind, Channel: d.Channel, Masked: d.Masked, AccountID: d.AccountID,
		InvitationID: d.InvitationID, Purpose: d.Purpose, Subject: d.EmailDigest.Bytes(), Generation: d.Generation,
		Locale: d.Locale, Network: d.Network, Status: d.Status, ProviderAnswer: d.ProviderAnswer,
		Recipient: d.Recipient, CreatedAt: d.CreatedAt.UnixMilli(),
	}
}

func (r row) delivery() (*Delivery, error) {
	d := &Delivery{
		PortalID: r.PortalID, ID: r.ID, Kind: r.Kind, Channel: r.Channel, Masked: r.Masked, AccountID: r.AccountID,
		InvitationID: r.InvitationID, Purpose: r.Purpose, Generation: r.Generation, Locale: r.Locale,
		Network: r.Network, Status: r.Status, ProviderAnswer: r.ProviderAnswer, Recipient: r.Recipient,
		Attempts: r.Attempts, CreatedAt: time.UnixMilli(r.CreatedAt).UTC(), HeldUntil: database.Time(r.HeldUntil),
	}
	return d, d.EmailDigest.Scan(r.Subject)
}

func (r repository) insert(ctx context.Context, queued []*Delivery) error {
	rows := make([]row, len(queued))
	for i, d := range queued {
		rows[i] = rowOf(d)
	}
	return database.Err(r.db.From(ctx).Create(&rows).Error)
}

// get reads a message. Errors: database.ErrNotFound.
func (r repository) get(ctx context.Context, portalID ids.Portal, id ids.Delivery) (*Delivery, error) {
	var found row
	if err := r.db.From(ctx).Where("portal_id = ? AND id = ?", portalID, id).Take(&found).Error; err != nil {
		return nil, database.Err(err)
	}
	return found.delivery()
}

// list reads messages, in no order.
func (r repository) list(ctx context.Context, portalID ids.Portal, wanted []ids.Delivery) ([]*Delivery, error) {
	var rows []row
	if err := r.db.From(ctx).Where("portal_id = ? AND id IN ?", portalID, wanted).Find(&rows).Error; err != nil {
		return nil, database.Err(err)
	}
	messages := make([]*Delivery, 0, len(rows))
	for _, found := range rows {
		d, err := found.delivery()
		if err != nil {
			return nil, err
		}
		messages = append(messages, d)
	}
	return messages, nil
}

// now is SQL of the database's time in Unix milliseconds. Leases use it because the clocks of instances differ.
func (r repository) now() string {
	if r.db.Dialect() == database.SQLite {
		return "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
	}
	return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"
}

// later is the database's time after a duration.
func (r repository) later(duration time.Duration) clause.Expr {
	return gorm.Expr(r.now()+" + ?", duration.Milliseconds())
}

// begin counts a try and takes the lease of a message, unless another worker has it. One statement decides.
func (r repository) begin(ctx context.Context, d *Delivery) (bool, error) {
	held := r.db.From(ctx).Model(&row{}).Where("portal_id = ? AND id = ? AND status IN ?", d.PortalID, d.ID, onItsWay).
		Where("held_until IS NULL OR held_until <= " + r.now()).
		Updates(map[string]any{"attempts": gorm.Expr("attempts + 1"), "held_until": r.later(Lease)})
	return held.RowsAffected == 1, database.Err(held.Error)
}

// hold extends the lease of a message that is still to be sent.
func (r repository) hold(ctx context.Context, d *Delivery, duration time.Duration) error {
	return database.Err(r.db.From(ctx).Model(&row{}).
		Where("portal_id = ? AND id = ? AND status IN ?", d.PortalID, d.ID, onItsWay).
		Update("held_until", r.later(duration)).Error)
}

// overdue reads messages, oldest first and after last, that should have been tried before a time and are not held.
func (r repository) overdue(ctx context.Context, before time.Time, last overdue, limit int) ([]overdue, error) {
	ctx = database.AcrossPortals(ctx, "messages that lost their job are found at every portal")
	var found []overdue
	err := r.db.From(ctx).Model(&row{}).Select("portal_id", "id", "created_at").
		Where("status IN ? AND created_at < ?", onItsWay, before.UnixMilli()).
		Where("next_attempt_at IS NULL OR next_attempt_at < ?", before.UnixMilli()).
		Where("held_until IS NULL OR held_until < "+r.now()).
		Where("(created_at, id) > (?, ?)", last.CreatedAt, last.ID).
		Order("created_at, id").Limit(limit).Scan(&found).Error
	return found, database.Err(err)
}

// outcome is the result of a try.
type outcome struct {
	status     Status
	answer     string
	sent, next *time.Time
	hold       time.Duration // how long nobody may send the message again
}

// note writes the outcome of a message that is still to be sent. A final status stays as it is.
func (r repository) note(ctx context.Context, d *Delivery, o outcome) error {
	var held any
	if o.hold > 0 {
		held = r.later(o.hold)
	}
	columns := map[string]any{
		"status": o.status, "provider_answer": o.answer, "sent_at": database.Millis(o.sent),
		"next_attempt_at": database.Millis(o.next), "held_until": held,
	}
	if !slices.Contains(onItsWay, o.status) {
		columns["recipient"] = nil // the address of a notice is of no more use
	}
	return database.Err(r.db.From(ctx).Model(&row{}).
		Where("portal_id = ? AND id = ? AND status IN ?", d.PortalID, d.ID, onItsWay).Updates(columns).Error)
}

// forget removes the people from rows and keeps the rows, so that receipts look as if the messages never had a
// recipient. The zero account id matches no row.
func (r repository) forget(
	ctx context.Context, portalID ids.Portal, accountID ids.Account, invitations []ids.Invitation,
) error {
	return database.Err(r.db.From(ctx).Model(&row{}).
		Where("portal_id = ? AND (account_id = ? OR invitation_id IN ?)", portalID, accountID, invitations).
		Updates(map[string]any{
			"account_id": nil, "invitation_id": nil, "network": "", "provider_answer": "",
		}).Error)
}

// waiting is since when the oldest untried message waits (nil for none), and how many tried ones are older than before.
// In raw SQL, because one read of the partial index gives both.
func (r repository) waiting(ctx context.Context, before time.Time) (untried *time.Time, tried int, err error) {
	ctx = database.AcrossPortals(ctx, "how much mail waits is counted over the whole installation")
	var oldest *int64
	err = r.db.From(ctx).Raw(`SELECT MIN(CASE WHEN status = 'queued' AND attempts = 0 THEN created_at END),
			COUNT(CASE WHEN (status = 'delayed' OR attempts > 0) AND created_at < ? THEN 1 END)
		FROM deliveries WHERE status IN ('queued', 'delayed')`, before.UnixMilli()).Row().Scan(&oldest, &tried)
	return database.Time(oldest), tried, database.Err(err)
}

// sweep deletes old rows in small batches. In raw SQL, because DELETE has no LIMIT.
func (r repository) sweep(ctx context.Context, before time.Time, batch int) (int, error) {
	ctx = database.AcrossPortals(ctx, "old messages are swept at every portal")
	total := 0
	for _, statement := range []string{
		`DELETE FROM deliveries WHERE (portal_id, id) IN
			(SELECT portal_id, id FROM deliveries WHERE created_at < ? ORDER BY created_at LIMIT ?)`,
		`DELETE FROM recipients WHERE digest IN
			(SELECT digest FROM recipients WHERE updated_at < ? ORDER BY updated_at LIMIT ?)`,
	} {
		gone := r.db.From(ctx).Exec(statement, before.UnixMilli(), batch)
		if gone.Error != nil {
			return total, database.Err(gone.Error)
		}
		total += int(gone.RowsAffected)
	}
	return total, nil
}

// firstConfirmation reads the oldest confirmation of an account. Errors: database.ErrNotFound.
func (r repository) firstConfirmation(
	ctx context.Context, portalID ids.Portal, accountID ids.Account,
) (*Delivery, error) {
	var found row
	err := r.db.From(ctx).Where("portal_id = ? AND account_id = ? AND kind = ?", portalID, accountID, Confirm).
		Order("id").Limit(1).Take(&found).Error
	if err != nil {
		return nil, database.Err(err)
	}
	return found.delivery()
}

// count counts messages in pots, and returns the entries that found their pot empty. The entries have different pots.
//
// One statement decides, so that any number of instances together admit exactly the quota. It writes the pots in the
// order of their digests, so that two such statements cannot deadlock. In raw SQL for both reasons.
func (r repository) count(ctx context.Context, entries []potEntry, now time.Time) (map[digest.Digest]bool, error) {
	slices.SortFunc(entries, func(a, b potEntry) int { return bytes.Compare(a.pot[:], b.pot[:]) })
	args := map[string]any{"now": now.UnixMilli(), "entry": slidinglog.At(now)}
	slidinglog.Bind(args, "day", potQuota, now)
	rows := make([]string, len(entries))
	for i, e := range entries {
		pot, portal := fmt.Sprintf("pot%d", i), fmt.Sprintf("portal%d", i)
		args[pot], args[portal] = e.pot, e.portal+string(slidinglog.At(now))
		rows[i] = "(FALSE, @" + pot + ", @entry, @" + portal + ", @now)"
	}
	find := "strpos"
	if r.db.Dialect() == database.SQLite {
		find = "instr"
	}
	at := fmt.Sprintf("%s(recipients.portals, substr(excluded.portals, 1, %d))", find, potPortalWidth)
	full := slidinglog.SQLFull("recipients.messages", "day", potQuota)
	first := fmt.Sprintf("(%s = 0 OR substr(recipients.portals, %[1]s + %d, %d) <= @day_0)",
		at, potPortalWidth, slidinglog.Width)
	suppressed := "(" + full + " AND NOT " + first + ")"
	const entryWidth = potPortalWidth + slidinglog.Width
	counted, err := database.Collect(r.db.From(ctx).Raw(`INSERT INTO recipients
			(suppressed, digest, messages, portals, updated_at)
		VALUES `+strings.Join(rows, ", ")+`
		ON CONFLICT (digest) DO UPDATE SET
			suppressed = `+suppressed+`,
			messages = CASE WHEN `+suppressed+` THEN recipients.messages
				ELSE `+slidinglog.SQLAdd("@entry", "recipients.messages", slidinglog.Octets(PotMessages))+` END,
			portals = CASE WHEN NOT `+first+` THEN recipients.portals
				WHEN `+at+` = 0 THEN `+fmt.Sprintf("substr(excluded.portals || recipients.portals, 1, %d)",
		maxPotPortals*entryWidth)+`
				ELSE excluded.portals || substr(recipients.portals, 1, `+at+` - 1) ||
					substr(recipients.portals, `+at+fmt.Sprintf(" + %d", entryWidth)+`) END,
			updated_at = @now
		RETURNING digest, suppressed`, args), func(row database.Row) (counted potCount, err error) {
		return counted, row.Scan(&counted.pot, &counted.suppressed)
	})
	empty := make(map[digest.Digest]bool)
	for _, c := range counted {
		empty[c.pot] = c.suppressed
	}
	return empty, database.Err(err)
}

// potCount is the decision about a pot's entry.
type potCount struct {
	pot        digest.Digest
	suppressed bool
}
