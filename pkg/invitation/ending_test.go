package invitation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

// requireErased checks that the row of an invitation still exists, and tells nothing of a person.
func (d *desk) requireErased(id ids.Invitation) {
	d.t.Helper()
	var address, canonical, search, roles, entitlements, metadata, inviter string
	var inviterID, accountID ids.Account
	require.NoError(d.t, d.db.From(d.ctx).Raw(`SELECT email, email_canonical, search, CAST(roles AS TEXT),
		CAST(entitlements AS TEXT), CAST(metadata AS TEXT), inviter, inviter_id, account_id FROM invitations
		WHERE portal_id = ? AND id = ? AND NOT open AND deleted_at = ?`, d.portal.ID, id, d.time.millis.Load()).Row().Scan(
		&address, &canonical, &search, &roles, &entitlements, &metadata, &inviter, &inviterID, &accountID))
	require.Equal(d.t, "[][]{}", strings.Join([]string{address, canonical, search, roles, entitlements, metadata, inviter}, ""))
	require.Zero(d.t, inviterID)
	require.Zero(d.t, accountID)
	require.Zero(d.t, d.count(`SELECT COUNT(*) FROM deliveries WHERE portal_id = ? AND invitation_id = ?`, d.portal.ID, id))
	_, err := d.Get(d.ctx, d.portal, id)
	requireCode(d.t, fault.NotFound, err)
	_, err = d.Invitee(d.ctx, d.portal.ID, delivery.Invitation{ID: id})
	requireCode(d.t, fault.NotFound, err)
}

func TestDelete(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		ctx := audit.WithCaller(d.ctx, &audit.Caller{Network: "192.0.2.7"})
		by := d.person("admin@example.com")
		wanted := d.wants(ann)
		wanted.Send = true
		i, err := d.Invite(ctx, d.portal, Inviter{AccountID: by.ID}, wanted)
		require.NoError(t, err)
		d.resend(i)
		require.Zero(t, d.count(`SELECT COUNT(*) FROM deliveries WHERE portal_id = ? AND network <> ''`, d.portal.ID), "the administrator's")
		asked := d.db.From(ctx).Exec(`UPDATE deliveries SET network = '192.0.2.8' WHERE portal_id = ?`, d.portal.ID) // as a person's has
		require.NoError(t, asked.Error)
		require.NoError(t, d.Delete(d.ctx, d.portal, i.ID))
		d.requireErased(i.ID)
		require.Equal(t, 2, d.count(`SELECT COUNT(*) FROM deliveries WHERE portal_id = ? AND network = ''`, d.portal.ID))
		require.Equal(t, 1, d.audited(audit.InvitationDeleted, "success"))
		require.Equal(t, 1, d.count(`SELECT COUNT(*) FROM audit_events WHERE portal_id = ? AND type = ? AND email_digest = ?`,
			d.portal.ID, audit.InvitationDeleted, d.digestOf(d.portal, i)))
		requireCode(t, fault.NotFound, d.Delete(d.ctx, d.portal, i.ID))
		requireCode(t, fault.NotFound, d.Delete(d.ctx, d.portal, ids.Invitation{UUID: uuid.New()}))
		_, err = d.sendAgain(ann)
		requireCode(t, fault.EmailNotFound, err)

		newer := d.invite(ann)
		require.NoError(t, d.redeem(d.code(newer), ann))
	})
}

// TestDeleteOfAnEndedInvitation checks that a newer invitation of the same address stays.
func TestDeleteOfAnEndedInvitation(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		older := d.invite(ann)
		d.time.pass(term)
		newer := d.invite(ann)
		require.NoError(t, d.Delete(d.ctx, d.portal, older.ID))
		d.requireErased(older.ID)
		require.NoError(t, d.verify(d.code(newer)))
		requireCode(t, fault.TokenSuperseded, d.verify(d.codeOf(older.serial)))
		taken := d.invite("taken@example.com")
		d.person("taken@example.com")
		require.NoError(t, d.Delete(d.ctx, d.portal, taken.ID))
		requireCode(t, fault.TokenExpired, d.verify(d.codeOf(taken.serial)))
	})
}

// TestForget deletes a person with all their invitations: the one they accepted, the older ones of their address, and an
// open one that a race left next to their account.
func TestForget(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		over := d.invite(ann)
		d.time.pass(term)
		accepted := d.invite(ann)
		require.NoError(t, d.redeem(d.code(accepted), ann))
		a, err := d.accounts.ByEmail(d.ctx, d.portal.ID, addressOf(t, ann))
		require.NoError(t, err)
		d.person("bob@example.com")
		others := d.invite("other@example.com")
		beside := d.invite("beside@example.com")
		moved := addressOf(t, "beside@example.com")
		d.exec(`UPDATE accounts SET email = ?, email_canonical = ? WHERE portal_id = ? AND id = ?`, moved.Typed(),
			moved.Canonical(), d.portal.ID, a.ID)

		require.NoError(t, d.remove(a))
		d.requireErased(over.ID)
		d.requireErased(accepted.ID)
		d.requireErased(beside.ID)
		require.NoError(t, d.verify(d.code(others)))
		requireCode(t, fault.TokenUsed, d.verify(d.codeOf(accepted.serial)))
		requireCode(t, fault.TokenExpired, d.verify(d.codeOf(beside.serial)))
		require.NoError(t, d.verify(d.code(d.invite(ann))))
		requireCode(t, fault.TokenSuperseded, d.verify(d.codeOf(over.serial)))
		require.NoError(t, d.verify(d.code(d.invite("beside@example.com"))))
	})
}

