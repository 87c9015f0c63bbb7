package invitation

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// TestPortalsAreApart makes every call at another portal, with the ids, codes and addresses of this one. Every call of the
// package runs here, so that the tenant guard has seen every statement bind its portal.
func TestPortalsAreApart(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		other := d.in(d.addPortal("other", portal.Open))
		i := d.invite(ann)
		code := d.code(i)
		accepted := d.invite("accepted@example.com")
		require.NoError(t, d.redeem(d.code(accepted), "accepted@example.com"))
		owner, err := d.accounts.ByEmail(d.ctx, d.portal.ID, addressOf(t, "accepted@example.com"))
		require.NoError(t, err)

		_, err = d.Get(d.ctx, other.portal, i.ID)
		requireCode(t, fault.NotFound, err)
		requireCode(t, fault.NotFound, d.Delete(d.ctx, other.portal, i.ID))
		_, _, err = d.Resend(d.ctx, other.portal, i.ID)
		requireCode(t, fault.NotFound, err)
		_, err = d.Invitee(d.ctx, other.portal.ID, delivery.Invitation{ID: i.ID})
		requireCode(t, fault.NotFound, err)
		requireCode(t, fault.TokenInvalid, other.verify(code))
		requireCode(t, fault.TokenInvalid, other.redeem(code, ann))
		_, err = other.sendAgain(ann)
		requireCode(t, fault.EmailNotFound, err)
		for _, status := range append(Statuses(), "") {
			require.Empty(t, other.listed(Filter{Status: status}))
			require.Empty(t, other.listed(Filter{Status: status, Query: "ann", Before: ids.Invitation{UUID: uuid.Max}}))
		}
		holder, err := d.Holder(d.ctx, other.portal, i.Email)
		require.NoError(t, err)
		require.Zero(t, holder)
		forgotten, err := d.Forget(d.ctx, other.portal, owner)
		require.NoError(t, err)
		require.Empty(t, forgotten)
		other.person("elsewhere-" + ann)
		other.register("accepted@example.com")
		require.NoError(t, other.Exported(d.ctx, other.portal))
		require.Zero(t, d.audited(audit.InvitationsExported, "success"))

		require.NoError(t, d.verify(code), "nothing of it came through")
		require.Equal(t, i, d.again(i))
		require.Equal(t, "accepted@example.com", d.again(accepted).Email.Typed())

		own := other.invite(ann)
		require.Equal(t, i.number, own.number)
		require.NoError(t, other.redeem(other.code(own), ann))
		require.NoError(t, d.verify(code), "an account there is none here")
		other.person("accepted@example.com")
		require.Equal(t, "accepted@example.com", d.again(accepted).Email.Typed())
		d.time.pass(time.Minute)
		require.NoError(t, d.redeem(code, ann))
	})
}

// TestInviterOfAnotherPortal checks that the id of another portal's account tells nothing of that account.
func TestInviterOfAnotherPortal(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		stranger := d.in(d.addPortal("other", portal.Open)).person("stranger@example.com")
		by := Inviter{AccountID: stranger.ID}
		i, err := d.Invite(d.ctx, d.portal, by, d.wants(ann))
		require.NoError(t, err)
		require.Empty(t, i.InvitedBy())
	})
}

// TestTheGuardReadsTheseStatements checks that the tenant guard refuses a statement that binds no portal.
func TestTheGuardReadsTheseStatements(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		for _, forgotten := range []string{
			`SELECT number FROM invitations WHERE number = 1`,
			`SELECT last FROM invitation_numbers`,
			`UPDATE invitations SET open = FALSE WHERE email_canonical = 'ann@example.com'`,
			`SELECT ` + columns + from,
		} {
			require.ErrorIs(t, d.db.From(d.ctx).Exec(forgotten).Error, database.ErrPortalNotBound, forgotten)
		}
	})
}
