package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/dispatch"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/mail/smtptest"
	"github.com/latchkey-auth/latchkey/pkg/onetime"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

func TestMailArrives(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		support := "help@acme.example"
		f := newFixture(t, db, func(s *portal.Settings) { s.Support.Email = &support })
		relay := smtptest.New(t, smtptest.Options{})
		s := f.started(f.over(relay))
		m := f.reset(f.person("Anna.Berg@Example.COM", "Anna"))
		receipt := f.send(s, m)
		require.Equal(t, delivery.Queued, receipt.Status)
		require.Equal(t, "A•••@Example.COM", *receipt.To)
		require.Equal(t, "no-reply@id.example.com", receipt.Sender)
		require.Equal(t, delivery.Email, receipt.Channel)

		mails := relay.Wait(t, 1, patience)
		got := mails[0]
		require.Equal(t, []string{"Anna.Berg@example.com"}, got.To)
		require.Equal(t, "no-reply@id.example.com", got.From)
		require.False(t, got.UTF8)

		require.Equal(t, "<"+m.ID.String()+"@id.example.com>", got.Header.Get("Message-Id"))
		require.Equal(t, "auto-generated", got.Header.Get("Auto-Submitted"))
		require.Equal(t, `"Acme Ltd" <no-reply@id.example.com>`, got.Header.Get("From"))
		require.Equal(t, "<Anna.Berg@example.com>", got.Header.Get("To"))
		require.Equal(t, "<help@acme.example>", got.Header.Get("Reply-To"))
		require.Equal(t, "Reset your password for Acme Ltd", got.Subject())
		require.Empty(t, got.Header.Get("User-Agent"))
		date, err := mail.ParseDate(got.Header.Get("Date"))
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), date, time.Minute)

		link := "https://login.acme.example/reset#" + f.secret(m).Token
		for _, part := range []string{got.Text, got.HTML} {
			require.Contains(t, part, "Hello Anna,")
			require.Contains(t, part, link)
			require.Contains(t, part, f.secret(m).Code)
			require.Contains(t, part, "valid for 2 days")
			require.Contains(t, part, "192.0.2.7")
			require.Contains(t, part, "help@acme.example")
		}
		require.Contains(t, got.HTML, `href="`+link+`"`)

		r := f.becomes(m.ID, delivery.Sent)
		require.Equal(t, 1, r.Attempts)
		require.NotNil(t, r.SentAt)
		require.Nil(t, r.NextAttemptAt)
		require.Contains(t, r.ProviderAnswer, "OK")
		after, err := s.Receipt(context.Background(), f.portal, m.ID)
		require.NoError(t, err)
		require.Equal(t, delivery.Sent, after.Status)
		require.Equal(t, receipt.To, after.To)
		require.False(t, s.Degraded(context.Background()))
		require.True(t, s.Configured())
	})
}

func TestNothingIsQueuedByAFailedTransaction(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		f := newFixture(t, db, nil)
		relay := smtptest.New(t, smtptest.Options{})
		s := f.started(f.over(relay))
		undone, kept := f.reset(f.person("undone@example.com", "")), f.reset(f.person("kept@example.com", ""))
		refused := errors.New("refused")
		err := db.InTx(context.Background(), func(ctx context.Context) error {
			_, err := s.Send(ctx, f.portal, undone)
			require.NoError(t, err)
			return refused
		})
		require.ErrorIs(t, err, refused)
		f.send(s, kept)
		f.becomes(kept.ID, delivery.Sent)
		require.Len(t, relay.Messages(), 1)
		_, err = s.Receipt(context.Background(), f.portal, undone.ID)
		require.Equal(t, fault.NotFound, fault.CodeOf(err))
	})
}

