package invitation

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/fault"
)

func TestOneRedeems(t *testing.T) {
	t.Parallel()
	const racers = 20
	eachRound(t, func(t *testing.T, f fleet, _ int, address string) {
		code := f[0].code(f[0].invite(address))
		answers := atOnce(times(racers, func(nth int) error { return f.at(nth).redeem(code, address) })...)
		requireTally(t, map[fault.Code]int{"": 1, fault.TokenUsed: racers - 1}, answers)
		require.Equal(t, holding{accounts: 1, sessions: 1}, f[0].holding(address))
	})
}

func TestOneInvites(t *testing.T) {
	t.Parallel()
	const racers = 12
	eachRound(t, func(t *testing.T, f fleet, nth int, address string) {
		sent := f[0].audited(audit.InvitationCreated, "success")
		answers := atOnce(times(racers, func(nth int) error {
			wanted := f[0].wants(address)
			wanted.Send = true
			_, err := f.at(nth).Invite(f[0].ctx, f[0].portal, operator, wanted)
			return err
		})...)
		requireTally(t, map[fault.Code]int{"": 1, fault.InvitationPending: racers - 1}, answers)
		require.Equal(t, holding{pending: 1}, f[0].holding(address))
		waiting := f[0].listed(Filter{Query: address})
		require.Equal(t, []string{address}, waiting)
		found, err := f[0].List(f[0].ctx, f[0].portal, Filter{Query: address, Limit: 2})
		require.NoError(t, err)
		for _, err := range answers {
			if err != nil {
				require.Equal(t, found[0].ID, blocking(t, err))
			}
		}
		require.Equal(t, sent+1, f[0].audited(audit.InvitationCreated, "success"))
		require.Equal(t, nth+1, f[0].count(`SELECT COUNT(*) FROM deliveries WHERE portal_id = ?`, f[0].portal.ID))
	})
}

// TestBatchesOverlap invites the same addresses in concurrent batches of opposite order. Some have a registration, some an
// ended invitation.
func TestBatchesOverlap(t *testing.T) {
	t.Parallel()
	const batches, size = 4, 40
	eachFleet(t, func(t *testing.T, f fleet) {
		d := f[0]
		for round := range rounds / 5 {
			addresses := make([]string, size)
			for at := range addresses {
				addresses[at] = fmt.Sprintf("person%d-%d@example.com", round, at)
				if at%4 == 0 {
					d.invite(addresses[at])
				}
			}
			d.time.pass(term)
			for at := 2; at < size; at += 3 {
				d.register(addresses[at])
			}
			all := make([][]Outcome, batches)
			answers := atOnce(times(batches, func(nth int) (err error) {
				batch := make([]New, size)
				for at := range batch {
					batch[at] = d.wants(addresses[at])
				}
				if nth%2 == 1 {
					slices.Reverse(batch)
				}
				all[nth], err = f.at(nth/2).InviteAll(d.ctx, d.portal, operator, batch)
				return err
			})...)
			requireTally(t, map[fault.Code]int{"": batches}, answers)
			for at, address := range addresses {
				var each []error
				for nth, made := range all {
					if nth%2 == 1 {
						at = size - 1 - at
					}
					require.Equal(t, address, made[at].Invitation.Email.Typed())
					each = append(each, made[at].Err)
					if nth%2 == 1 {
						at = size - 1 - at
					}
				}
				requireTally(t, map[fault.Code]int{"": 1, fault.InvitationPending: batches - 1}, each)
				require.Equal(t, holding{pending: 1}, d.holding(address))
			}
			d.requireSound()
		}
		require.Zero(t, d.count(`SELECT COUNT(*) - COUNT(DISTINCT number) FROM invitations WHERE portal_id = ?`, d.portal.ID))
	})
}

func TestRedeemAgainstDelete(t *testing.T) {
	t.Parallel()
	redeemed, deleted := outcome{"", fault.EmailAlreadyRegistered}, outcome{fault.TokenExpired, ""}
	eachRound(t, func(t *testing.T, f fleet, nth int, address string) {
		i := f[0].invite(address)
		code := f[0].code(i)
		ended := requireOneOf(t, atOnce(
			func() error { return f.at(0).redeem(code, address) },
			f.at(1).after(nth%8, func() error { return f.at(1).Delete(f[0].ctx, f[0].portal, i.ID) }),
		), redeemed, deleted)
		if ended == redeemed {
			require.Equal(t, holding{accounts: 1, sessions: 1}, f[0].holding(address))
			requireCode(t, fault.TokenUsed, f[0].verify(code))
			return
		}
		require.Zero(t, f[0].holding(address))
		f[0].requireErased(i.ID)
		require.NoError(t, f[0].verify(f[0].code(f[0].invite(address))), "the address is free")
	})
}

