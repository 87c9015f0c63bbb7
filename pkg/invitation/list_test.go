package invitation

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/admission"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// listed are the addresses that match a filter.
func (d *desk) listed(f Filter) []string {
	d.t.Helper()
	if f.Limit == 0 {
		f.Limit = 200
	}
	found, err := d.List(d.ctx, d.portal, f)
	require.NoError(d.t, err)
	addresses := []string{}
	for _, i := range found {
		addresses = append(addresses, i.Email.Typed())
		if f.Status != "" {
			require.Equal(d.t, f.Status, i.Status(d.clock.Now()), "what is listed says of itself what it is listed as")
		}
	}
	return addresses
}

func TestListByStatus(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		short := d.wants("short@example.com")
		short.Term = MinTerm
		_, err := d.Invite(d.ctx, d.portal, operator, short)
		require.NoError(t, err)
		d.invite("long@example.com")
		accepted, deleted := d.invite("accepted@example.com"), d.invite("deleted@example.com")
		require.NoError(t, d.redeem(d.code(accepted), "accepted@example.com"))
		require.NoError(t, d.Delete(d.ctx, d.portal, deleted.ID))
		d.invite("taken@example.com")
		d.person("taken@example.com")

		requireLists := func(pending, expired []string) {
			t.Helper()
			require.Equal(t, pending, d.listed(Filter{Status: Pending}))
			require.Equal(t, expired, d.listed(Filter{Status: Expired}))
			require.Equal(t, []string{"accepted@example.com"}, d.listed(Filter{Status: Accepted}))
			require.Len(t, d.listed(Filter{}), 4, "what was deleted is not listed")
		}
		d.time.pass(MinTerm - time.Millisecond)
		requireLists([]string{"long@example.com", "short@example.com"}, []string{"taken@example.com"})
		d.time.pass(time.Millisecond) // the very millisecond of the end
		requireLists([]string{"long@example.com"}, []string{"taken@example.com", "short@example.com"})
		d.time.pass(term)
		requireLists([]string{}, []string{"taken@example.com", "long@example.com", "short@example.com"})
	})
}

// TestTheMillisecondOfTheEnd checks that every call treats an invitation as expired from the same millisecond on.
func TestTheMillisecondOfTheEnd(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		i := d.invite(ann)
		code := d.code(i)
		d.time.pass(term - time.Millisecond)
		holder, err := d.Holder(d.ctx, d.portal, i.Email)
		require.NoError(t, err)
		pending := func() bool {
			return admission.Situation{Portal: d.portal, Invitation: holder.Waiting.Facts(), Now: d.clock.Now()}.Invited()
		}
		require.True(t, pending())
		require.Equal(t, Pending, i.Status(d.clock.Now()))
		require.Equal(t, code, d.code(d.again(i)))
		require.NoError(t, d.verify(code))
		found, err := d.Verify(d.ctx, d.portal, code)
		require.NoError(t, err)

		d.time.pass(time.Millisecond)
		require.False(t, pending())
		require.Equal(t, Expired, i.Status(d.clock.Now()))
		none, err := d.Code(d.portal, d.again(i))
		require.NoError(t, err)
		require.Empty(t, none)
		requireCode(t, fault.TokenExpired, d.verify(code))
		// A person whose password was being hashed as the term ended.
		_, err = d.accept(d.ctx, d.portal, found, given(t, code, ann))
		requireCode(t, fault.TokenExpired, err)
		require.Zero(t, d.count(`SELECT COUNT(*) FROM accounts WHERE portal_id = ?`, d.portal.ID))
	})
}

func TestListPages(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		var want []ids.Invitation
		for _, i := range d.inviteMany(23) {
			want = append(want, i.ID)
		}
		slices.Reverse(want)
		d.time.pass(time.Minute)
		d.resend(d.invite("renewed@example.com"))
		d.in(d.addPortal("other", portal.Open)).invite("elsewhere@example.com")

		var got []ids.Invitation
		filter := Filter{Status: Pending, Query: "PERSON", Limit: 5}
		for page := 0; ; page++ {
			require.Less(t, page, 6)
			found, err := d.List(d.ctx, d.portal, filter)
			require.NoError(t, err)
			require.LessOrEqual(t, len(found), 5)
			if len(found) == 0 {
				break
			}
			for _, i := range found {
				got = append(got, i.ID)
			}
			filter.Before = got[len(got)-1]
		}
		require.Equal(t, want, got, "newest first, each once")
	})
}

