package mail_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/mail"
	"github.com/latchkey-auth/latchkey/pkg/mail/smtptest"
)

// patience bounds what a test waits for.
const patience = 20 * time.Second

func sample(to string) *mail.Message {
	id := uuid.Must(uuid.NewV7())
	return &mail.Message{
		From: mail.Address{Name: "Acme", Address: "no-reply@acme.example"}, To: to,
		Subject: "Grüße", Text: "your code is 123456\n", HTML: "<p>your token is a token</p>\n", Date: time.Now(), MessageID: id.String() + "@acme.example",
	}
}

func sender(t *testing.T, relay *smtptest.Server, rawURL string) *mail.SMTP {
	t.Helper()
	s, err := mail.NewSMTP(rawURL, "203.0.113.9")
	require.NoError(t, err)
	mail.Trust(s, relay.CA)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestSecurityOfTheConnection(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]smtptest.Options{
		"plain":             {},
		"login on loopback": {User: "us er", Password: "p@ss:w/rd"},
		"starttls":          {StartTLS: true},
		"starttls, login":   {StartTLS: true, User: "user", Password: "secret"},
		"implicit":          {Implicit: true},
		"implicit, login":   {Implicit: true, User: "user", Password: "secret"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			relay := smtptest.New(t, o)
			s := sender(t, relay, relay.URL())
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			for range 3 {
				answer, err := s.Send(ctx, sample("anna@example.com"), func() {})
				require.NoError(t, err)
				require.NotEmpty(t, answer)
			}
			got := relay.Messages()
			require.Len(t, got, 3)
			require.Equal(t, o.StartTLS || o.Implicit, got[0].Encrypted)
			require.Equal(t, o.User, got[0].User)
			require.Equal(t, "Grüße", got[0].Subject())
			require.Equal(t, 1, relay.Connections()-boolInt(o.StartTLS), "connections are used again")
		})
	}
}

// boolInt counts the second EHLO, after STARTTLS.
func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestFailures(t *testing.T) {
	t.Parallel()
	answers := func(code int) func(string) error {
		return func(string) error {
			refusal := *smtptest.ForNow
			refusal.Code, refusal.EnhancedCode = code, [3]int{code / 100, 0, 0}
			return &refusal
		}
	}
	for name, c := range map[string]struct {
		options smtptest.Options
		arrange func(t *testing.T, relay *smtptest.Server) (rawURL string)
		to      string
		want    mail.Reach
		answer  string
	}{
		"wrong password": {
			options: smtptest.Options{User: "user", Password: "secret"},
			arrange: func(_ *testing.T, relay *smtptest.Server) string {
				return strings.Replace(relay.URL(), "secret", "guess", 1)
			},
			want: mail.Unreached, answer: "535",
		},
		"no login where one is wanted": {
			options: smtptest.Options{User: "user", Password: "secret"},
			arrange: func(_ *testing.T, relay *smtptest.Server) string {
				return strings.Replace(relay.URL(), "user:secret@", "", 1)
			},
			want: mail.Unreached, answer: "530",
		},
		"a certificate that nobody trusts": {
			options: smtptest.Options{Implicit: true},
			arrange: func(_ *testing.T, relay *smtptest.Server) string {
				relay.CA = nil
				return relay.URL()
			},
			want: mail.Unreached, answer: "certificate",
		},
		"down": {
			arrange: func(t *testing.T, relay *smtptest.Server) string {
				relay.Down(t)
				return relay.URL()
			},
			want: mail.Unreached, answer: "cannot be reached",
		},
		"hangs": {
			arrange: func(_ *testing.T, relay *smtptest.Server) string {
				relay.Hang(true)
				return relay.URL()
			},
			want: mail.Unreached, answer: "in time",
		},
		"hangs in the middle": {
			arrange: func(_ *testing.T, relay *smtptest.Server) string {
				relay.HangOn(func(string) bool { return true })
				return relay.URL()
			},
			want: mail.Unreached, answer: "in time",
		},
		"for now": {
			arrange: func(_ *testing.T, relay *smtptest.Server) string {
				relay.Judge(answers(452))
				return relay.URL()
			},
			want: mail.RefusedForNow, answer: "452",
		},
		"for good": {
			arrange: func(_ *testing.T, relay *smtptest.Server) string {
				relay.Judge(answers(554))
				return relay.URL()
			},
			want: mail.RefusedForGood, answer: "554",
		},
		"shutting down": {
			arrange: func(_ *testing.T, relay *smtptest.Server) string {
				relay.Judge(answers(421))
				return relay.URL()
			},
			want: mail.Unreached, answer: "421",
		},
		"an address beyond ASCII": {
			options: smtptest.Options{NoUTF8: true}, to: "müller@example.com",
			arrange: func(_ *testing.T, relay *smtptest.Server) string { return relay.URL() },
			want:    mail.RefusedForGood, answer: "ASCII",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			relay := smtptest.New(t, c.options)
			s := sender(t, relay, c.arrange(t, relay))
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			begun := time.Now()
			to := c.to
			if to == "" {
				to = "anna@example.com"
			}
			_, err := s.Send(ctx, sample(to), func() {})
			require.Less(t, time.Since(begun), 3*time.Second)
			var failed *mail.Failure
			require.ErrorAs(t, err, &failed)
			require.Equal(t, c.want, failed.Reach, failed.Answer)
			require.Contains(t, failed.Answer, c.answer)
			require.NotContains(t, failed.Answer, "secret")
			require.Empty(t, relay.Messages())
		})
	}
}