// TestForgetIsOneTransaction rolls the deletion of a person back, and finds every row again.
func TestForgetIsOneTransaction(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		i := d.invite(ann)
		require.NoError(t, d.redeem(d.code(i), ann))
		a, err := d.accounts.ByEmail(d.ctx, d.portal.ID, addressOf(t, ann))
		require.NoError(t, err)
		failed := errors.New("failed")
		require.ErrorIs(t, d.db.InTx(d.ctx, func(ctx context.Context) error {
			forgotten, err := d.Forget(ctx, d.portal, a)
			require.NoError(t, err)
			require.Equal(t, []ids.Invitation{i.ID}, forgotten)
			require.NoError(t, d.people.Erase(ctx, d.portal, a))
			return failed
		}), failed)
		require.Equal(t, ann, d.again(i).Email.Typed())
		_, err = d.people.Get(d.ctx, d.portal, a.ID)
		require.NoError(t, err)
	})
}

func TestAnAccountEndsTheInvitationsOfItsAddress(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		over := d.invite("ann@example.com")
		d.time.pass(term)
		i, other := d.invite("Ann@example.com"), d.invite("bob@example.com")
		d.time.pass(time.Hour)
		d.register("ANN@example.com")
		require.Equal(t, i, d.again(i), "a registration ends nothing")
		a := d.person("ANN@example.com")
		ended := d.again(i)
		require.Equal(t, Expired, ended.Status(d.clock.Now()))
		require.Equal(t, d.clock.Now(), ended.ExpiresAt)
		require.False(t, ended.open)
		require.Equal(t, over.ExpiresAt, d.again(over).ExpiresAt, "what was over keeps its end")
		require.Equal(t, other, d.again(other))

		moved := addressOf(t, "moved@example.com")
		_, err := d.people.Change(d.ctx, d.portal, a.ID, account.Changes{Email: &moved})
		require.NoError(t, err)
		requireCode(t, fault.TokenExpired, d.redeem(d.codeOf(i.serial), ann))
		newer := d.invite(ann)
		require.NoError(t, d.verify(d.code(newer)), "the address is free")
		require.NoError(t, d.remove(a))
		d.requireErased(i.ID)
		d.requireErased(over.ID)
		require.NoError(t, d.verify(d.code(d.again(newer))), "and who was invited after is another person")
	})
}

// TestAccountsEndInvitations makes accounts for addresses in every way that administrators can.
func TestAccountsEndInvitations(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		created, corrected := d.invite("created@example.com"), d.invite("corrected@example.com")
		d.person("created@example.com")
		a := d.person("typo@example.com")
		right := addressOf(t, "corrected@example.com")
		_, err := d.people.Change(d.ctx, d.portal, a.ID, account.Changes{Email: &right})
		require.NoError(t, err)
		for _, i := range []*Invitation{created, corrected} {
			code := d.codeOf(i.serial)
			requireCode(t, fault.EmailAlreadyRegistered, d.redeem(code, i.Email.Typed()))
			require.Equal(t, Expired, d.again(i).Status(d.clock.Now()))
			_, err := d.Invite(d.ctx, d.portal, operator, d.wants(i.Email.Typed()))
			requireCode(t, fault.EmailAlreadyRegistered, err)
			none, err := d.Code(d.portal, d.again(i))
			require.NoError(t, err)
			require.Empty(t, none)
		}

		refused := d.invite("refused@example.com")
		d.exec(`UPDATE accounts SET phone = '+4930123456' WHERE portal_id = ? AND id = ?`, d.portal.ID, a.ID)
		address, phone := addressOf(t, "refused@example.com"), "+4930123456"
		number := &phone
		_, err = d.people.Create(d.ctx, d.portal, account.Changes{Email: &address, Phone: &number})
		requireCode(t, fault.PhoneAlreadyRegistered, err)
		require.NoError(t, d.verify(d.code(d.again(refused))), "an account that was not made ends nothing")
	})
}

func TestSweep(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		rows := func() int { return d.count(`SELECT COUNT(*) FROM invitations WHERE portal_id = ?`, d.portal.ID) }
		sweep := func(batch int) int {
			t.Helper()
			n, err := d.repo.Sweep(d.ctx, d.clock.Now().Add(-database.Kept), batch)
			require.NoError(t, err)
			return n
		}
		for n := range 5 {
			d.invite(fmt.Sprintf("person%d@example.com", n))
		}
		accepted, deleted := d.invite("accepted@example.com"), d.invite("deleted@example.com")
		require.NoError(t, d.redeem(d.code(accepted), "accepted@example.com"))
		require.NoError(t, d.Delete(d.ctx, d.portal, deleted.ID))
		d.time.pass(time.Millisecond)
		later := d.invite("later@example.com")

		d.time.pass(term + database.Kept - time.Millisecond)
		require.Zero(t, sweep(100), "they are kept for 30 days, the last millisecond included")
		d.time.pass(time.Millisecond)
		require.Equal(t, 3, sweep(3))
		require.Equal(t, 4, sweep(100))
		require.Zero(t, sweep(100))
		require.Equal(t, 1, rows())
		requireCode(t, fault.TokenExpired, d.verify(d.codeOf(accepted.serial)))
		require.Equal(t, 1, d.count(`SELECT COUNT(*) FROM accounts WHERE portal_id = ?`, d.portal.ID), "the account stays")
		d.resend(later)
		d.time.pass(time.Hour)
		require.Zero(t, sweep(100), "what was renewed has a new end")
	})
}