func TestListSearches(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		for _, address := range []string{
			"Jürgen.Groß@Bücher.example", "a_b@example.com", "axb@example.com", "50%off@example.com", "wow!@example.com",
			"ΣΊΣΥΦΟΣ@example.gr", "ﬁne@example.org",
		} {
			d.invite(address)
		}
		gone := d.invite("gone@example.com")
		require.NoError(t, d.Delete(d.ctx, d.portal, gone.ID))
		for q, want := range map[string][]string{
			"groß":             {"Jürgen.Groß@Bücher.example"},
			"GROSS":            {"Jürgen.Groß@Bücher.example"},
			"JÜRGEN":           {"Jürgen.Groß@Bücher.example"},
			"ju\u0308rgen":     {"Jürgen.Groß@Bücher.example"},
			"BÜCHER":           {"Jürgen.Groß@Bücher.example"},
			"xn--bcher":        {"Jürgen.Groß@Bücher.example"},
			"  a_b  ":          {"a_b@example.com"},
			"%":                {"50%off@example.com"},
			"_":                {"a_b@example.com"},
			"!":                {"wow!@example.com"},
			"!%":               {},
			"σίσυφος":          {"ΣΊΣΥΦΟΣ@example.gr"},
			"FINE":             {"ﬁne@example.org"},
			"gone":             {},
			"example.com\nexa": {},
			`'; --`:            {},
		} {
			require.Equal(t, want, d.listed(Filter{Query: q}), "%q", q)
		}
	})
}

// TestListOfAnInvitationWithAnAccount lists an invitation whose address got an account in a race: the account wins.
func TestListOfAnInvitationWithAnAccount(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		i := d.besideAnAccount(ann)
		require.Empty(t, d.listed(Filter{Status: Pending}))
		require.Equal(t, []string{ann}, d.listed(Filter{Status: Expired}), "an account made it needless")
		require.NotEqual(t, Pending, d.again(i).Status(d.clock.Now()))
	})
}

// TestAccountWinsOverInvitation checks that an account and an open invitation of one address, as a race may leave them, do
// no harm.
func TestAccountWinsOverInvitation(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *desk) {
		i := d.besideAnAccount(ann)
		code := d.codeOf(i.serial)
		none, err := d.Code(d.portal, i)
		require.NoError(t, err)
		require.Empty(t, none)
		requireCode(t, fault.EmailAlreadyRegistered, d.verify(code))
		requireCode(t, fault.EmailAlreadyRegistered, d.redeem(code, ann))
		_, _, err = d.Resend(d.ctx, d.portal, i.ID)
		requireCode(t, fault.EmailAlreadyRegistered, err)
		_, err = d.sendAgain(ann)
		requireCode(t, fault.EmailAlreadyRegistered, err)
		_, err = d.Invite(d.ctx, d.portal, operator, d.wants(ann))
		requireCode(t, fault.EmailAlreadyRegistered, err)
		_, err = d.create(ann)
		requireCode(t, fault.EmailAlreadyRegistered, err)
		require.NoError(t, d.Delete(d.ctx, d.portal, i.ID))
		requireCode(t, fault.TokenExpired, d.verify(code))
	})
}

// besideAnAccount makes a pending invitation for an address that has an account.
func (d *desk) besideAnAccount(address string) *Invitation {
	d.t.Helper()
	i := d.invite(address)
	moved, parsed := d.person(fmt.Sprintf("%s@example.org", uuid.New())), addressOf(d.t, address)
	d.exec(`UPDATE accounts SET email = ?, email_canonical = ? WHERE portal_id = ? AND id = ?`,
		parsed.Typed(), parsed.Canonical(), d.portal.ID, moved.ID)
	return d.again(i)
}
