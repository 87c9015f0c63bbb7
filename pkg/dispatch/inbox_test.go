package dispatch

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/mail"
)

// Mails that are sent at once may reach the inbox in any order.
func TestInboxIsSortedByDate(t *testing.T) {
	t.Parallel()
	var inbox Inbox
	now := time.Now()
	for _, later := range []time.Duration{2 * time.Minute, time.Minute, 3 * time.Minute} {
		inbox.add(&outgoing{Message: &mail.Message{Date: now.Add(later)}})
	}
	var order []time.Duration
	for _, m := range inbox.Messages() {
		order = append(order, m.At.Sub(now)/time.Minute)
	}
	require.Equal(t, []time.Duration{3, 2, 1}, order)
}
