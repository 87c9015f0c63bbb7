package invitation

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/challenge"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

func (d *desk) sendAgain(address string) (challenge.Issued, error) {
	d.t.Helper()
	return d.SendAgain(d.ctx, d.portal, addressOf(d.t, address))
}

func TestSendAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		i := d.invite("Ann@example.com")
		d.time.pass(time.Hour)
		issued, err := d.sendAgain("ANN@example.com")
		require.NoError(t, err)
		require.Equal(t, term-time.Hour, issued.ExpiresIn, "the term is the one it had")
		require.Equal(t, time.Minute, issued.ResendAfter)
		sent := d.again(i)
		require.Equal(t, d.clock.Now(), *sent.SentAt)
		require.Equal(t, issued.Receipt.ID, sent.DeliveryID)
		require.Equal(t, i.serial, sent.serial, "and so is the code")
		require.Equal(t, i.ExpiresAt, sent.ExpiresAt)
		require.Equal(t, 1, d.count(`SELECT COUNT(*) FROM deliveries WHERE portal_id = ? AND id = ? AND invitation_id = ?
			AND generation = 0 AND locale = 'de'`, d.portal.ID, issued.Receipt.ID, i.ID))
		require.Equal(t, 1, d.audited(audit.InvitationRequested, "success"))
		require.NoError(t, d.verify(d.code(i)))

		renewed := d.resend(i)
		issued, err = d.sendAgain(ann)
		require.NoError(t, err)
		require.Equal(t, 1, d.count(`SELECT COUNT(*) FROM deliveries WHERE portal_id = ? AND id = ? AND generation = 1`,
			d.portal.ID, issued.Receipt.ID), "the newest code")
		require.NoError(t, d.verify(d.code(renewed)))
	})
}

func TestSendAgainRefusesAtOpenPortals(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		deleted := d.invite("deleted@example.com")
		require.NoError(t, d.Delete(d.ctx, d.portal, deleted.ID))
		accepted := d.invite("accepted@example.com")
		require.NoError(t, d.redeem(d.code(accepted), "accepted@example.com"))
		d.person("owner@example.com")
		d.register("unverified@example.com")
		d.invite("over@example.com")
		d.time.pass(term - time.Millisecond)
		_, err := d.sendAgain("over@example.com")
		require.NoError(t, err)
		sent := d.count(`SELECT COUNT(*) FROM deliveries WHERE portal_id = ?`, d.portal.ID)
		d.time.pass(time.Minute)
		for address, want := range map[string]fault.Code{
			"nobody@example.com": fault.EmailNotFound, "deleted@example.com": fault.EmailNotFound,
			"unverified@example.com": fault.EmailNotFound, "accepted@example.com": fault.EmailAlreadyRegistered,
			"owner@example.com": fault.EmailAlreadyRegistered, "over@example.com": fault.TokenExpired,
		} {
			_, err := d.sendAgain(address)
			requireCode(t, want, err)
		}
		require.Equal(t, sent, d.count(`SELECT COUNT(*) FROM deliveries WHERE portal_id = ?`, d.portal.ID))
	})
}

// TestSendAgainIsAlikeAtPrivatePortals asks for every kind of address: the same answer, the same statements, and rows
// that differ only in the recipient.
func TestSendAgainIsAlikeAtPrivatePortals(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, open *desk) {
		d := open.in(open.addPortal("private", portal.Private))
		d.invite("over@example.com")
		d.time.pass(term)
		pending := d.invite("pending@example.com")
		both := d.invite("both@example.com")
		d.register("both@example.com")
		deleted := d.invite("deleted@example.com")
		require.NoError(t, d.Delete(d.ctx, d.portal, deleted.ID))
		accepted := d.invite("accepted@example.com")
		require.NoError(t, d.redeem(d.code(accepted), "accepted@example.com"))
		d.person("owner@example.com")
		d.register("unverified@example.com")
		d.time.pass(time.Hour)

		rows := func() [4]int {
			id := d.portal.ID
			return [4]int{
				d.count(`SELECT COUNT(*) FROM deliveries WHERE portal_id = ?`, id),
				d.count(`SELECT COUNT(*) FROM onetime_secrets WHERE portal_id = ?`, id),
				d.count(`SELECT COUNT(*) FROM audit_events WHERE portal_id = ? AND outcome = 'success' AND account_id IS NULL`, id),
				d.count(`SELECT COUNT(*) FROM river_job`),
			}
		}
		ask := func(address string) (challenge.Issued, []string) {
			t.Helper()
			before := rows()
			ctx, statements := databasetest.CountStatements(d.ctx)
			issued, err := d.SendAgain(ctx, d.portal, addressOf(t, address))
			require.NoError(t, err)
			for i, n := range rows() {
				require.Equal(t, 1, n-before[i], "%s: %v", address, before)
			}
			_, err = d.sendAgain(address)
			requireCode(t, fault.ResendTooSoon, err)
			return issued, statements.Texts()
		}
		stranger, texts := ask("nobody@example.com")
		require.Equal(t, d.portal.InvitationTTL.Duration(), stranger.ExpiresIn)
		for address, of := range map[string]*Invitation{
			"pending@example.com": pending, "both@example.com": both, "over@example.com": nil, "deleted@example.com": nil,
			"accepted@example.com": nil, "owner@example.com": nil, "unverified@example.com": nil,
		} {
			issued, own := ask(address)
			require.Equal(t, texts, own, address)
			require.Equal(t, stranger.ExpiresIn, issued.ExpiresIn)
			require.Equal(t, stranger.ResendAfter, issued.ResendAfter)
			require.Equal(t, stranger.Receipt.Status, issued.Receipt.Status)
			require.Equal(t, stranger.Receipt.Sender, issued.Receipt.Sender)
			goesOut := d.count(`SELECT COUNT(*) FROM deliveries WHERE portal_id = ? AND id = ? AND invitation_id IS NOT NULL`,
				d.portal.ID, issued.Receipt.ID)
			if of == nil {
				require.Zero(t, goesOut, address)
				continue
			}
			require.Equal(t, 1, goesOut, address)
			require.Equal(t, issued.Receipt.ID, d.again(of).DeliveryID)
			require.Equal(t, of.serial, d.again(of).serial)
		}
	})
}