// After a refusal the connection serves the next mail; after the relay hung up, a new one does.
func TestConnectionsRecover(t *testing.T) {
	t.Parallel()
	relay := smtptest.New(t, smtptest.Options{})
	s := sender(t, relay, relay.URL())
	ctx := context.Background()
	relay.Judge(func(recipient string) error {
		if strings.HasPrefix(recipient, "bad") {
			return smtptest.ForGood
		}
		return nil
	})
	for _, to := range []string{"good@example.com", "bad@example.com", "good@example.com"} {
		_, err := s.Send(ctx, sample(to), func() {})
		require.Equal(t, strings.HasPrefix(to, "good"), err == nil)
	}
	require.Equal(t, 1, relay.Connections())
	relay.Down(t)
	relay.Up(t)
	_, err := s.Send(ctx, sample("good@example.com"), func() {})
	require.NoError(t, err)
	require.Equal(t, 2, relay.Connections())
}

func TestNewSMTPRefusesWhatIsNoURL(t *testing.T) {
	t.Parallel()
	for _, rawURL := range []string{
		"", "relay.example", "http://relay.example", "smtp://", "smtp:relay.example:25", "smtp://u:hushhush@relay.example:0",
		"smtp://u@relay.example", "smtp://:hushhush@relay.example", "smtp://u:hushhush@relay.example/path",
		"smtp://u:hush%zzhush@relay.example", "smtps://u:hushhush@relay.example:99999", "smtp://u:hushhush@relay.example?x=1",
	} {
		_, err := mail.NewSMTP(rawURL, "id.example.com")
		require.Error(t, err, rawURL)
		require.NotContains(t, err.Error(), "hush", rawURL)
	}
	for _, rawURL := range []string{"smtp://relay.example", "smtps://u:p%40ss@relay.example", "smtp://[::1]:2525/"} {
		_, err := mail.NewSMTP(rawURL, "id.example.com")
		require.NoError(t, err, rawURL)
	}
}

// Credentials never cross a network unencrypted.
func TestCredentialsWaitForEncryption(t *testing.T) {
	t.Parallel()
	relay := smtptest.New(t, smtptest.Options{User: "user", Password: "secret"})
	u, err := url.Parse(relay.URL())
	require.NoError(t, err)
	s := sender(t, relay, "smtp://user:secret@relay.example:"+u.Port())
	mail.Redirect(s, u.Host)
	_, err = s.Send(context.Background(), sample("anna@example.com"), func() {})
	var failed *mail.Failure
	require.ErrorAs(t, err, &failed)
	require.Equal(t, mail.Unreached, failed.Reach)
	require.Contains(t, failed.Answer, "STARTTLS")
	require.Empty(t, relay.Messages())
}

func TestMailKeepsItsSecretsInPrint(t *testing.T) {
	t.Parallel()
	m := sample("anna@example.com")
	for _, printed := range []string{fmt.Sprint(m), fmt.Sprintf("%v %+v %#v %s", m, m, m, m), m.LogValue().String()} {
		require.Contains(t, printed, m.MessageID)
		require.NotContains(t, printed, "a token")
		require.NotContains(t, printed, "123456")
		require.NotContains(t, printed, m.To)
	}
}