func TestRedeemAgainstResend(t *testing.T) {
	t.Parallel()
	redeemed, resent := outcome{"", fault.EmailAlreadyRegistered}, outcome{fault.TokenSuperseded, ""}
	eachRound(t, func(t *testing.T, f fleet, nth int, address string) {
		i := f[0].invite(address)
		code := f[0].code(i)
		ended := requireOneOf(t, atOnce(
			func() error { return f.at(0).redeem(code, address) },
			f.at(1).after(nth%8, func() error {
				_, _, err := f.at(1).Resend(f[0].ctx, f[0].portal, i.ID)
				return err
			}),
		), redeemed, resent)
		if ended == redeemed {
			require.Equal(t, holding{accounts: 1, sessions: 1}, f[0].holding(address))
			require.Zero(t, f[0].count(`SELECT COUNT(*) FROM deliveries WHERE portal_id = ? AND invitation_id = ?`,
				f[0].portal.ID, i.ID), "nothing is mailed of what is used up")
			return
		}
		require.Equal(t, holding{pending: 1}, f[0].holding(address))
		require.NoError(t, f[0].redeem(f[0].code(f[0].again(i)), address))
	})
}

// TestResendAgainstResend resends an invitation concurrently: the cool-down admits one.
func TestResendAgainstResend(t *testing.T) {
	t.Parallel()
	const racers = 8
	eachRound(t, func(t *testing.T, f fleet, _ int, address string) {
		i := f[0].invite(address)
		answers := atOnce(times(racers, func(nth int) error {
			_, _, err := f.at(nth).Resend(f[0].ctx, f[0].portal, i.ID)
			return err
		})...)
		requireTally(t, map[fault.Code]int{"": 1, fault.ResendTooSoon: racers - 1}, answers)
		require.EqualValues(t, 1, f[0].again(i).counter)
	})
}

// TestInviteAgainstDelete frees an address on one instance while the other invites it anew.
func TestInviteAgainstDelete(t *testing.T) {
	t.Parallel()
	invited, refused := outcome{"", ""}, outcome{"", fault.InvitationPending}
	eachRound(t, func(t *testing.T, f fleet, nth int, address string) {
		i := f[0].invite(address)
		ended := requireOneOf(t, atOnce(
			func() error { return f.at(0).Delete(f[0].ctx, f[0].portal, i.ID) },
			f.at(1).after(nth%4, func() error {
				_, err := f.at(1).Invite(f[0].ctx, f[0].portal, operator, f[0].wants(address))
				return err
			}),
		), invited, refused)
		want := holding{}
		if ended == invited {
			want.pending = 1
			requireCode(t, fault.TokenSuperseded, f[0].verify(f[0].codeOf(i.serial)))
		}
		require.Equal(t, want, f[0].holding(address))
	})
}

// TestInviteAgainstRedeem invites a batch again while its invitations are redeemed. If an account comes first, the newer
// invitation is worth nothing.
func TestInviteAgainstRedeem(t *testing.T) {
	t.Parallel()
	eachRound(t, func(t *testing.T, f fleet, nth int, address string) {
		code := f[0].code(f[0].invite(address))
		var made []Outcome
		answers := atOnce(
			f.at(0).after(nth%8, func() (err error) {
				batch := []New{f[0].wants("new-" + address), f[0].wants(address), f[0].wants("newer-" + address)}
				made, err = f.at(0).InviteAll(f[0].ctx, f[0].portal, operator, batch)
				return err
			}),
			func() error { return f.at(1).redeem(code, address) },
		)
		requireTally(t, map[fault.Code]int{"": 2}, answers)
		require.NoError(t, made[0].Err)
		require.NoError(t, made[2].Err)
		f.requireAccountWins(address, made[1])
		requireCode(t, fault.TokenUsed, f[0].verify(code))
	})
}

// requireAccountWins checks that an address that was invited while it got an account has the account, and no invitation
// that is worth anything.
func (f fleet) requireAccountWins(address string, m Outcome) {
	d := f[0]
	d.t.Helper()
	got := d.holding(address)
	require.Equal(d.t, 1, got.accounts)
	if m.Err != nil {
		require.Contains(d.t, []fault.Code{fault.InvitationPending, fault.EmailAlreadyRegistered}, fault.CodeOf(m.Err))
		require.Zero(d.t, got.pending)
		return
	}
	requireCode(d.t, fault.EmailAlreadyRegistered, d.redeem(d.codeOf(m.Invitation.serial), address))
	_, err := d.sendAgain(address)
	requireCode(d.t, fault.EmailAlreadyRegistered, err)
	_, err = d.Invite(d.ctx, d.portal, operator, d.wants(address))
	requireCode(d.t, fault.EmailAlreadyRegistered, err)
}
