package main

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/mail/smtptest"
)

// A stop lets what is being sent be sent, and the next start sends what still waits: nothing has to be found again, and
// nothing comes twice.
func TestStopWithMailInTheQueue(t *testing.T) {
	onEachAtOnce(t, func(t *testing.T, d database.Dialect) {
		relay := smtptest.New(t, smtptest.Options{})
		begun, goOn := make(chan struct{}, 1), make(chan struct{})
		relay.Judge(func(string) error {
			select {
			case begun <- struct{}{}:
			default:
			}
			<-goOn
			return nil
		})
		_, variables := acme(t, d, relay)
		p := serve(t, variables)
		ids := p.registerMany(t, 3*sendingAtOnce)
		<-begun
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
		p.awaitLog(t, "msg=stopping")
		close(goOn)
		require.Zero(t, p.exitCode(t))
		sent := len(relay.Messages())
		require.Positive(t, sent)
		require.Less(t, sent, len(ids))

		p = serve(t, variables)
		relay.Wait(t, len(ids), soon)
		for _, id := range ids {
			p.awaitStatus(t, id, "sent", soon)
		}
		p.stop(t)
		requireOnce(t, relay, ids)
	})
}

// A relay that hangs does not keep the program from ending, and what was broken off is sent after the next start.
func TestStopWhileTheRelayHangs(t *testing.T) {
	onEachAtOnce(t, func(t *testing.T, d database.Dialect) {
		relay := smtptest.New(t, smtptest.Options{})
		relay.Hang(true)
		_, variables := acme(t, d, relay)
		p := serve(t, variables)
		ids := p.registerMany(t, 2*sendingAtOnce)
		require.Eventually(t, func() bool { return relay.Connections() > 0 }, soon, 10*time.Millisecond)
		begun := time.Now()
		p.stop(t)
		t.Logf("the program ended after %v", time.Since(begun).Round(100*time.Millisecond))
		require.Less(t, time.Since(begun), 30*time.Second, "orchestrators kill what takes longer")
		require.Empty(t, relay.Messages())

		relay.Hang(false)
		p = serve(t, variables)
		relay.Wait(t, len(ids), 2*soon)
		for _, id := range ids {
			p.awaitStatus(t, id, "sent", soon)
		}
		p.stop(t)
		requireOnce(t, relay, ids)
	})
}

// registerMany registers people and gives the ids of their mails.
func (p *process) registerMany(t *testing.T, howMany int) []string {
	t.Helper()
	var ids []string
	for i := range howMany {
		ids = append(ids, p.register(t, fmt.Sprintf("person-%d@example.com", i)))
	}
	return ids
}
