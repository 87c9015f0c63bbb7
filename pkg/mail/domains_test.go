package mail_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/mail"
)

var refusedForNow = mail.Outcome{Reach: mail.RefusedForNow, Answer: "451 later"}

// A domain that hangs takes six sends, and others have theirs.
func TestASlowDomainLeavesRoomForOthers(t *testing.T) {
	t.Parallel()
	d := mail.NewDomains()
	var entered []mail.Entry
	for range 6 {
		entered = append(entered, d.Enter(context.Background(), "slow.example", false))
		require.True(t, entered[len(entered)-1].OK)
	}
	seventh := d.Enter(context.Background(), "slow.example", false)
	require.False(t, seventh.OK)
	require.Empty(t, seventh.Answer)
	require.True(t, d.Enter(context.Background(), "other.example", false).OK)

	time.AfterFunc(50*time.Millisecond, func() { entered[0].Leave(mail.Outcome{Sent: true}) })
	require.True(t, d.Enter(context.Background(), "slow.example", false).OK, "it waits a moment")
}

// After three refusals in a row no other mail is tried for a while, except for first retries; a success ends it.
func TestADomainThatRefuses(t *testing.T) {
	t.Parallel()
	d := mail.NewDomains()
	enter := func(firstRetry bool) mail.Entry { return d.Enter(context.Background(), "dead.example", firstRetry) }
	for range 3 {
		entry := enter(false)
		require.True(t, entry.OK)
		entry.Leave(refusedForNow)
	}
	for range 100 {
		require.Equal(t, "451 later", enter(false).Answer)
	}
	retry := enter(true)
	require.True(t, retry.OK, "the first retry of a mail is not held up")
	require.Equal(t, "451 later", enter(false).Answer)
	retry.Leave(mail.Outcome{Sent: true})
	for range 3 {
		entry := enter(false)
		require.True(t, entry.OK)
		entry.Leave(mail.Outcome{Reach: mail.RefusedForGood})
	}
}

// Trouble with the relay, and a missing answer, say nothing about the domain.
func TestOnlyRefusalsCountAgainstADomain(t *testing.T) {
	t.Parallel()
	d := mail.NewDomains()
	for range 10 {
		for _, reach := range []mail.Reach{mail.Unreached, mail.Unknown} {
			entry := d.Enter(context.Background(), "fine.example", false)
			require.True(t, entry.OK)
			entry.Leave(mail.Outcome{Reach: reach})
		}
	}
}

func TestDomainsAreBounded(t *testing.T) {
	t.Parallel()
	d := mail.NewDomains()
	for i := range 25_000 {
		entry := d.Enter(context.Background(), fmt.Sprintf("domain%d.example", i), false)
		require.True(t, entry.OK)
		entry.Leave(refusedForNow)
	}
	require.LessOrEqual(t, mail.Remembered(d), 10_000)
	healthy := mail.NewDomains()
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			if entry := healthy.Enter(context.Background(), fmt.Sprintf("domain%d.example", i%50), false); entry.OK {
				entry.Leave(mail.Outcome{Sent: true})
			}
		})
	}
	all.Wait()
	require.Zero(t, mail.Remembered(healthy))
}

// One domain that refuses, however many mails, is no outage. Many domains are, and their end wakes waiting mail once.
func TestOutageIsAboutDomains(t *testing.T) {
	t.Parallel()
	o := mail.NewOutage()
	require.True(t, o.Succeeded(), "an outage may have ended before the start")
	for range 100 {
		require.False(t, o.RefusedForNow("dead.example"))
		require.False(t, o.Known())
		require.False(t, o.Succeeded())
	}
	woken := 0
	for range 50 {
		for i := range mail.ManyRefused {
			o.RefusedForNow(fmt.Sprintf("dead%d.example", i))
		}
		require.True(t, o.Known())
		if o.Succeeded() {
			woken++
		}
	}
	require.LessOrEqual(t, woken, 1)
}
