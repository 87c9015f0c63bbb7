package invitation

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/fault"
)

// fleet holds the instances of an installation: two that share a Postgres, each with its own connections; or one on
// SQLite, which is embedded.
type fleet []*desk

func eachFleet(t *testing.T, fn func(t *testing.T, f fleet)) {
	t.Helper()
	for _, dialect := range databasetest.Dialects() {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			url := databasetest.URL(t, dialect)
			d := newDesk(t, databasetest.OpenURL(t, url))
			f := fleet{d}
			if dialect == database.Postgres {
				other := assemble(t, databasetest.OpenURL(t, url), d.ring, d.time)
				f = append(f, other.in(d.portal))
			}
			fn(t, f)
		})
	}
}

// at is the instance that the nth caller uses.
func (f fleet) at(nth int) *desk { return f[nth%len(f)] }

// eachRound is eachFleet, repeated with a new address in each round.
func eachRound(t *testing.T, fn func(t *testing.T, f fleet, nth int, address string)) {
	t.Helper()
	eachFleet(t, func(t *testing.T, f fleet) {
		for nth := range rounds {
			fn(t, f, nth, fmt.Sprintf("person%d@example.com", nth))
			f[0].requireSound()
		}
	})
}

// atOnce runs all calls concurrently, and gives their answers in order.
func atOnce(all ...func() error) []error {
	answers, start := make([]error, len(all)), make(chan struct{})
	var running sync.WaitGroup
	for i, call := range all {
		running.Go(func() {
			<-start
			answers[i] = call()
		})
	}
	close(start)
	running.Wait()
	return answers
}

func times(n int, call func(nth int) error) []func() error {
	all := make([]func() error, n)
	for nth := range all {
		all[nth] = func() error { return call(nth) }
	}
	return all
}

// requireTally checks how often each code was answered.
func requireTally(t *testing.T, want map[fault.Code]int, answers []error) {
	t.Helper()
	got := make(map[fault.Code]int)
	for _, err := range answers {
		got[fault.CodeOf(err)]++
	}
	require.Equal(t, want, got, "%v", errors.Join(answers...))
}

// outcome is the answers of all calls of a race.
type outcome [2]fault.Code

// requireOneOf checks that a race of two ended as if one call had come after the other.
func requireOneOf(t *testing.T, answers []error, want ...outcome) outcome {
	t.Helper()
	require.Len(t, answers, 2)
	got := outcome{fault.CodeOf(answers[0]), fault.CodeOf(answers[1])}
	require.Contains(t, want, got, "%v", errors.Join(answers...))
	return got
}

// after runs a call once the database was read n times, so that each round meets the other call at another point.
func (d *desk) after(n int, call func() error) func() error {
	return func() error {
		for range n {
			d.count(`SELECT COUNT(*) FROM invitation_numbers WHERE portal_id = ?`, d.portal.ID)
		}
		return call()
	}
}

// requireSound checks what must be true of a portal after any race.
func (d *desk) requireSound() {
	d.t.Helper()
	id := d.portal.ID
	require.Zero(d.t, d.count(`SELECT COUNT(*) FROM invitations i
		LEFT JOIN accounts a ON a.portal_id = i.portal_id AND a.id = i.account_id
		WHERE i.portal_id = ? AND i.deleted_at IS NULL AND a.id IS NULL
			AND (i.accepted_at IS NOT NULL OR i.account_id IS NOT NULL)`, id), "what was accepted has its account")
	require.Zero(d.t, d.count(`SELECT COUNT(*) - COUNT(DISTINCT account_id) FROM invitations
		WHERE portal_id = ? AND accepted_at IS NOT NULL AND deleted_at IS NULL`, id), "and none has it twice")
	require.Zero(d.t, d.count(`SELECT COUNT(*) FROM invitations WHERE portal_id = ? AND open
		AND (accepted_at IS NOT NULL OR deleted_at IS NOT NULL)`, id), "what is over holds no address")
	require.Zero(d.t, d.count(`SELECT COUNT(*) FROM sessions s
		LEFT JOIN accounts a ON a.portal_id = s.portal_id AND a.id = s.account_id
		WHERE s.portal_id = ? AND a.id IS NULL`, id), "no session is without its account")
	require.Zero(d.t, d.count(`SELECT COUNT(*) FROM invitations i JOIN accounts a ON a.portal_id = i.portal_id
		AND a.id = i.account_id WHERE i.portal_id = ? AND a.email_canonical <> i.email_canonical`, id),
		"the account is of the address that was invited")
}

// holding counts the accounts, pending invitations and sessions of an address.
type holding struct{ accounts, pending, sessions int }

func (d *desk) holding(address string) holding {
	d.t.Helper()
	id, canonical := d.portal.ID, addressOf(d.t, address).Canonical()
	return holding{
		accounts: d.count(`SELECT COUNT(*) FROM accounts WHERE portal_id = ? AND email_canonical = ?`, id, canonical),
		pending:  d.count(`SELECT COUNT(*) FROM invitations WHERE portal_id = ? AND email_canonical = ? AND open`, id, canonical),
		sessions: d.count(`SELECT COUNT(*) FROM sessions s JOIN accounts a ON a.portal_id = s.portal_id AND a.id = s.account_id
			WHERE a.portal_id = ? AND a.email_canonical = ?`, id, canonical),
	}
}
