package invitation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/fault"
)

func TestInvite(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		wanted := d.wants("Ann@Example.com")
		wanted.Send = true
		i, err := d.Invite(d.ctx, d.portal, operator, wanted)
		require.NoError(t, err)
		now := d.clock.Now()
		require.Equal(t, "Ann@Example.com", i.Email.Typed())
		require.Equal(t, wanted.Roles, i.Roles)
		require.Equal(t, wanted.Entitlements, i.Entitlements)
		require.JSONEq(t, string(wanted.Metadata), string(i.Metadata))
		require.Equal(t, "de", i.Locale)
		require.Equal(t, term, i.Term)
		require.Equal(t, now, i.CreatedAt)
		require.Equal(t, now, i.IssuedAt)
		require.Equal(t, now, *i.SentAt)
		require.Equal(t, now.Add(term), i.ExpiresAt)
		require.Nil(t, i.AcceptedAt)
		require.Equal(t, Pending, i.Status(now))
		require.Equal(t, "operator", i.InvitedBy())
		require.Empty(t, i.InviterName())
		require.NotZero(t, i.DeliveryID)
		require.Equal(t, 1, d.count(`SELECT COUNT(*) FROM deliveries WHERE portal_id = ? AND id = ? AND invitation_id = ?
			AND account_id IS NULL AND generation = 0 AND kind = ? AND locale = 'de'`,
			d.portal.ID, i.DeliveryID, i.ID, delivery.Invited))
		require.Equal(t, 1, d.audited(audit.InvitationCreated, "success"))

		_, err = d.Invite(d.ctx, d.portal, operator, d.wants("ANN@example.COM"))
		require.Equal(t, i.ID, blocking(t, err))
		require.Equal(t, 1, d.audited(audit.InvitationCreated, "failure"))
		require.Equal(t, i, d.again(i), "the one that waits stays as it is")

		unsent := d.invite("bob@example.com")
		require.Nil(t, unsent.SentAt)
		require.Zero(t, unsent.DeliveryID)
		require.Equal(t, 1, d.count(`SELECT COUNT(*) FROM deliveries WHERE portal_id = ?`, d.portal.ID))
	})
}

func TestInvitedBy(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		given, family := "Grace", "Hopper"
		for _, of := range []struct {
			given, family *string
			want          string
		}{{&given, &family, "Grace Hopper"}, {&given, nil, "Grace"}, {nil, &family, "Hopper"}, {nil, nil, ""}} {
			a := d.person(uuid.NewString() + "@example.com")
			_, err := d.people.Change(d.ctx, d.portal, a.ID, account.Changes{GivenName: &of.given, FamilyName: &of.family})
			require.NoError(t, err)
			by := Inviter{AccountID: a.ID}
			i, err := d.Invite(d.ctx, d.portal, by, d.wants(uuid.NewString()+"@example.com"))
			require.NoError(t, err)
			require.Equal(t, a.Email.Typed(), i.InvitedBy())
			require.Equal(t, of.want, i.InviterName())

			require.NoError(t, d.remove(a))
			i = d.again(i)
			require.Empty(t, i.InvitedBy(), "who is gone is not told of")
			require.Empty(t, i.InviterName())
			require.NoError(t, d.verify(d.code(i)), "what he did stands")
		}
	})
}

