package dispatch_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/dispatch"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/mail/smtptest"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// bulkMessages is how many messages a bulk has: 10,000 with LATCHKEY_TEST_MAIL=all.
func bulkMessages() int {
	if os.Getenv("LATCHKEY_TEST_MAIL") == "all" {
		return 10_000
	}
	return 1000
}

// notice is a message without a secret, which is quick to make.
func (f *fixture) notice(address string) delivery.Message {
	f.t.Helper()
	m := f.reset(f.person(address, ""))
	m.Kind, m.Purpose = delivery.PasswordChanged, ""
	return m
}

// A person's reset is sent within 2 s, although one tenant's bulk waits, one domain refuses its mail slowly, and another
// does not answer at all.
func TestAPersonDoesNotWaitForOthers(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		f := newFixture(t, db, nil)
		other, err := f.portals.Create(context.Background(), "other", func() portal.Settings {
			settings := portal.Defaults()
			settings.Name = "Other"
			return settings
		}())
		require.NoError(t, err)
		relay := smtptest.New(t, smtptest.Options{})
		var tries atomic.Int32
		relay.Judge(func(recipient string) error {
			if strings.HasSuffix(recipient, "@dead.example") {
				tries.Add(1)
				time.Sleep(time.Second)
				return smtptest.ForNow
			}
			time.Sleep(20 * time.Millisecond) // a relay on the network
			return nil
		})
		relay.HangOn(func(recipient string) bool { return strings.HasSuffix(recipient, "@silent.example") })
		s := f.service(func(o *dispatch.Dependencies) {
			f.over(relay)(o)
			o.FirstRetry, o.ProbeEvery = 0, 0 // as in production
		})
		f.start(s)
		reset := func(address string) time.Duration {
			m := f.reset(f.person(address, ""))
			begun := time.Now()
			f.send(s, m)
			f.becomes(m.ID, delivery.Sent)
			return time.Since(begun)
		}
		alone := reset("alone@fine.example") // tests share the machine
		bulk := bulkMessages()
		invitations := make([]delivery.Message, 0, 100)
		recipient := f.person("bulk@bulk.example", "")
		for i := range bulk {
			m := f.copyOf(recipient)
			invitations = append(invitations, m)
			if len(invitations) == 100 || i == bulk-1 {
				_, err := s.SendAll(context.Background(), other, invitations)
				require.NoError(t, err)
				invitations = invitations[:0]
			}
		}
		for i := range 50 {
			f.send(s, f.notice(fmt.Sprintf("person%d@dead.example", i)))
			if i < 10 {
				f.send(s, f.notice(fmt.Sprintf("person%d@silent.example", i)))
			}
		}
		for i := range 6 {
			time.Sleep(500 * time.Millisecond)
			took := reset(fmt.Sprintf("person%d@fine.example", i))
			t.Logf("alone %v, among others %v", alone, took)
			require.Less(t, took, 2*time.Second+alone)
		}
		require.Less(t, tries.Load(), int32(20), "a domain that refuses is not asked for every mail")
		relay.HangOn(nil)
		relay.Hang(false)
	})
}

// copyOf is one of many messages to the same recipient.
func (f *fixture) copyOf(a *account.Account) delivery.Message {
	f.t.Helper()
	id, err := ids.New[ids.Delivery]()
	require.NoError(f.t, err)
	return delivery.Message{ID: id, Kind: delivery.PasswordChanged, Account: a, Locale: "en", ByAdministrator: true}
}
