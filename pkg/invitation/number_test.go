package invitation

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

func TestNumbersAreNeverReused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		given := map[int64]bool{}
		invite := func(address string) *Invitation {
			t.Helper()
			i := d.invite(address)
			require.False(t, given[i.number], "%d was given before", i.number)
			given[i.number] = true
			return i
		}
		for n := range int64(3) {
			require.Equal(t, n+1, invite(fmt.Sprintf("first%d@example.com", n)).number)
		}

		deleted := invite("ann@example.com")
		require.NoError(t, d.Delete(d.ctx, d.portal, deleted.ID))
		invite("ann@example.com")

		rolledBack := errors.New("taken back")
		require.ErrorIs(t, d.db.InTx(d.ctx, func(ctx context.Context) error {
			made, err := d.InviteAll(ctx, d.portal, operator, []New{d.wants("bob@example.com"), d.wants("cat@example.com")})
			require.NoError(t, err)
			require.NoError(t, made[0].Err)
			return rolledBack
		}), rolledBack)
		invite("bob@example.com")

		_, err := d.Invite(d.ctx, d.portal, operator, d.wants("bob@example.com"))
		requireCode(t, fault.InvitationPending, err)
		invite("dan@example.com")

		d.time.pass(term + database.Kept + time.Millisecond)
		gone, err := d.repo.Sweep(d.ctx, d.clock.Now().Add(-database.Kept), 100)
		require.NoError(t, err)
		require.Positive(t, gone)
		require.Zero(t, d.count(`SELECT COUNT(*) FROM invitations WHERE portal_id = ?`, d.portal.ID))
		invite("eve@example.com")
	})
}

func TestEachPortalCountsFromOne(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		other := d.in(d.addPortal("other", portal.Open))
		for n := range int64(3) {
			one := d.invite(fmt.Sprintf("person%d@example.com", n))
			two := other.invite(fmt.Sprintf("person%d@example.com", n))
			require.Equal(t, n+1, one.number)
			require.Equal(t, n+1, two.number)
			require.NotEqual(t, d.code(one), other.code(two))
		}
	})
}

// TestNumbersEnd checks that the last number is good, and that nothing is written when no number is left.
func TestNumbersEnd(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		early := d.invite("early@example.com")
		d.register("late@example.com")
		d.exec(`UPDATE invitation_numbers SET last = ? WHERE portal_id = ?`, maxNumber-1, d.portal.ID)
		rows := func() [5]int {
			id := d.portal.ID
			return [5]int{
				d.count(`SELECT COUNT(*) FROM invitations WHERE portal_id = ?`, id),
				d.count(`SELECT COUNT(*) FROM deliveries WHERE portal_id = ?`, id),
				d.count(`SELECT COUNT(*) FROM audit_events WHERE portal_id = ?`, id),
				d.count(`SELECT COUNT(*) FROM accounts WHERE portal_id = ?`, id),
				d.count(`SELECT last FROM invitation_numbers WHERE portal_id = ?`, id),
			}
		}
		before := rows()
		sent := d.wants("late@example.com")
		sent.Send = true
		_, err := d.InviteAll(d.ctx, d.portal, operator, []New{sent, d.wants("later@example.com")})
		requireCode(t, fault.Internal, err)
		require.Equal(t, before, rows(), "two want a number, and one is left")

		last := d.invite("last@example.com")
		require.EqualValues(t, maxNumber, last.number)
		require.NoError(t, d.redeem(d.code(last), "last@example.com"))

		before = rows()
		_, err = d.Invite(d.ctx, d.portal, operator, sent)
		requireCode(t, fault.Internal, err)
		require.Equal(t, before, rows())

		d.exec(`UPDATE invitations SET counter = ? WHERE portal_id = ? AND id = ?`, maxCounter, d.portal.ID, early.ID)
		code := d.code(d.again(early))
		before = rows()
		_, _, err = d.Resend(d.ctx, d.portal, early.ID)
		requireCode(t, fault.Internal, err)
		require.Equal(t, before, rows())
		require.NoError(t, d.verify(code), "what could not be renewed stays good")
	})
}

// TestCounterEnds checks that an invitation takes a new number after its last counter.
func TestCounterEnds(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		i := d.invite("ann@example.com")
		d.invite("bob@example.com")
		d.exec(`UPDATE invitations SET counter = ? WHERE portal_id = ? AND id = ?`, maxCounter-1, d.portal.ID, i.ID)
		last := d.resend(d.again(i))
		require.Equal(t, serial{1, maxCounter, i.key}, last.serial)
		require.NoError(t, d.verify(d.code(last)))

		renewed := d.resend(last)
		require.Equal(t, serial{3, 0, i.key}, renewed.serial, "bob has the number 2")
		require.Equal(t, i.ID, renewed.ID)
		require.NoError(t, d.verify(d.code(renewed)))
		for counter := range int64(maxCounter + 1) {
			code := d.codeOf(serial{1, counter, i.key})
			// Nothing tells any more whose the former number was, so that they are not told superseded.
			requireCode(t, fault.TokenExpired, d.verify(code))
			if counter == 0 || counter == maxCounter {
				requireCode(t, fault.TokenExpired, d.redeem(code, "ann@example.com"))
			}
		}
		for _, counter := range []int64{1, maxCounter - 1, maxCounter} { // of messages that are queued still
			_, err := d.Invitee(d.ctx, d.portal.ID, delivery.Invitation{ID: i.ID, Counter: counter})
			requireCode(t, fault.TokenExpired, err)
		}
		next := d.resend(renewed)
		require.Equal(t, serial{3, 1, i.key}, next.serial)
		requireCode(t, fault.TokenSuperseded, d.verify(d.code(renewed)))
		require.NoError(t, d.redeem(d.code(next), "ann@example.com"))
	})
}
