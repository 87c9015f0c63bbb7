package api_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// strangers are the states that an address can be in at a private portal, of which nobody may be told.
func strangers(t *testing.T, o *office, p portal) []string {
	t.Helper()
	for name, members := range map[string]object{
		"confirmed": {}, "unconfirmed": {"confirmed": false}, "disabled": {"disabled": true}, "opted-out": {"opted_out": true},
		"passwordless": {"password": nil}, "admin": {"roles": []string{"admin"}},
	} {
		o.account(t, p, members, object{"email": name + "@example.com"})
	}
	o.registers(t, p, object{"email": "claimed@example.com"})
	for name, term := range map[string]int{"invited": 86400, "outdated": 60} {
		o.invites(t, p, object{"email": name + "@example.com", "expires_in": term, "send": false}).status(http.StatusCreated)
	}
	return []string{
		"unknown@example.com", "claimed@example.com", "confirmed@example.com", "unconfirmed@example.com", "disabled@example.com",
		"opted-out@example.com", "passwordless@example.com", "admin@example.com", "invited@example.com", "outdated@example.com",
	}
}

// told is everything that an answer tells, the ids of requests and messages apart, and the address that was sent.
func told(t testing.TB, a *answer, email string) string {
	t.Helper()
	var body object
	a.into(&body)
	delete(body, "request_id")
	if receipt, ok := body["delivery"].(object); ok {
		delete(receipt, "id")
		receipt["to"] = strings.TrimPrefix(receipt["to"].(string), email[:1])
	}
	header := a.header.Clone()
	header.Del("X-Request-Id")
	header.Del("Content-Length")
	text, err := json.Marshal([]any{a.httpStatus, header, body})
	require.NoError(t, err)
	return strings.ReplaceAll(string(text), email, "EMAIL")
}

// Nothing that a stranger can call tells at a private portal whether an address has an account: the same answers, as
// many statements for a secret that goes to nobody, the same rows, and receipts that go by the clock.
func TestPrivateSecretsTellNobody(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t, object{"enumeration": "private"})
		everybody := strangers(t, o, p)
		o.clock.advance(time.Hour)
		var receipts []string
		for _, step := range []struct {
			path string
			body object
		}{
			{"/confirmations/verify", object{"code": "000000"}}, // before anything was issued
			{"/password-resets/redeem", object{"code": "000000", "password": newPassword}},
			{"/registrations", object{"password": "short"}},
			{"/confirmations", object{}}, {"/confirmations", object{}}, {"/registrations", object{"password": newPassword}},
			{"/password-resets", object{}}, {"/password-resets", object{}},
			{"/confirmations/verify", object{"code": "000000"}}, {"/confirmations/redeem", object{"code": "000001"}},
			{"/confirmations/verify", object{"code": "000002"}}, {"/confirmations/redeem", object{"code": "000003"}},
			{"/confirmations/verify", object{"code": "000004"}}, {"/confirmations/redeem", object{"code": "000005"}},
			{"/password-resets/verify", object{"code": "000000"}}, {"/password-resets/redeem", object{"code": "000001", "password": newPassword}},
			{"/password-resets/redeem", object{"code": "000001", "password": "short"}}, {"/lookup", object{}},
			{"/invitations/resend", object{}}, {"/invitations/resend", object{}},
		} {
			var first string
			for _, email := range everybody {
				step.body["email"] = email
				a := o.post(t, p.front+step.path, step.body)
				for _, never := range []string{
					"email_not_found", "email_not_confirmed", "password_not_set", "pending_invitation", "email_already_registered",
					"email_already_confirmed", "communication_opted_out", "account_disabled",
				} {
					require.NotContains(t, string(a.body), never)
				}
				if id, ok := a.at("delivery.id"); ok {
					receipts = append(receipts, id.(string))
				}
				if first == "" {
					first = told(t, a, email)
				}
				require.Equal(t, first, told(t, a, email), "%s for %s", step.path, email)
			}
		}
		require.Len(t, receipts, 3*len(everybody))
		o.quiet(t)
		for _, id := range receipts {
			o.get(t, p.front+"/deliveries/"+id).status(http.StatusOK).is("status", "queued")
		}
		o.clock.advance(5 * time.Second)
		for _, id := range receipts {
			o.get(t, p.front+"/deliveries/"+id).status(http.StatusOK).is("status", "sent")
		}
		var sent []string
		for _, m := range o.relay.Messages()[1:] { // after the claim's own
			require.Len(t, m.To, 1)
			sent = append(sent, m.Subject()+" "+m.To[0])
		}
		slices.Sort(sent)
		require.Equal(t, []string{
			"Confirm your email address for Acme claimed@example.com", "Confirm your email address for Acme unconfirmed@example.com",
			"Reset your password for Acme admin@example.com", "Reset your password for Acme claimed@example.com",
			"Reset your password for Acme confirmed@example.com", "Reset your password for Acme opted-out@example.com",
			"Reset your password for Acme unconfirmed@example.com", "Set your password for Acme passwordless@example.com",
			"You are invited to Acme invited@example.com",
		}, sent, "a stranger's request sends nothing")
	})
}

