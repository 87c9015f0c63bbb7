package dispatch

import (
	"slices"
	"sync"
	"time"
)

// inboxSize is how many messages a developer's inbox keeps.
const inboxSize = 200

// Inbox keeps copies of the last messages that were sent, for a developer. The copies hold secrets and are kept in
// memory only. The zero Inbox is ready to use.
type Inbox struct {
	mu    sync.Mutex
	mails []*outgoing // oldest first
}

// Received is a message in the inbox.
type Received struct {
	To      string
	Subject string
	Text    string
	HTML    string
	Token   string
	Code    string
	Link    string
	At      time.Time
}

func (i *Inbox) add(m *outgoing) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.mails) == inboxSize {
		i.mails = slices.Delete(i.mails, 0, 1)
	}
	i.mails = append(i.mails, m)
	// Mails that are sent at once may be added in another order than they were written.
	slices.SortStableFunc(i.mails, func(a, b *outgoing) int { return a.Date.Compare(b.Date) })
}

// Messages lists the messages in the inbox, newest first.
func (i *Inbox) Messages() []Received {
	i.mu.Lock()
	defer i.mu.Unlock()
	all := make([]Received, 0, len(i.mails))
	for _, m := range slices.Backward(i.mails) {
		all = append(all, Received{
			To: m.To, Subject: m.Subject, Text: m.Text, HTML: m.HTML, Token: m.token, Code: m.code, Link: m.link, At: m.Date,
		})
	}
	return all
}