// TestBatchWithRefusals invites a batch of which some cannot be invited.
func TestBatchWithRefusals(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		d.person("owner@example.com")
		pending := d.invite("pending@example.com")
		expiring := d.wants("expired@example.com")
		expiring.Term = MinTerm
		expired, err := d.Invite(d.ctx, d.portal, operator, expiring)
		require.NoError(t, err)
		deleted := d.invite("deleted@example.com")
		require.NoError(t, d.Delete(d.ctx, d.portal, deleted.ID))
		registration := d.register("unverified@example.com")
		d.time.pass(MinTerm)

		addresses := []string{
			"owner@example.com", "new@example.com", "pending@example.com", "NEW@example.com", "expired@example.com",
			"deleted@example.com", "unverified@example.com", "OWNER@example.com", "last@example.com",
		}
		batch := make([]New, len(addresses))
		for at, address := range addresses {
			batch[at] = d.wants(address)
			batch[at].Send = true
		}
		created, refused := d.audited(audit.InvitationCreated, "success"), d.audited(audit.InvitationCreated, "failure")
		made, err := d.InviteAll(d.ctx, d.portal, operator, batch)
		require.NoError(t, err)
		want := []fault.Code{fault.EmailAlreadyRegistered, "", fault.InvitationPending, fault.InvitationPending, "", "", "",
			fault.EmailAlreadyRegistered, ""}
		require.Len(t, made, len(want))
		for at, m := range made {
			requireCode(t, want[at], m.Err)
			require.Equal(t, addresses[at], m.Invitation.Email.Typed(), "the order is that of what was asked for")
			if m.Err == nil {
				i, err := d.Get(d.ctx, d.portal, m.Invitation.ID)
				require.NoError(t, err)
				require.NoError(t, d.verify(d.code(i)))
			} else {
				_, err := d.Get(d.ctx, d.portal, m.Invitation.ID)
				requireCode(t, fault.NotFound, err)
			}
		}
		require.Equal(t, 5, d.count(`SELECT COUNT(*) FROM deliveries WHERE portal_id = ?`, d.portal.ID))
		require.Equal(t, created+5, d.audited(audit.InvitationCreated, "success"))
		require.Equal(t, refused+4, d.audited(audit.InvitationCreated, "failure"))
		require.NoError(t, d.verify(d.code(pending)))
		requireCode(t, fault.TokenSuperseded, d.verify(d.codeOf(expired.serial)))
		requireCode(t, fault.TokenSuperseded, d.verify(d.codeOf(deleted.serial)))
		_, err = d.people.Get(d.ctx, d.portal, registration.ID)
		requireCode(t, fault.NotFound, err)
		require.Zero(t, d.count(`SELECT COUNT(*) FROM sessions WHERE portal_id = ?`, d.portal.ID), "a registration's sessions end with it")
	})
}

func TestInviteNobody(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		made, err := d.InviteAll(d.ctx, d.portal, operator, nil)
		require.NoError(t, err)
		require.Empty(t, made)
		require.EqualValues(t, 1, d.invite("ann@example.com").number)
	})
}

// TestInviteIsOneTransaction checks that a late failure rolls every write back.
func TestInviteIsOneTransaction(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		registration := d.register("unverified@example.com")
		failed := errors.New("failed")
		require.ErrorIs(t, d.db.InTx(d.ctx, func(ctx context.Context) error {
			batch := []New{d.wants("unverified@example.com"), d.wants("ann@example.com")}
			batch[1].Send = true
			_, err := d.InviteAll(ctx, d.portal, operator, batch)
			require.NoError(t, err)
			return failed
		}), failed)
		for _, table := range []string{"invitations", "invitation_numbers", "deliveries"} {
			require.Zero(t, d.count(`SELECT COUNT(*) FROM `+table+` WHERE portal_id = ?`, d.portal.ID), table)
		}
		_, err := d.people.Get(d.ctx, d.portal, registration.ID)
		require.NoError(t, err)
	})
}

// TestBatchCostsAsMuchAsOne checks that the number of statements does not grow with the batch.
func TestBatchCostsAsMuchAsOne(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		statements := func(from, n int) []string {
			batch := make([]New, n)
			for at := range batch {
				batch[at] = d.wants(fmt.Sprintf("person%d@example.com", from+at))
				batch[at].Send = true
				batch[at].Metadata = json.RawMessage(`{}`)
			}
			ctx, counted := databasetest.CountStatements(d.ctx)
			_, err := d.InviteAll(ctx, d.portal, operator, batch)
			require.NoError(t, err)
			return counted.Texts()
		}
		require.Len(t, statements(0, 1), 10, "numbers held, retire, owned, held, numbers, insert, registrations, pots, messages, audit")
		require.Len(t, statements(1, MaxBatch), 10)
	})
}

// TestInviteAfterExpiry invites an address again at the millisecond in which the older invitation ends, and not before.
func TestInviteAfterExpiry(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		older := d.invite("ann@example.com")
		d.time.pass(term - time.Millisecond)
		_, err := d.Invite(d.ctx, d.portal, operator, d.wants("ann@example.com"))
		require.Equal(t, older.ID, blocking(t, err))
		d.time.pass(time.Millisecond)
		newer := d.invite("ann@example.com")
		require.NotEqual(t, older.ID, newer.ID)
		requireCode(t, fault.TokenSuperseded, d.verify(d.codeOf(older.serial)))
		require.NoError(t, d.redeem(d.code(newer), "ann@example.com"))
		requireCode(t, fault.TokenSuperseded, d.verify(d.codeOf(older.serial)))
	})
}
