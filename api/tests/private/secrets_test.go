package private_test

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

	"github.com/latchkey-auth/latchkey/api/apitest"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// unknownAddresses are the states that an address can be in at a private portal, of which nobody may be told.
func unknownAddresses(t *testing.T, o *apitest.MailHarness, p apitest.Portal) []string {
	t.Helper()
	for name, members := range map[string]apitest.Object{
		"confirmed": {}, "unconfirmed": {"confirmed": false}, "disabled": {"disabled": true}, "opted-out": {"opted_out": true},
		"passwordless": {"password": nil}, "admin": {"roles": []string{"admin"}},
	} {
		o.Account(t, p, members, apitest.Object{"email": name + "@example.com"})
	}
	o.Register(t, p, apitest.Object{"email": "claimed@example.com"})
	for name, term := range map[string]int{"invited": 86400, "outdated": 60} {
		o.PostInvitation(t, p, apitest.Object{"email": name + "@example.com", "expires_in": term, "send": false}).Status(http.StatusCreated)
	}
	return []string{
		"unknown@example.com", "claimed@example.com", "confirmed@example.com", "unconfirmed@example.com", "disabled@example.com",
		"opted-out@example.com", "passwordless@example.com", "admin@example.com", "invited@example.com", "outdated@example.com",
	}
}

// told is an answer without the ids of requests and messages and the address of the request.
func told(t testing.TB, a *apitest.Answer, email string) string {
	t.Helper()
	var body apitest.Object
	a.Decode(&body)
	delete(body, "request_id")
	if receipt, ok := body["delivery"].(apitest.Object); ok {
		delete(receipt, "id")
		receipt["to"] = strings.TrimPrefix(receipt["to"].(string), email[:1])
	}
	header := a.Header.Clone()
	header.Del("X-Request-Id")
	header.Del("Content-Length")
	text, err := json.Marshal([]any{a.HTTPStatus, header, body})
	require.NoError(t, err)
	return strings.ReplaceAll(string(text), email, "EMAIL")
}

// Nothing that a stranger can call tells at a private portal whether an address has an account: the same answers, as
// many statements for a secret that goes to nobody, the same rows, and receipts that go by the clock.
func TestSecretsHideAccounts(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t, apitest.Object{"enumeration": "private"})
		everybody := unknownAddresses(t, o, p)
		o.Clock.Advance(time.Hour)
		var receipts []string
		for _, step := range []struct {
			path string
			body apitest.Object
		}{
			{"/confirmations/verify", apitest.Object{"code": "000000"}}, // before anything was issued
			{"/password-resets/redeem", apitest.Object{"code": "000000", "password": apitest.OtherPassword}},
			{"/registrations", apitest.Object{"password": "short"}},
			{"/confirmations", apitest.Object{}}, {"/confirmations", apitest.Object{}}, {"/registrations", apitest.Object{"password": apitest.OtherPassword}},
			{"/password-resets", apitest.Object{}}, {"/password-resets", apitest.Object{}},
			{"/confirmations/verify", apitest.Object{"code": "000000"}}, {"/confirmations/redeem", apitest.Object{"code": "000001"}},
			{"/confirmations/verify", apitest.Object{"code": "000002"}}, {"/confirmations/redeem", apitest.Object{"code": "000003"}},
			{"/confirmations/verify", apitest.Object{"code": "000004"}}, {"/confirmations/redeem", apitest.Object{"code": "000005"}},
			{"/password-resets/verify", apitest.Object{"code": "000000"}}, {"/password-resets/redeem", apitest.Object{"code": "000001", "password": apitest.OtherPassword}},
			{"/password-resets/redeem", apitest.Object{"code": "000001", "password": "short"}}, {"/lookup", apitest.Object{}},
			{"/invitations/resend", apitest.Object{}}, {"/invitations/resend", apitest.Object{}},
		} {
			var first string
			for _, email := range everybody {
				step.body["email"] = email
				a := o.Post(t, p.Front+step.path, step.body)
				for _, never := range []string{
					"email_not_found", "email_not_confirmed", "password_not_set", "pending_invitation", "email_already_registered",
					"email_already_confirmed", "communication_opted_out", "account_disabled",
				} {
					require.NotContains(t, string(a.Body), never)
				}
				if id, ok := a.At("delivery.id"); ok {
					receipts = append(receipts, id.(string))
				}
				if first == "" {
					first = told(t, a, email)
				}
				require.Equal(t, first, told(t, a, email), "%s for %s", step.path, email)
			}
		}
		require.Len(t, receipts, 3*len(everybody))
		o.AwaitAllSent(t)
		for _, id := range receipts {
			o.Get(t, p.Front+"/deliveries/"+id).Status(http.StatusOK).Is("status", "queued")
		}
		o.Clock.Advance(5 * time.Second)
		for _, id := range receipts {
			o.Get(t, p.Front+"/deliveries/"+id).Status(http.StatusOK).Is("status", "sent")
		}
		var sent []string
		for _, m := range o.Relay.Messages()[1:] { // after the claim's own
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
func TestRegistrationsHideAccounts(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t, apitest.Object{"enumeration": "private"})
		everybody := unknownAddresses(t, o, p)
		o.Clock.Advance(time.Hour)
		hashes := o.QueryValue(t, "SELECT MAX(password_hash) FROM accounts WHERE claimed_at IS NULL")
		var first, disabled string
		for _, email := range everybody {
			a := o.Post(t, p.Front+"/registrations", apitest.Object{"email": email, "password": apitest.OtherPassword}).Status(http.StatusCreated)
			if first == "" {
				first = told(t, a, email)
			}
			require.Equal(t, first, told(t, a, email), email)
			o.Post(t, p.Front+"/registrations", apitest.Object{"email": email, "password": apitest.OtherPassword}).
				Problem(http.StatusTooManyRequests, "resend_too_soon")
			switch name, _, _ := strings.Cut(email, "@"); name {
			case "disabled":
				disabled = a.Text("delivery.id")
			case "invited":
				mail := o.Mail(t, a)
				require.Equal(t, "You are invited to Acme", mail.Subject())
				require.Equal(t, o.ExportedCode(t, p, email), mail.Code, "the code that the invitation has already")
				require.Equal(t, "0", o.QueryValue(t, "SELECT COUNT(*) FROM accounts WHERE email = ?", email), "no claim is made")
			case "unknown", "claimed", "unconfirmed", "outdated":
				mail := o.Mail(t, a)
				require.Equal(t, "Confirm your email address for Acme", mail.Subject(), email)
			default:
				mail := o.Mail(t, a)
				require.Equal(t, "You already have an account at Acme", mail.Subject(), email)
				require.Contains(t, mail.Text, apitest.LoginPage)
				require.Empty(t, mail.Code+mail.Token)
			}
		}
		require.Equal(t, len(everybody), o.AwaitAllSent(t), "the claim's own, and one to each who is not disabled")
		o.Get(t, p.Front+"/deliveries/"+disabled).Status(http.StatusOK)
		require.Equal(t, hashes, o.QueryValue(t, "SELECT MAX(password_hash) FROM accounts WHERE claimed_at IS NULL"))
		o.LogIn(t, apitest.Person{Portal: p, Email: "confirmed@example.com", Password: apitest.GoodPassword})
	})
}