func TestNobodyGetsNothing(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		f := newFixture(t, db, func(s *portal.Settings) { s.Enumeration = portal.Private })
		relay := smtptest.New(t, smtptest.Options{})
		s := f.started(f.over(relay))
		m := f.reset(nil)
		m.Typed = "stranger@example.com"
		require.Equal(t, "s•••@example.com", *f.send(s, m).To)
		r := f.becomes(m.ID, delivery.Sent)
		require.Zero(t, r.Attempts)
		require.Zero(t, relay.Connections())
	})
}

// The link and the sender are the portal's alone, and the recipient is the stored address for every spelling.
func TestOneRecipientForHostileInput(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.Open(t, database.SQLite), nil)
	relay := smtptest.New(t, smtptest.Options{})
	s := f.started(f.over(relay))
	for i, pair := range [][2]string{
		{"plain@example.com", "plain@example.com"},
		{" Spaced+Tag@EXAMPLE.com ", "Spaced+Tag@example.com"},
		{"o'neil=a@example.com", "o'neil=a@example.com"},
		{"{curly}|pipe@example.com", "{curly}|pipe@example.com"},
		{"müller@bücher.example", "müller@xn--bcher-kva.example"},
		{"ｆｕｌｌ＠ｅｘａｍｐｌｅ.com", "full@example.com"},
		{"аnna@example.com", "аnna@example.com"}, // a Cyrillic а
	} {
		m := f.reset(f.person(pair[0], ""))
		f.send(s, m)
		got := relay.Wait(t, i+1, patience)[i]
		require.Equal(t, []string{pair[1]}, got.To)
		require.Equal(t, !isASCII(pair[1]), got.UTF8)
		addresses, err := mail.ParseAddressList(got.Header.Get("To"))
		require.NoError(t, err)
		require.Len(t, addresses, 1)
		require.Equal(t, pair[1], addresses[0].Address)
	}
}

func isASCII(text string) bool {
	return strings.ToValidUTF8(text, "") == text && len(text) == len([]rune(text))
}

func TestHostileNames(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.Open(t, database.SQLite), func(s *portal.Settings) {
		name := "Acme\r\nBcc: thief@evil.example\r\n\r\n\"<b>"
		s.Sender.Name = &name
	})
	relay := smtptest.New(t, smtptest.Options{})
	s := f.started(f.over(relay))
	for i, name := range []string{
		"<script>alert(1)</script>", "http://evil.example/x", "evil.example", "a@evil.example", "Anna\r\nBcc: x@evil.example",
		"evil。example", "ｅｖｉｌ．example",
	} {
		m := f.reset(f.person(fmt.Sprintf("victim%d@example.com", i), name))
		f.send(s, m)
		got := relay.Wait(t, i+1, patience)[i]
		require.Contains(t, got.Text, "Hello,\n", name)
		require.NotContains(t, strings.ReplaceAll(got.Text, "thief@evil.example", ""), "evil", name)
		require.NotContains(t, got.HTML, "<script", name)
		require.NotContains(t, strings.ReplaceAll(got.HTML, "thief@evil.example", ""), "evil.example", name)
		require.NotContains(t, got.HTML, "evil。example", name)
		require.Empty(t, got.Header.Get("Bcc"), name)
		require.Len(t, got.To, 1, name)
		require.NotContains(t, string(got.Raw), "\nBcc:", name)
		from, err := mail.ParseAddress(got.Header.Get("From"))
		require.NoError(t, err)
		require.Equal(t, "no-reply@id.example.com", from.Address)
	}
	m := f.reset(f.person("honest@example.com", "Jean-Luc D’Arcy"))
	f.send(s, m)
	require.Contains(t, relay.Wait(t, 8, patience)[7].Text, "Hello Jean-Luc D’Arcy,\n")
}

func TestWithoutLinkThereIsACode(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.Open(t, database.SQLite), func(s *portal.Settings) { s.Links = portal.Links{} })
	relay := smtptest.New(t, smtptest.Options{})
	s := f.started(f.over(relay))
	m := f.reset(f.person("anna@example.com", ""))
	f.send(s, m)
	got := relay.Wait(t, 1, patience)[0]
	for _, part := range []string{got.Text, got.HTML} {
		require.Contains(t, part, f.secret(m).Code)
		require.NotContains(t, part, "http")
		require.NotContains(t, part, f.secret(m).Token)
		require.Contains(t, part, "Enter this code:")
	}
}

