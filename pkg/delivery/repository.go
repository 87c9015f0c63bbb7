package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// repository keeps messages and how many each recipient got.
type repository struct{ db *database.DB }

func (r repository) insert(ctx context.Context, queued []*Delivery) error {
	var values database.Values
	for _, d := range queued {
		values.Row(d.PortalID, d.ID, d.Kind, d.Channel, d.Masked, d.AccountID, d.InvitationID, d.Purpose, d.EmailDigest.Bytes(),
			d.Generation, d.Locale, d.Network, d.Status, 0, "", d.CreatedAt.UnixMilli())
	}
	return database.Err(r.db.From(ctx).Exec(`INSERT INTO deliveries (portal_id, id, kind, channel, masked, account_id,
		invitation_id, purpose, subject, generation, locale, network, status, attempts, provider_answer, created_at)
		VALUES `+values.SQL(), values.Args...).Error)
}

const columns = `id, kind, channel, masked, account_id, invitation_id, purpose, subject, generation, locale, network,
	status, provider_answer, created_at`

func (d *Delivery) scan(row database.Row) error {
	var created int64
	err := row.Scan(&d.ID, &d.Kind, &d.Channel, &d.Masked, &d.AccountID, &d.InvitationID, &d.Purpose, &d.EmailDigest,
		&d.Generation, &d.Locale, &d.Network, &d.Status, &d.ProviderAnswer, &created)
	d.CreatedAt = time.UnixMilli(created).UTC()
	return database.Err(err)
}

// get reads a message. Errors: database.ErrNotFound.
func (r repository) get(ctx context.Context, portalID ids.Portal, id ids.Delivery) (*Delivery, error) {
	d := &Delivery{PortalID: portalID}
	return d, d.scan(r.db.From(ctx).Raw(`SELECT `+columns+` FROM deliveries WHERE portal_id = ? AND id = ?`,
		portalID, id).Row())
}

// list reads messages, in no order.
func (r repository) list(ctx context.Context, portalID ids.Portal, wanted []ids.Delivery) ([]*Delivery, error) {
	return database.Collect(r.db.From(ctx).Raw(`SELECT `+columns+` FROM deliveries WHERE portal_id = ? AND id IN ?`,
		portalID, wanted), func(row database.Row) (*Delivery, error) {
		d := &Delivery{PortalID: portalID}
		return d, d.scan(row)
	})
}

func (r repository) begin(ctx context.Context, d *Delivery, recipient digest.Digest, now time.Time) (admitted bool, err error) {
	admitted = true
	err = r.db.InTx(ctx, func(ctx context.Context) error {
		var attempts int64
		err := r.db.From(ctx).Raw(`UPDATE deliveries SET attempts = attempts + 1 WHERE portal_id = ? AND id = ?
			RETURNING attempts`, d.PortalID, d.ID).Row().Scan(&attempts)
		if err != nil || attempts > 1 {
			return database.Err(err)
		}
		admitted, err = r.admit(ctx, recipient, now)
		return err
	})
	return admitted, err
}

// entryWidth is the width of a time in a recipient's log: Unix milliseconds have 13 digits until the year 2286.
const entryWidth = 13

// admit is one statement, so that of any number of messages at once exactly as many are admitted as the day allows, on
// any number of instances. The oldest entry of a full log is compared as text, which its fixed width allows.
func (r repository) admit(ctx context.Context, recipient digest.Digest, now time.Time) (bool, error) {
	const full = `substr(recipients.messages, @last, 13) > @yesterday`
	var suppressed bool
	err := r.db.From(ctx).Raw(`INSERT INTO recipients (suppressed, digest, messages, updated_at)
		VALUES (FALSE, @recipient, @entry, @now)
		ON CONFLICT (digest) DO UPDATE SET
			suppressed = `+full+`,
			messages = CASE WHEN `+full+` THEN recipients.messages
				ELSE substr(@entry || recipients.messages, 1, @width) END,
			updated_at = @now
		RETURNING suppressed`, map[string]any{
		"recipient": recipient, "entry": entry(now), "now": now.UnixMilli(), "width": DailyMessages * entryWidth,
		"last": (DailyMessages-1)*entryWidth + 1, "yesterday": entry(now.Add(-24 * time.Hour)),
	}).Row().Scan(&suppressed)
	return !suppressed, database.Err(err)
}

func entry(at time.Time) string { return fmt.Sprintf("%0*d", entryWidth, at.UnixMilli()) }

// outcome is what became of a try.
type outcome struct {
	status     Status
	answer     string
	sent, next *time.Time
}

// note writes the outcome of a message that is on its way; a final status stays.
func (r repository) note(ctx context.Context, d *Delivery, o outcome) error {
	return database.Err(r.db.From(ctx).Exec(`UPDATE deliveries
		SET status = ?, provider_answer = ?, sent_at = ?, next_attempt_at = ?
		WHERE portal_id = ? AND id = ? AND status IN ('queued', 'delayed')`,
		o.status, o.answer, database.Millis(o.sent), database.Millis(o.next), d.PortalID, d.ID).Error)
}

// forget leaves the rows, so that receipts are answered as if there had never been anybody. The zero account is none.
func (r repository) forget(ctx context.Context, portalID ids.Portal, accountID ids.Account, invitations []ids.Invitation) error {
	return database.Err(r.db.From(ctx).Exec(`UPDATE deliveries SET account_id = NULL, invitation_id = NULL, network = '',
			provider_answer = ''
		WHERE portal_id = ? AND (account_id = ? OR invitation_id IN ?)`, portalID, accountID, invitations).Error)
}

// waiting tells since when the oldest untried message waits (nil for none), and how many refused ones are older than
// before.
func (r repository) waiting(ctx context.Context, before time.Time) (untried *time.Time, refused int, err error) {
	ctx = database.AcrossPortals(ctx, "how much mail waits is told of the whole installation")
	var oldest *int64
	err = r.db.From(ctx).Raw(`SELECT MIN(CASE WHEN status = 'queued' THEN created_at END),
			COUNT(CASE WHEN status = 'delayed' AND created_at < ? THEN 1 END)
		FROM deliveries WHERE status IN ('queued', 'delayed')`, before.UnixMilli()).Row().Scan(&oldest, &refused)
	return database.Time(oldest), refused, database.Err(err)
}

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

func (r repository) firstConfirmation(ctx context.Context, portalID ids.Portal, accountID ids.Account) (network string, at time.Time, err error) {
	var created int64
	err = r.db.From(ctx).Raw(`SELECT network, created_at FROM deliveries
		WHERE portal_id = ? AND account_id = ? AND kind = ? ORDER BY id LIMIT 1`, portalID, accountID, Confirm).
		Row().Scan(&network, &created)
	return network, time.UnixMilli(created).UTC(), database.Err(err)
}
