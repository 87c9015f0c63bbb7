package invitation

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
)

func TestResend(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		i := d.invite(ann)
		older := d.code(i)
		d.time.pass(term - time.Second)
		renewed, issued, err := d.Resend(d.ctx, d.portal, i.ID)
		require.NoError(t, err)
		now := d.clock.Now()
		require.Equal(t, i.ID, renewed.ID)
		require.Equal(t, i.number, renewed.number)
		require.Equal(t, i.counter+1, renewed.counter)
		require.Equal(t, i.CreatedAt, renewed.CreatedAt)
		require.Equal(t, now, renewed.IssuedAt)
		require.Equal(t, now, *renewed.SentAt)
		require.Equal(t, now.Add(term), renewed.ExpiresAt, "as long as its first")
		require.Equal(t, issued.Receipt.ID, renewed.DeliveryID)
		require.Equal(t, time.Minute, issued.ResendAfter)
		require.Equal(t, term, issued.ExpiresIn)
		require.Equal(t, 1, d.count(`SELECT COUNT(*) FROM deliveries WHERE portal_id = ? AND id = ? AND invitation_id = ?
			AND generation = 1`, d.portal.ID, renewed.DeliveryID, i.ID))
		require.Equal(t, 1, d.audited(audit.InvitationResent, "success"))

		requireCode(t, fault.TokenSuperseded, d.verify(older))
		requireCode(t, fault.TokenSuperseded, d.redeem(older, ann))
		_, err = d.Invitee(d.ctx, d.portal.ID, delivery.Invitation{ID: i.ID, Counter: 0})
		requireCode(t, fault.TokenSuperseded, err)
		invitee, err := d.Invitee(d.ctx, d.portal.ID, delivery.Invitation{ID: i.ID, Counter: 1})
		require.NoError(t, err)
		require.Equal(t, d.code(renewed), invitee.Code)
		require.Equal(t, renewed.ExpiresAt, invitee.ExpiresAt)
		require.Equal(t, ann, invitee.Address.Typed())

		_, _, err = d.Resend(d.ctx, d.portal, i.ID)
		requireCode(t, fault.ResendTooSoon, err)
		require.NoError(t, d.verify(d.code(renewed)), "what was refused changes nothing")
		require.Equal(t, renewed, d.again(i))
		require.NoError(t, d.redeem(d.code(renewed), ann))
	})
}

// TestResendOfAnEndedInvitation renews an ended invitation, as long as no other one holds the address.
func TestResendOfAnEndedInvitation(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		i := d.invite(ann)
		d.time.pass(2 * term)
		registration := d.register(ann)
		renewed := d.resend(i)
		require.Equal(t, Pending, renewed.Status(d.clock.Now()))
		require.NoError(t, d.verify(d.code(renewed)))
		_, err := d.people.Get(d.ctx, d.portal, registration.ID)
		requireCode(t, fault.NotFound, err)

		d.time.pass(term)
		newer := d.invite(ann)
		_, _, err = d.Resend(d.ctx, d.portal, i.ID)
		require.Equal(t, newer.ID, blocking(t, err))
		require.NoError(t, d.verify(d.code(newer)))

		require.NoError(t, d.Delete(d.ctx, d.portal, newer.ID))
		back := d.resend(i)
		require.NoError(t, d.verify(d.code(back)), "the newest, though its number is the older")
		requireCode(t, fault.TokenSuperseded, d.verify(d.codeOf(newer.serial)))
		require.NoError(t, d.redeem(d.code(back), ann))
	})
}

func TestResendRefuses(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		resend := func(id ids.Invitation) error {
			_, _, err := d.Resend(d.ctx, d.portal, id)
			return err
		}
		requireCode(t, fault.NotFound, resend(ids.Invitation{UUID: uuid.New()}))
		deleted := d.invite("deleted@example.com")
		require.NoError(t, d.Delete(d.ctx, d.portal, deleted.ID))
		requireCode(t, fault.NotFound, resend(deleted.ID))
		accepted := d.invite("accepted@example.com")
		require.NoError(t, d.redeem(d.code(accepted), "accepted@example.com"))
		requireCode(t, fault.EmailAlreadyRegistered, resend(accepted.ID))
		taken := d.invite("taken@example.com")
		a := d.person("taken@example.com")
		requireCode(t, fault.EmailAlreadyRegistered, resend(taken.ID))
		require.NoError(t, d.remove(a))
		requireCode(t, fault.NotFound, resend(taken.ID)) // it went with the person
		require.Zero(t, d.count(`SELECT COUNT(*) FROM deliveries WHERE portal_id = ?`, d.portal.ID))
	})
}

// TestCoolDownsAreApart checks that an administrator's resend and the person's own do not delay each other.
func TestCoolDownsAreApart(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		i := d.invite(ann)
		again := func() error {
			_, err := d.SendAgain(d.ctx, d.portal, addressOf(t, ann))
			return err
		}
		require.NoError(t, again(), "making an invitation holds nothing back")
		requireCode(t, fault.ResendTooSoon, again())
		_, _, err := d.Resend(d.ctx, d.portal, i.ID)
		require.NoError(t, err)
		_, _, err = d.Resend(d.ctx, d.portal, i.ID)
		requireCode(t, fault.ResendTooSoon, err)
		requireCode(t, fault.ResendTooSoon, again())
		d.time.pass(time.Minute)
		require.NoError(t, again())
		d.resend(i)
		for range 3 {
			d.time.pass(time.Minute)
			require.NoError(t, again())
		}
		d.time.pass(time.Minute)
		requireCode(t, fault.ResendTooSoon, again()) // five within the hour
		d.resend(i)
	})
}

// TestRemovedKeyIsRenewed checks that an invitation whose secret key was removed has no code and is not mailed, and that
// resending gives it a code.
func TestRemovedKeyIsRenewed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		i := d.invite(ann)
		code := d.code(i)
		both := d.with(2, 1)
		require.NoError(t, both.verify(code))
		removed := d.with(2)
		requireCode(t, fault.TokenInvalid, removed.verify(code))
		none, err := removed.Code(removed.portal, removed.again(i))
		require.NoError(t, err)
		require.Empty(t, none)
		_, err = removed.Invitee(d.ctx, d.portal.ID, delivery.Invitation{ID: i.ID})
		requireCode(t, fault.TokenExpired, err)
		renewed := removed.resend(i)
		require.NoError(t, removed.redeem(removed.code(renewed), ann))
	})
}