// What is queued, kept and logged holds neither secret nor address.
func TestNoSecretIsKept(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		f := newFixture(t, db, nil)
		relay := smtptest.New(t, smtptest.Options{})
		logged := f.service(nil)
		require.NoError(t, logged.Start(context.Background()))
		var carried []onetime.Secret
		for i := range 2 {
			m := f.reset(f.person(fmt.Sprintf("private%d@secret.example", i), ""))
			f.send(logged, m)
			f.becomes(m.ID, delivery.Sent)
			carried = append(carried, f.secret(m))
		}
		require.NoError(t, logged.Stop(context.Background()))

		s := f.started(f.over(relay))
		sent := f.reset(f.person("sent@secret.example", ""))
		f.send(s, sent)
		f.becomes(sent.ID, delivery.Sent)
		refused := f.reset(f.person("refused@secret.example", ""))
		known := f.secret(refused)
		carried = append(carried, f.secret(sent), known)
		relay.Judge(func(recipient string) error {
			refused := *smtptest.ForGood
			refused.Message = "<" + recipient + "> is unknown, see https://login.acme.example/reset#" + known.Token + " or " + known.Code
			return &refused
		})
		f.send(s, refused)
		require.Contains(t, f.becomes(refused.ID, delivery.Failed).ProviderAnswer, "is unknown, see … or …")

		dump := f.dump("deliveries", "recipients", "river_job") + f.log.String()
		for _, secret := range carried {
			require.NotContains(t, dump, secret.Token)
			require.NotRegexp(t, `\b`+secret.Code+`\b`, dump)
		}
		require.NotContains(t, dump, "@secret.example>")
		require.NotContains(t, strings.ReplaceAll(dump, "•••@secret.example", ""), "secret.example")
	})
}

// dump is every row of some tables as text.
func (f *fixture) dump(tables ...string) string {
	f.t.Helper()
	var out strings.Builder
	for _, table := range tables {
		rows, err := f.db.From(database.AcrossPortals(context.Background(), "a dump")).Raw("SELECT * FROM " + table).Rows()
		require.NoError(f.t, err)
		columns, err := rows.Columns()
		require.NoError(f.t, err)
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(any)
			}
			require.NoError(f.t, rows.Scan(values...))
			for i, value := range values {
				if raw, ok := (*value.(*any)).([]byte); ok {
					fmt.Fprintf(&out, "%s=%s ", columns[i], raw)
					continue
				}
				fmt.Fprintf(&out, "%s=%v ", columns[i], *value.(*any))
			}
			out.WriteByte('\n')
		}
		require.NoError(f.t, rows.Err())
		require.NoError(f.t, rows.Close())
	}
	return out.String()
}

func TestInboxShowsTheNewestFirst(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.Open(t, database.SQLite), nil)
	var inbox dispatch.Inbox
	s := f.started(func(o *dispatch.Dependencies) { o.Inbox = &inbox })
	require.False(t, s.Configured())
	first, second := f.reset(f.person("first@example.com", "")), f.reset(f.person("second@example.com", ""))
	f.send(s, first)
	f.becomes(first.ID, delivery.Sent)
	f.send(s, second)
	f.becomes(second.ID, delivery.Sent)
	got := inbox.Messages()
	require.Len(t, got, 2)
	require.Equal(t, "second@example.com", got[0].To)
	require.Equal(t, f.secret(second).Token, got[0].Token)
	require.Equal(t, f.secret(second).Code, got[0].Code)
	require.Equal(t, "https://login.acme.example/reset#"+f.secret(second).Token, got[0].Link)
	require.Contains(t, f.log.String(), second.ID.String())
	require.NotContains(t, f.log.String(), "second@example.com")
}
