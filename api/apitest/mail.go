package apitest

import (
	"maps"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/mail/smtptest"
	"github.com/latchkey-auth/latchkey/pkg/typedcode"
)

const (
	MailPatience = time.Minute // how long a mail may take on a machine that others load
	ConfirmPage  = "https://login.acme.example/confirm?token="
	ResetPage    = "https://login.acme.example/new-password?token="
	LoginPage    = "https://login.acme.example/welcome"
	InvitePage   = "https://login.acme.example/join?token="
)

// MailHarness is a harness whose server sends mail to a real relay.
type MailHarness struct {
	*Harness
	Relay   *smtptest.Server
	Mailbox *Mailbox
}

// RowCounts leaves out the queue's own tables while it runs, because its periodic tasks write there.
func (o *MailHarness) RowCounts(t testing.TB) map[string]string {
	t.Helper()
	counts := o.Harness.RowCounts(t)
	if o.Relay != nil {
		maps.DeleteFunc(counts, func(table, _ string) bool { return strings.HasPrefix(table, "river_") })
	}
	return counts
}

// Mailbox keeps every secret that a mail brought.
type Mailbox struct {
	mu    sync.Mutex
	Mails map[string]Mail // by Message-ID
}

// NewWithMail makes a harness with a relay; it sends mail for as long as the test runs.
func NewWithMail(t testing.TB, db *database.DB, adjust ...ServerOption) *MailHarness {
	t.Helper()
	o := &MailHarness{Relay: smtptest.New(t, smtptest.Options{}), Mailbox: &Mailbox{Mails: map[string]Mail{}}}
	o.Harness = New(t, db, append([]ServerOption{o.WithRelay(t)}, adjust...)...)
	o.StartSending(t, o.Server)
	return o
}

// portalLinks are the pages of a portal that mails lead to.
func portalLinks() Object {
	return Object{"links": Object{
		"confirm": ConfirmPage + "{token}", "reset": ResetPage + "{token}", "login": LoginPage, "invitation": InvitePage + "{token}",
	}}
}

// Portal creates a portal whose mails hold links.
func (o *MailHarness) Portal(t testing.TB, settings ...Object) Portal {
	t.Helper()
	return o.Harness.Portal(t, append([]Object{portalLinks()}, settings...)...)
}

// Mail is a mail as a person reads it.
type Mail struct {
	smtptest.Message

	Token string
	Code  string
}

var (
	tokenInText = regexp.MustCompile(`[?&]token=([\w-]+)\n`)
	codeInText  = regexp.MustCompile(`(?m)^    (\d{6}|[0-9A-Z]{4}-[0-9A-Z]{4}|[0-9A-Z]{5}(?:-[0-9A-Z]{5}){3})$`) // the last an invitation's
)

// readSecrets takes the secrets out of a mail.
func (o *MailHarness) readSecrets(m smtptest.Message) Mail {
	l := Mail{Message: m}
	if found := tokenInText.FindStringSubmatch(m.Text); found != nil {
		l.Token = found[1]
	}
	if found := codeInText.FindStringSubmatch(m.Text); found != nil {
		l.Code = found[1]
	}
	o.Log.Forbid(l.Token)
	o.Log.Forbid(l.Code)
	o.Mailbox.mu.Lock()
	defer o.Mailbox.mu.Unlock()
	o.Mailbox.Mails[m.Header.Get("Message-ID")] = l
	return l
}

// wait gives the newest mail that a test looks for.
func (o *MailHarness) wait(t testing.TB, what string, wanted func(smtptest.Message) bool) Mail {
	t.Helper()
	for deadline := time.Now().Add(MailPatience); ; time.Sleep(3 * time.Millisecond) {
		messages := o.Relay.Messages()
		for i := len(messages) - 1; i >= 0; i-- {
			if wanted(messages[i]) {
				return o.readSecrets(messages[i])
			}
		}
		if time.Now().After(deadline) {
			require.FailNow(t, "no mail", "%s is not among %d mails", what, len(messages))
		}
	}
}

