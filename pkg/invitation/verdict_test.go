package invitation

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

const ann = "ann@example.com"

// TestVerdicts brings an invitation of Ann into every state, and lists the answers to its code at verify and redeem. If
// more than one thing is wrong, the order is that of verdict.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	const (
		good       = fault.Code("")
		used       = fault.TokenUsed
		superseded = fault.TokenSuperseded
		expired    = fault.TokenExpired
		registered = fault.EmailAlreadyRegistered
	)
	end := func(d *desk) { d.time.pass(term) }
	accept := func(d *desk, i *Invitation) { require.NoError(d.t, d.redeem(d.code(d.again(i)), ann)) }
	remove := func(d *desk, i *Invitation) { require.NoError(d.t, d.Delete(d.ctx, d.portal, i.ID)) }
	leave := func(d *desk) {
		a, err := d.accounts.ByEmail(d.ctx, d.portal.ID, addressOf(d.t, ann))
		require.NoError(d.t, err)
		require.NoError(d.t, d.remove(a))
	}
	sweep := func(d *desk) {
		_, err := d.repo.Sweep(d.ctx, d.clock.Now().Add(-database.Kept), 100)
		require.NoError(d.t, err)
	}
	cases := map[string]struct {
		happens func(d *desk, i *Invitation)
		want    fault.Code
	}{
		"pending":                      {func(*desk, *Invitation) {}, good},
		"a millisecond before its end": {func(d *desk, _ *Invitation) { d.time.pass(term - time.Millisecond) }, good},
		"at its end":                   {func(d *desk, _ *Invitation) { end(d) }, expired},
		"a registration was made":      {func(d *desk, _ *Invitation) { d.register(ann) }, good},
		"another's invitation was accepted": {func(d *desk, _ *Invitation) {
			require.NoError(d.t, d.redeem(d.code(d.invite("bob@example.com")), "bob@example.com"))
		}, good},
		"accepted":                         {accept, used},
		"accepted, then over":              {func(d *desk, i *Invitation) { accept(d, i); end(d) }, used},
		"accepted, then the person left":   {func(d *desk, i *Invitation) { accept(d, i); leave(d) }, used},
		"accepted, left, invited again":    {func(d *desk, i *Invitation) { accept(d, i); leave(d); d.invite(ann) }, used},
		"accepted, left, made anew":        {func(d *desk, i *Invitation) { accept(d, i); leave(d); d.person(ann) }, used},
		"resent":                           {func(d *desk, i *Invitation) { d.resend(i) }, superseded},
		"resent, then over":                {func(d *desk, i *Invitation) { d.resend(i); end(d) }, superseded},
		"resent, then the newer accepted":  {func(d *desk, i *Invitation) { accept(d, d.resend(i)) }, superseded},
		"resent, then deleted":             {func(d *desk, i *Invitation) { remove(d, d.resend(i)) }, superseded},
		"resent, then an account":          {func(d *desk, i *Invitation) { d.resend(i); d.person(ann) }, superseded},
		"over, then resent":                {func(d *desk, i *Invitation) { end(d); d.resend(i) }, superseded},
		"over, then invited again":         {func(d *desk, _ *Invitation) { end(d); d.invite(ann) }, superseded},
		"over, invited again, accepted":    {func(d *desk, _ *Invitation) { end(d); accept(d, d.invite(ann)) }, superseded},
		"over, invited again, deleted":     {func(d *desk, _ *Invitation) { end(d); remove(d, d.invite(ann)) }, superseded},
		"deleted":                          {remove, expired},
		"deleted, then over":               {func(d *desk, i *Invitation) { remove(d, i); end(d) }, expired},
		"deleted, then an account":         {func(d *desk, i *Invitation) { remove(d, i); d.person(ann) }, expired},
		"deleted, then invited again":      {func(d *desk, i *Invitation) { remove(d, i); d.time.pass(time.Second); d.invite(ann) }, superseded},
		"deleted, invited again at once":   {func(d *desk, i *Invitation) { remove(d, i); d.invite(ann) }, superseded},
		"an account in another way":        {func(d *desk, _ *Invitation) { d.person(ann) }, registered},
		"an account, then over":            {func(d *desk, _ *Invitation) { d.person(ann); end(d) }, registered},
		"over, then an account":            {func(d *desk, _ *Invitation) { end(d); d.person(ann) }, registered},
		"an account, then the person left": {func(d *desk, _ *Invitation) { d.person(ann); leave(d) }, expired},
		"an account, left, invited again":  {func(d *desk, _ *Invitation) { d.person(ann); leave(d); d.invite(ann) }, superseded},
		"swept":                            {func(d *desk, _ *Invitation) { d.time.pass(term + database.Kept + time.Millisecond); sweep(d) }, expired},
		"accepted, swept": {func(d *desk, i *Invitation) {
			accept(d, i)
			d.time.pass(term + database.Kept + time.Millisecond)
			sweep(d)
		}, expired},
		"a restored backup":                  {func(d *desk, i *Invitation) { i.counter = 5 }, expired},
		"a restored backup, then an account": {func(d *desk, i *Invitation) { i.counter = 5; d.person(ann) }, expired},
	}
	each(t, func(t *testing.T, installation *desk) {
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				d := installation.in(installation.addPortal("p"+uuid.NewString(), portal.Open))
				d.t = t
				i := d.invite(ann)
				c.happens(d, i)
				code := d.codeOf(i.serial)
				requireCode(t, c.want, d.verify(code))
				requireCode(t, c.want, d.verify(code)) // it consumes nothing
				forged := []byte(code)
				forged[0] ^= 1
				requireCode(t, fault.TokenInvalid, d.verify(string(forged)))

				accounts := d.count(`SELECT COUNT(*) FROM accounts WHERE portal_id = ?`, d.portal.ID)
				refused := d.audited(audit.InvitationRedeemed, "failure")
				requireCode(t, c.want, d.redeem(code, ann))
				if c.want == good {
					requireCode(t, used, d.verify(code))
					return
				}
				require.Equal(t, accounts, d.count(`SELECT COUNT(*) FROM accounts WHERE portal_id = ?`, d.portal.ID))
				if !strings.HasSuffix(name, "swept") { // when nothing tells any more whose it was
					refused++
				}
				require.Equal(t, refused, d.audited(audit.InvitationRedeemed, "failure"))
			})
		}
	})
}