// A stranger's request writes the rows that a person's does, in as many statements.
func TestSecretsCostTheSame(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := &apitest.MailHarness{Harness: apitest.New(t, db)}
		p := o.Portal(t, apitest.Object{"enumeration": "private"})
		o.Account(t, p)
		// Not mailed: the row of a mail that an administrator caused would be there already.
		o.PostInvitation(t, p, apitest.Object{"email": "invited@example.com", "send": false}).Status(http.StatusCreated)
		o.PostInvitation(t, p, apitest.Object{"email": "outdated@example.com", "expires_in": 60, "send": false}).
			Status(http.StatusCreated)
		o.Clock.Advance(time.Minute)
		for _, path := range []string{
			"/registrations", "/registrations", "/password-resets", "/confirmations/verify", "/password-resets/verify",
			"/invitations/resend", "/invitations/resend",
		} {
			cost := func(email string) (int, map[string]string) {
				t.Helper()
				before := o.RowCounts(t)
				ctx, counter := databasetest.CountStatements(context.Background())
				body := apitest.Object{"email": email}
				switch {
				case strings.HasSuffix(path, "verify"):
					body["code"] = "000000"
				case path == "/registrations":
					body["password"] = apitest.OtherPassword
				}
				o.Post(t, p.Front+path, body, apitest.InContext(ctx))
				after := o.RowCounts(t)
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

// The link in a mail tells the owner of the mailbox the truth, at a private portal too.
func TestSecretAtPrivatePortal(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t, apitest.Object{"enumeration": "private"})
		_, mail := o.Register(t, p)
		o.Redeem(t, p, apitest.Confirmations, mail.ByCode(apitest.Newcomer)).Status(http.StatusOK).Is("next", "password")
		o.Redeem(t, p, apitest.Confirmations, mail.ByLink()).Problem(http.StatusGone, "token_used")
		ada := o.Account(t, p, apitest.Object{"password": nil})
		a := o.Post(t, p.Front+"/password-resets", apitest.Object{"email": ada.Email}).Status(http.StatusAccepted).Is("expires_in", 900)
		set := o.Mail(t, a)
		o.Verify(t, p, apitest.PasswordResets, set.ByLink()).Status(http.StatusOK).Is("purpose", "set")
		o.Patch(t, ada.Admin, apitest.Object{"disabled": true}, apitest.AsOperator).Status(http.StatusOK)
		o.Verify(t, p, apitest.PasswordResets, set.ByLink()).Problem(http.StatusGone, "token_expired")
		o.Redeem(t, p, apitest.PasswordResets, set.ByCode(ada.Email)).Problem(http.StatusGone, "token_expired")
		o.Patch(t, ada.Admin, apitest.Object{"disabled": false}, apitest.AsOperator).Status(http.StatusOK)
		o.Clock.Advance(apitest.ResendInterval)
		set = o.Mail(t, o.Post(t, p.Front+"/password-resets", apitest.Object{"token": set.Token}).Status(http.StatusAccepted))
		o.Redeem(t, p, apitest.PasswordResets, set.ByLink()).Status(http.StatusOK)
		ada.Password = apitest.OtherPassword
		o.LogIn(t, ada)
	})
}
