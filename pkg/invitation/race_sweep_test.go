package invitation

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/fault"
)

// TestInviteAgainstSweep invites addresses again while their old invitations are swept.
func TestInviteAgainstSweep(t *testing.T) {
	t.Parallel()
	const many = 100
	eachFleet(t, func(t *testing.T, f fleet) {
		d := f[0]
		batch := make([]New, many)
		for round := range rounds {
			for at := range batch {
				batch[at] = d.wants(fmt.Sprintf("person%03d@example.com", many-at)) // by name the other way round
			}
			answers := atOnce(
				func() error {
					_, err := f.at(0).InviteAll(d.ctx, d.portal, operator, batch)
					return err
				},
				f.at(1).after(round%4, func() error {
					_, err := f.at(1).repo.Sweep(d.ctx, d.clock.Now().Add(-database.Kept), 500)
					return err
				}),
			)
			requireTally(t, map[fault.Code]int{"": 2}, answers)
			require.Equal(t, many, d.count(`SELECT COUNT(*) FROM invitations WHERE portal_id = ? AND open AND expires_at > ?`,
				d.portal.ID, d.time.millis.Load()))
			d.time.pass(term + database.Kept + time.Millisecond)
		}
	})
}

// TestInviteAgainstSweepOfRegistrations invites addresses while their old registrations are swept.
func TestInviteAgainstSweepOfRegistrations(t *testing.T) {
	t.Parallel()
	const many = 100
	eachFleet(t, func(t *testing.T, f fleet) {
		d := f[0]
		for round := range rounds {
			batch := make([]New, many)
			var registrations database.Values
			for at := range batch {
				batch[at] = d.wants(fmt.Sprintf("person%d-%03d@example.com", round, many-at)) // by name the other way round
				registrations.Row(d.portal.ID, uuid.New(), batch[at].Email.Typed(), batch[at].Email.Canonical(), "en", "[]", "[]", "{}",
					uuid.New(), false, "", 0, 0, 0)
			}
			d.exec(`INSERT INTO accounts (portal_id, id, email, email_canonical, locale, roles, entitlements, metadata,
				security_stamp, opted_out, search, created_at, updated_at, claimed_at) VALUES `+registrations.SQL(), registrations.Args...)
			answers := atOnce(
				func() error {
					_, err := f.at(0).InviteAll(d.ctx, d.portal, operator, batch)
					return err
				},
				f.at(1).after(round%8, func() error {
					_, err := f.at(1).accounts.SweepUnverified(d.ctx, d.clock.Now().Add(-database.Kept), 500)
					return err
				}),
			)
			requireTally(t, map[fault.Code]int{"": 2}, answers)
			require.Zero(t, d.count(`SELECT COUNT(*) FROM accounts WHERE portal_id = ?`, d.portal.ID))
		}
	})
}
