package mail_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/mail"
	"github.com/latchkey-auth/latchkey/pkg/mail/smtptest"
)

// buffer is a log that many write.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func scripted(t *testing.T, rawURL string) (*mail.SMTP, *buffer) {
	t.Helper()
	s, err := mail.NewSMTP(rawURL, "id.example.com")
	require.NoError(t, err)
	log := new(buffer)
	s.Log = slog.New(slog.NewTextHandler(log, nil))
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s, log
}

// A relay that offers STARTTLS and breaks it gets mail unencrypted, with a warning (RFC 7435).
func TestBrokenStartTLSIsLeftOut(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"refused": "454 4.7.0 TLS not available", "no handshake": "220 go on", "not known": "502 what?",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			relay := smtptest.NewScripted(t, smtptest.Script{Keywords: []string{"STARTTLS"}, StartTLS: answer})
			s, log := scripted(t, relay.URL(""))
			for range 2 {
				_, err := s.Send(context.Background(), sample("anna@example.com"), func() {})
				require.NoError(t, err)
			}
			require.Equal(t, 2, relay.Taken())
			require.Equal(t, 1, strings.Count(log.String(), "level=WARN"), log)
			require.Contains(t, log.String(), "unencrypted")
		})
	}
}

// Credentials, and mail that must be encrypted, wait until STARTTLS works.
func TestBrokenStartTLSStopsWhatMustBeEncrypted(t *testing.T) {
	t.Parallel()
	for name, arrange := range map[string]func(relay *smtptest.Scripted) string{
		"credentials": func(relay *smtptest.Scripted) string { return relay.URL("user:secret") },
		"required":    func(relay *smtptest.Scripted) string { return relay.URL("") + "?tls=required" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, answer := range []string{"454 4.7.0 TLS not available", "220 go on"} {
				relay := smtptest.NewScripted(t, smtptest.Script{Keywords: []string{"STARTTLS", "AUTH PLAIN"}, StartTLS: answer})
				s, _ := scripted(t, arrange(relay))
				_, err := s.Send(context.Background(), sample("anna@example.com"), func() {})
				var failed *mail.Failure
				require.ErrorAs(t, err, &failed)
				require.Equal(t, mail.Unreached, failed.Reach)
				require.Zero(t, relay.Taken())
				require.NotContains(t, relay.Commands(), "AUTH")
			}
		})
	}
}

// tls=required wants STARTTLS and a certificate that can be trusted.
func TestRequiredTLS(t *testing.T) {
	t.Parallel()
	relay := smtptest.New(t, smtptest.Options{StartTLS: true})
	trusting, err := mail.NewSMTP(relay.URL()+"?tls=required", "id.example.com")
	require.NoError(t, err)
	mail.Trust(trusting, relay.CA)
	_, err = trusting.Send(context.Background(), sample("anna@example.com"), func() {})
	require.NoError(t, err)
	require.True(t, relay.Messages()[0].Encrypted)

	plain := smtptest.New(t, smtptest.Options{})
	for rawURL, answer := range map[string]string{
		relay.URL() + "?tls=required": "certificate", plain.URL() + "?tls=required": "does not offer STARTTLS",
	} {
		s, err := mail.NewSMTP(rawURL, "id.example.com")
		require.NoError(t, err)
		_, err = s.Send(context.Background(), sample("anna@example.com"), func() {})
		var failed *mail.Failure
		require.ErrorAs(t, err, &failed)
		require.Equal(t, mail.Unreached, failed.Reach)
		require.Contains(t, failed.Answer, answer)
	}
	require.Len(t, relay.Messages(), 1)
	require.Empty(t, plain.Messages())
}

