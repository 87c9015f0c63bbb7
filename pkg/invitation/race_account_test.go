package invitation

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/fault"
)

// inviteAgain makes several invitations of an address and gives the newest; the older ones have ended.
func (d *desk) inviteAgain(address string) *Invitation {
	d.t.Helper()
	for range 3 {
		d.invite(address)
		d.time.pass(term)
	}
	return d.invite(address)
}

func TestRedeemAgainstCreate(t *testing.T) {
	t.Parallel()
	redeemed, created := outcome{"", fault.EmailAlreadyRegistered}, outcome{fault.EmailAlreadyRegistered, ""}
	eachRound(t, func(t *testing.T, f fleet, nth int, address string) {
		i := f[0].inviteAgain(address)
		code := f[0].code(i)
		ended := requireOneOf(t, atOnce(
			func() error { return f.at(0).redeem(code, address) },
			f.at(1).after(nth%8, func() error {
				_, err := f.at(1).create(address)
				return err
			}),
		), redeemed, created)
		want := holding{accounts: 1}
		if ended == redeemed {
			want.sessions = 1
		}
		require.Equal(t, want, f[0].holding(address))
		require.Equal(t, ended == redeemed, f[0].again(i).AcceptedAt != nil)
	})
}

// TestInviteAgainstCreate invites an address while an administrator makes an account for it. Both may succeed; then the
// account wins.
func TestInviteAgainstCreate(t *testing.T) {
	t.Parallel()
	eachRound(t, func(t *testing.T, f fleet, nth int, address string) {
		var made []Outcome
		answers := atOnce(
			f.at(0).after(nth%8, func() (err error) {
				batch := []New{f[0].wants("new-" + address), f[0].wants(address)}
				made, err = f.at(0).InviteAll(f[0].ctx, f[0].portal, operator, batch)
				return err
			}),
			func() error {
				_, err := f.at(1).create(address)
				return err
			},
		)
		requireTally(t, map[fault.Code]int{"": 2}, answers)
		require.NoError(t, made[0].Err)
		f.requireAccountWins(address, made[1])
	})
}

// TestRedeemAgainstAccountDelete deletes the account as soon as it exists, while others redeem the same code.
func TestRedeemAgainstAccountDelete(t *testing.T) {
	t.Parallel()
	const racers = 4
	eachRound(t, func(t *testing.T, f fleet, nth int, address string) {
		i := f[0].invite(address)
		code := f[0].code(i)
		all := times(racers, func(nth int) error { return f.at(nth).redeem(code, address) })
		answers := atOnce(append(all, func() error {
			d := f.at(nth)
			for {
				a, err := d.accounts.ByEmail(d.ctx, d.portal.ID, addressOf(t, address))
				if !errors.Is(err, database.ErrNotFound) {
					return errors.Join(err, d.remove(a))
				}
			}
		})...)
		requireTally(t, map[fault.Code]int{"": 2, fault.TokenUsed: racers - 1}, answers)
		require.Zero(t, f[0].holding(address))
		f[0].requireErased(i.ID)
		require.NoError(t, f[0].verify(f[0].code(f[0].invite(address))))
	})
}

// TestNoDeadlock deletes, or respells, a registration while another call locks first an invitation and then that
// registration.
func TestNoDeadlock(t *testing.T) {
	t.Parallel()
	acts := map[string]func(d *desk, registration *account.Account) error{
		"delete": (*desk).remove,
		"respell": func(d *desk, registration *account.Account) error {
			respelled := addressOf(d.t, strings.ToUpper(registration.Email.Typed()))
			_, err := d.people.Change(d.ctx, d.portal, registration.ID, account.Changes{Email: &respelled})
			return err
		},
	}
	for name, c := range map[string]struct {
		over bool // whether the invitation is over by then
		call func(d *desk, i *Invitation, address string) error
	}{
		"redeem": {false, func(d *desk, i *Invitation, address string) error {
			return d.redeem(d.codeOf(i.serial), address)
		}},
		"create": {true, func(d *desk, _ *Invitation, address string) error {
			_, err := d.create(address)
			return err
		}},
		"invite": {true, func(d *desk, _ *Invitation, address string) error {
			_, err := d.Invite(d.ctx, d.portal, operator, d.wants(address))
			return err
		}},
		"resend": {true, func(d *desk, i *Invitation, _ string) error {
			_, _, err := d.Resend(d.ctx, d.portal, i.ID)
			return err
		}},
	} {
		for how, act := range acts {
			t.Run(how+" and "+name, func(t *testing.T) {
				t.Parallel()
				eachRound(t, func(t *testing.T, f fleet, nth int, address string) {
					i := f[0].inviteAgain(address)
					if c.over {
						f[0].time.pass(term)
					}
					registration := f[0].register(address)
					possible := []outcome{
						{"", ""}, {fault.NotFound, ""}, // the registration gave way before it was looked at
						{"", fault.TokenExpired}, {"", fault.NotFound}, // the invitation went with it
					}
					if how == "respell" { // which makes it an account
						possible = append(possible, outcome{"", fault.EmailAlreadyRegistered})
					}
					requireOneOf(t, atOnce(
						f.at(0).after(nth%8, func() error { return act(f.at(0), registration) }),
						func() error { return c.call(f.at(1), i, address) },
					), possible...)
				})
			})
		}
	}
}