// Whoever registers at a private portal is told to look into the mailbox, and the mailbox tells its owner.
func TestPrivateRegistrationsTellNobody(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t, object{"enumeration": "private"})
		everybody := strangers(t, o, p)
		o.clock.advance(time.Hour)
		hashes := o.sql(t, "SELECT MAX(password_hash) FROM accounts WHERE claimed_at IS NULL")
		var first, disabled string
		for _, email := range everybody {
			a := o.post(t, p.front+"/registrations", object{"email": email, "password": newPassword}).status(http.StatusCreated)
			if first == "" {
				first = told(t, a, email)
			}
			require.Equal(t, first, told(t, a, email), email)
			o.post(t, p.front+"/registrations", object{"email": email, "password": newPassword}).
				problem(http.StatusTooManyRequests, "resend_too_soon")
			switch name, _, _ := strings.Cut(email, "@"); name {
			case "disabled":
				disabled = a.text("delivery.id")
			case "invited":
				mail := o.mail(t, a)
				require.Equal(t, "You are invited to Acme", mail.Subject())
				require.Equal(t, o.exported(t, p, email), mail.code, "the code that the invitation has already")
				require.Equal(t, "0", o.sql(t, "SELECT COUNT(*) FROM accounts WHERE email = ?", email), "no claim is made")
			case "unknown", "claimed", "unconfirmed", "outdated":
				mail := o.mail(t, a)
				require.Equal(t, "Confirm your email address for Acme", mail.Subject(), email)
			default:
				mail := o.mail(t, a)
				require.Equal(t, "You already have an account at Acme", mail.Subject(), email)
				require.Contains(t, mail.Text, loginPage)
				require.Empty(t, mail.code+mail.token)
			}
		}
		require.Equal(t, len(everybody), o.quiet(t), "the claim's own, and one to each who is not disabled")
		o.get(t, p.front+"/deliveries/"+disabled).status(http.StatusOK)
		require.Equal(t, hashes, o.sql(t, "SELECT MAX(password_hash) FROM accounts WHERE claimed_at IS NULL"))
		o.logIn(t, person{portal: p, email: "confirmed@example.com", password: goodPassword})
	})
}

// A stranger's request writes the rows that a person's does, in as many statements.
func TestPrivateSecretsCostTheSame(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := &office{harness: newHarness(t, db)}
		p := o.portal(t, object{"enumeration": "private"})
		o.account(t, p)
		o.invites(t, p, object{"email": "invited@example.com"}).status(http.StatusCreated)
		o.invites(t, p, object{"email": "outdated@example.com", "expires_in": 60}).status(http.StatusCreated)
		o.clock.advance(time.Minute)
		for _, path := range []string{
			"/registrations", "/registrations", "/password-resets", "/confirmations/verify", "/password-resets/verify",
			"/invitations/resend", "/invitations/resend",
		} {
			cost := func(email string) (int, map[string]string) {
				t.Helper()
				before := o.counts(t)
				ctx, counter := databasetest.CountStatements(context.Background())
				body := object{"email": email}
				switch {
				case strings.HasSuffix(path, "verify"):
					body["code"] = "000000"
				case path == "/registrations":
					body["password"] = newPassword
				}
				o.post(t, p.front+path, body, inContext(ctx))
				after := o.counts(t)
				for table, n := range after {
					if before[table] == n {
						delete(after, table)
					}
				}
				return int(counter.N()), after
			}
			unknown, unknownRows := cost("nobody@example.com")
			delete(unknownRows, "accounts") // the claim of a registration
			for _, email := range []string{"ada@example.com", "invited@example.com", "outdated@example.com"} {
				known, knownRows := cost(email)
				require.Equal(t, unknown, known, "%s for %s", path, email)
				delete(knownRows, "accounts")
				require.ElementsMatch(t, slices.Collect(maps.Keys(unknownRows)), slices.Collect(maps.Keys(knownRows)), "%s for %s", path, email)
			}
		}
	})
}

// The owner of a mailbox is told the truth by the link that he got there, at a private portal too.
func TestPrivateSecretsOpen(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t, object{"enumeration": "private"})
		_, mail := o.registers(t, p)
		o.redeem(t, p, confirmations, mail.byCode(newcomer)).status(http.StatusOK).is("next", "password")
		o.redeem(t, p, confirmations, mail.byLink()).problem(http.StatusGone, "token_used")
		ada := o.account(t, p, object{"password": nil})
		a := o.post(t, p.front+"/password-resets", object{"email": ada.email}).status(http.StatusAccepted).is("expires_in", 900)
		set := o.mail(t, a)
		o.verify(t, p, resets, set.byLink()).status(http.StatusOK).is("purpose", "set")
		o.patch(t, ada.admin, object{"disabled": true}, asOperator).status(http.StatusOK)
		o.verify(t, p, resets, set.byLink()).problem(http.StatusGone, "token_expired")
		o.redeem(t, p, resets, set.byCode(ada.email)).problem(http.StatusGone, "token_expired")
		o.patch(t, ada.admin, object{"disabled": false}, asOperator).status(http.StatusOK)
		o.clock.advance(nextAsk)
		set = o.mail(t, o.post(t, p.front+"/password-resets", object{"token": set.token}).status(http.StatusAccepted))
		o.redeem(t, p, resets, set.byLink()).status(http.StatusOK)
		ada.password = newPassword
		o.logIn(t, ada)
	})
}