func TestUnverified(t *testing.T) {
	t.Parallel()
	for rawURL, want := range map[string]bool{
		"smtp://relay.example": true, "smtp://relay.example:25?tls=required": false, "smtps://relay.example": false,
		"smtp://u:p@relay.example": false, "smtp://localhost:2525": false, "smtp://127.0.0.1": false,
	} {
		s, err := mail.NewSMTP(rawURL, "id.example.com")
		require.NoError(t, err)
		require.Equal(t, want, s.Unverified(), rawURL)
	}
	for _, rawURL := range []string{
		"smtp://relay.example?tls=optional", "smtp://relay.example?tls=required&x=1", "smtp://relay.example?TLS=required",
	} {
		_, err := mail.NewSMTP(rawURL, "id.example.com")
		require.Error(t, err, rawURL)
	}
}

// Keywords are read in either case (RFC 5321 §2.4).
func TestKeywordsInLowerCase(t *testing.T) {
	t.Parallel()
	relay := smtptest.NewScripted(t, smtptest.Script{Keywords: []string{"8bitmime", "smtputf8", "auth login plain"}})
	s, _ := scripted(t, relay.URL("user:secret"))
	_, err := s.Send(context.Background(), sample("müller@example.com"), func() {})
	require.NoError(t, err)
	require.Equal(t, 1, relay.Taken())
	require.True(t, slices.Contains(relay.Commands(), "AUTH"))

	encrypting := smtptest.NewScripted(t, smtptest.Script{Keywords: []string{"starttls"}, StartTLS: "454 no"})
	s, _ = scripted(t, encrypting.URL(""))
	_, err = s.Send(context.Background(), sample("anna@example.com"), func() {})
	require.NoError(t, err)
	require.Contains(t, encrypting.Commands(), "STARTTLS")
}

// The relay may take as long as RFC 5321 §4.5.3.2 says.
func TestTimes(t *testing.T) {
	t.Parallel()
	s, err := mail.NewSMTP("smtp://relay.example", "id.example.com")
	require.NoError(t, err)
	require.Equal(t, mail.Times{
		Connect: 30 * time.Second, Greeting: 5 * time.Minute, Setup: 25 * time.Second, Command: 5 * time.Minute,
		Data: 2 * time.Minute, Block: 3 * time.Minute, Taken: 10 * time.Minute,
	}, s.Times)
}

func TestSlowSteps(t *testing.T) {
	t.Parallel()
	relay := smtptest.NewScripted(t, smtptest.Script{GreetAfter: time.Second, AnswerAfter: time.Second})
	s, _ := scripted(t, relay.URL(""))
	s.Times.Command, s.Times.Data, s.Times.Block = 500*time.Millisecond, 500*time.Millisecond, 500*time.Millisecond
	_, err := s.Send(context.Background(), sample("anna@example.com"), func() {})
	require.NoError(t, err, "each step has a time of its own")

	for name, limit := range map[string]func(*mail.SMTP){
		"greeting": func(s *mail.SMTP) { s.Times.Greeting = 100 * time.Millisecond },
		"taken":    func(s *mail.SMTP) { s.Times.Taken = 100 * time.Millisecond },
	} {
		s, _ := scripted(t, relay.URL(""))
		limit(s)
		dotted := false
		_, err := s.Send(context.Background(), sample("anna@example.com"), func() { dotted = true })
		var failed *mail.Failure
		require.ErrorAs(t, err, &failed, name)
		require.Equal(t, name == "taken", failed.Reach == mail.Unknown, name)
		require.Equal(t, name == "taken", dotted, name)
	}
}

// A relay that is silent, hangs up or is left after the final dot may have taken the mail.
func TestNoAnswerAfterTheDot(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]smtptest.Script{
		"hung up": {HangUp: true}, "left": {AnswerAfter: time.Hour},
	} {
		relay := smtptest.NewScripted(t, script)
		s, _ := scripted(t, relay.URL(""))
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		_, err := s.Send(ctx, sample("anna@example.com"), func() {})
		var failed *mail.Failure
		require.ErrorAs(t, err, &failed, name)
		require.Equal(t, mail.Unknown, failed.Reach, name)
		require.Equal(t, 1, relay.Taken(), name)
	}
}
