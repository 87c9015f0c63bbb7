package api_test

import (
	"context"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/mail"
	"github.com/latchkey-auth/latchkey/pkg/mail/smtptest"
)

// What the tests of mail have in common.
const (
	mailPatience = 20 * time.Second // how long a mail may take on a machine that others load

	confirmPage = "https://login.acme.example/confirm?token="
	resetPage   = "https://login.acme.example/new-password?token="
	loginPage   = "https://login.acme.example/welcome"
	invitePage  = "https://login.acme.example/join?token="
)

// office is a harness whose server sends mail to a real relay.
type office struct {
	*harness
	relay *smtptest.Server
	bag   *bag
}

// counts leaves out the queue's own tables while it is open: its periodic tasks go on there.
func (o *office) counts(t testing.TB) map[string]string {
	t.Helper()
	counts := o.harness.counts(t)
	if o.relay != nil {
		maps.DeleteFunc(counts, func(table, _ string) bool { return strings.HasPrefix(table, "river_") })
	}
	return counts
}

// bag keeps every secret that a mail brought.
type bag struct {
	mu      sync.Mutex
	letters map[string]letter // by Message-ID
}

// newOffice makes one, which is open for as long as the test runs.
func newOffice(t testing.TB, db *database.DB, adjust ...func(*options)) *office {
	t.Helper()
	o := &office{relay: smtptest.New(t, smtptest.Options{}), bag: &bag{letters: map[string]letter{}}}
	o.harness = newHarness(t, db, append([]func(*options){o.sends(t)}, adjust...)...)
	o.open(t, o.server)
	return o
}

// sends is the option of a server that hands its mail to the relay.
func (o *office) sends(t testing.TB) func(*options) {
	t.Helper()
	return func(changed *options) {
		sender, err := mail.NewSMTP(o.relay.URL(), "auth.example")
		require.NoError(t, err)
		changed.App.Sender = sender
	}
}

// open has a server send what is queued.
func (o *office) open(t testing.TB, server *api.Server) {
	t.Helper()
	require.NoError(t, appOf(server).Start(context.Background()))
	t.Cleanup(func() { require.NoError(t, appOf(server).Stop(context.Background())) })
}

// calling is the office with another of its servers to call.
func (o *office) calling(server *api.Server) *office {
	other := *o
	other.harness = o.harness.calling(server)
	return &other
}

// links are the pages of a portal that mails lead to.
func links() object {
	return object{"links": object{
		"confirm": confirmPage + "{token}", "reset": resetPage + "{token}", "login": loginPage, "invitation": invitePage + "{token}",
	}}
}

// portal makes one whose mails hold links.
func (o *office) portal(t testing.TB, settings ...object) portal {
	t.Helper()
	return o.harness.portal(t, append([]object{links()}, settings...)...)
}

// letter is a mail as a person reads it.
type letter struct {
	smtptest.Message

	token string
	code  string
}

var (
	tokenInText = regexp.MustCompile(`[?&]token=([\w-]+)\n`)
	codeInText  = regexp.MustCompile(`(?m)^    (\d{6}|[0-9A-Z]{5}(?:-[0-9A-Z]{5}){3})$`) // the latter an invitation's
)

// read takes the secrets out of a mail.
func (o *office) read(m smtptest.Message) letter {
	l := letter{Message: m}
	if found := tokenInText.FindStringSubmatch(m.Text); found != nil {
		l.token = found[1]
	}
	if found := codeInText.FindStringSubmatch(m.Text); found != nil {
		l.code = found[1]
	}
	o.log.forbid(l.token)
	o.log.forbid(l.code)
	o.bag.mu.Lock()
	defer o.bag.mu.Unlock()
	o.bag.letters[m.Header.Get("Message-ID")] = l
	return l
}

// wait gives the newest mail that a test looks for.
func (o *office) wait(t testing.TB, what string, wanted func(smtptest.Message) bool) letter {
	t.Helper()
	for deadline := time.Now().Add(mailPatience); ; time.Sleep(3 * time.Millisecond) {
		messages := o.relay.Messages()
		for i := len(messages) - 1; i >= 0; i-- {
			if wanted(messages[i]) {
				return o.read(messages[i])
			}
		}
		if time.Now().After(deadline) {
			require.FailNow(t, "no mail", "%s is not among %d mails", what, len(messages))
		}
	}
}

// mail is the one whose receipt stands in an answer.
func (o *office) mail(t testing.TB, a *answer) letter {
	t.Helper()
	id := a.text("delivery.id")
	return o.wait(t, "the mail of "+id, func(m smtptest.Message) bool {
		return strings.HasPrefix(m.Header.Get("Message-ID"), "<"+id+"@")
	})
}

// mailOn is the newest to an address with a subject that begins so.
func (o *office) mailOn(t testing.TB, to, subject string) letter {
	t.Helper()
	return o.wait(t, subject+" to "+to, func(m smtptest.Message) bool {
		return m.To[0] == to && strings.HasPrefix(m.Subject(), subject)
	})
}

// quiet wants every message that was queued to have come to its end, and tells how many were sent in all.
func (o *office) quiet(t testing.TB) int {
	t.Helper()
	for deadline := time.Now().Add(mailPatience); ; time.Sleep(5 * time.Millisecond) {
		if o.sql(t, "SELECT COUNT(*) FROM deliveries WHERE status IN ('queued', 'delayed')") == "0" {
			return len(o.relay.Messages())
		}
		require.True(t, time.Now().Before(deadline), "messages are still on their way")
	}
}

// nextAsk is after what time a person may ask for the next secret.
const nextAsk = time.Minute

// newcomer is who registers in tests.
const newcomer = "grace@example.com"

// registers registers somebody and gives the answer with its mail.
func (o *office) registers(t testing.TB, p portal, members ...object) (*answer, letter) {
	t.Helper()
	body := object{"email": newcomer, "password": goodPassword}
	for _, m := range members {
		for name, value := range m {
			body[name] = value
		}
	}
	a := o.post(t, p.front+"/registrations", body).status(http.StatusCreated)
	return a, o.mail(t, a)
}

// asks asks for a secret of a kind, "confirmations" or "password-resets", and gives its mail.
func (o *office) asks(t testing.TB, p portal, kind, email string) letter {
	t.Helper()
	return o.mail(t, o.post(t, p.front+"/"+kind, object{"email": email}).status(http.StatusAccepted))
}

// verify and redeem give a secret back; a password goes with those that set one.
func (o *office) verify(t testing.TB, p portal, kind string, secret object) *answer {
	t.Helper()
	return o.post(t, p.front+"/"+kind+"/verify", secret)
}

func (o *office) redeem(t testing.TB, p portal, kind string, secret object) *answer {
	t.Helper()
	body := object{}
	for name, value := range secret {
		body[name] = value
	}
	if _, set := body["password"]; kind == resets && !set {
		body["password"] = newPassword
	}
	return o.post(t, p.front+"/"+kind+"/redeem", body)
}

// The kinds of secrets that mails carry.
const (
	confirmations = "confirmations"
	resets        = "password-resets"
)

// byLink and byCode are the two faces of a letter's secret.
func (l letter) byLink() object { return object{"token": l.token} }

func (l letter) byCode(email string) object { return object{"email": email, "code": l.code} }

// wrongCode is one that the letter does not carry.
func (l letter) wrongCode(email string) object {
	wrong := []byte(l.code)
	wrong[5] = '0' + (wrong[5]-'0'+1)%10
	return object{"email": email, "code": string(wrong)}
}