// TestVerdictsOfKeys checks that a code of an old key is good if its row says so, and that a removed key opens nothing.
func TestVerdictsOfKeys(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		i := d.invite(ann)
		code := d.code(i)
		both := d.with(2, 1)
		require.NoError(t, both.verify(code))
		require.Equal(t, code, both.code(both.again(i)), "the mail that is sent again says the same")

		renewed := both.resend(i)
		require.Equal(t, both.ring.Primary(), renewed.key)
		requireCode(t, fault.TokenSuperseded, both.verify(code))
		byOldKey := renewed.serial
		byOldKey.key = i.key
		requireCode(t, fault.TokenInvalid, both.verify(both.codeOf(byOldKey)))
		requireCode(t, fault.TokenInvalid, both.redeem(both.codeOf(byOldKey), ann))

		removed := d.with(2)
		require.NoError(t, removed.verify(removed.code(renewed)))
		requireCode(t, fault.TokenInvalid, removed.verify(code))
		require.NoError(t, removed.redeem(removed.code(renewed), ann))
	})
}

// TestClockOfAnotherInstance invites an address again on an instance whose clock is behind: the open invitation is the
// newest, even so.
func TestClockOfAnotherInstance(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		d.time.pass(time.Hour)
		older := d.invite(ann)
		require.NoError(t, d.Delete(d.ctx, d.portal, older.ID))
		d.time.pass(-20 * time.Millisecond)
		newer := d.invite(ann)
		require.NoError(t, d.verify(d.code(newer)))
		require.NoError(t, d.redeem(d.code(newer), ann))
		require.Error(t, d.verify(d.codeOf(older.serial)))
	})
}