// Mail waits for the mail whose receipt is in an answer.
func (o *MailHarness) Mail(t testing.TB, a *Answer) Mail {
	t.Helper()
	id := a.Text("delivery.id")
	return o.wait(t, "the mail of "+id, func(m smtptest.Message) bool {
		return strings.HasPrefix(m.Header.Get("Message-ID"), "<"+id+"@")
	})
}

// MailTo waits for a mail to an address whose subject begins so, and gives the newest.
func (o *MailHarness) MailTo(t testing.TB, to, subject string) Mail {
	t.Helper()
	return o.wait(t, subject+" to "+to, func(m smtptest.Message) bool {
		return m.To[0] == to && strings.HasPrefix(m.Subject(), subject)
	})
}

// AwaitAllSent waits until no message is queued, and gives how many were sent in all.
func (o *MailHarness) AwaitAllSent(t testing.TB) int {
	t.Helper()
	for deadline := time.Now().Add(MailPatience); ; time.Sleep(5 * time.Millisecond) {
		if o.QueryValue(t, "SELECT COUNT(*) FROM deliveries WHERE status IN ('queued', 'delayed')") == "0" {
			return len(o.Relay.Messages())
		}
		require.True(t, time.Now().Before(deadline), "messages are still on their way")
	}
}

// ResendInterval is how long a person has to wait before they can ask for the next secret.
const ResendInterval = time.Minute

// Newcomer is the address that registers in tests.
const Newcomer = "grace@example.com"

// Register registers somebody and gives the answer with its mail.
func (o *MailHarness) Register(t testing.TB, p Portal, members ...Object) (*Answer, Mail) {
	t.Helper()
	body := Object{"email": Newcomer, "password": GoodPassword}
	for _, m := range members {
		for name, value := range m {
			body[name] = value
		}
	}
	a := o.Post(t, p.Front+"/registrations", body).Status(http.StatusCreated)
	return a, o.Mail(t, a)
}

// RequestSecret asks for a secret of a kind, "confirmations" or "password-resets", and gives its mail.
func (o *MailHarness) RequestSecret(t testing.TB, p Portal, kind, email string) Mail {
	t.Helper()
	return o.Mail(t, o.Post(t, p.Front+"/"+kind, Object{"email": email}).Status(http.StatusAccepted))
}

// Verify asks whether a secret is good.
func (o *MailHarness) Verify(t testing.TB, p Portal, kind string, secret Object) *Answer {
	t.Helper()
	return o.Post(t, p.Front+"/"+kind+"/verify", secret)
}

// Redeem redeems a secret; a password goes with those that set one.
func (o *MailHarness) Redeem(t testing.TB, p Portal, kind string, secret Object) *Answer {
	t.Helper()
	body := Object{}
	for name, value := range secret {
		body[name] = value
	}
	if _, set := body["password"]; kind == PasswordResets && !set {
		body["password"] = OtherPassword
	}
	return o.Post(t, p.Front+"/"+kind+"/redeem", body)
}

// The kinds of secrets that mails carry.
const (
	Confirmations  = "confirmations"
	PasswordResets = "password-resets"
)

// ByLink is the body that redeems the token of the mail's link.
func (l Mail) ByLink() Object { return Object{"token": l.Token} }

// ByCode is the body that redeems the code that a person types.
func (l Mail) ByCode(email string) Object { return Object{"email": email, "code": l.Code} }

// WrongCode is the body with another code than that of the mail, of the same form.
func (l Mail) WrongCode(email string) Object {
	digits := typedcode.Alphabet
	if l.Short() {
		digits = digits[:10]
	}
	wrong := []byte(l.Code)
	last := len(wrong) - 1
	wrong[last] = digits[(strings.IndexByte(digits, wrong[last])+1)%len(digits)]
	return Object{"email": email, "code": string(wrong)}
}

// Short reports whether the code is a short one.
func (l Mail) Short() bool { return len(l.Code) == 6 }
