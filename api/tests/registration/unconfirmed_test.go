package registration_test

import (
	"fmt"
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

// The network that the owner calls from, and passwords. The mail names the network of the caller, so the owner of a mailbox
// does not confirm a registration from elsewhere.
const (
	ownerSocket   = "198.51.100.7:1"
	malloryPhrase = "what mallory thinks of it"
	ownerPhrase   = "what the owner thinks of it"
	resetPhrase   = "what the owner resets it to"
)

// story is one order of what a stranger and the owner do with one address.
type story struct {
	t     *testing.T
	p     apitest.Portal
	email string
	steps []string

	letters  []apitest.Mail  // in the owner's mailbox
	pending  *apitest.Answer // whose mail is waited for
	setting  bool            // whether that mail sets a password
	made     bool            // whether anybody registered
	proved   bool
	password string           // the owner's
	stolen   []apitest.Tokens // the stranger's sessions
}

// A stranger who registers an address before its owner gains nothing, in any order of register, confirm, reset and log in.
// The orders run in parallel, one step an hour.
func TestEarlyRegistrationOfForeignAddressGainsNothing(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		var stories []*story
		for _, p := range []apitest.Portal{o.Portal(t), o.Portal(t, apitest.Object{"slug": "lax", "require_confirmation": false})} {
			for _, steps := range orders(registrationSteps, 4) {
				if slices.Contains(steps, "mallory registers") {
					email := fmt.Sprintf("owner%d@example.com", len(stories))
					stories = append(stories, &story{t: t, p: p, email: email, steps: steps})
				}
			}
		}
		for at := range 4 {
			for _, s := range stories {
				s.step(o, s.steps[at])
			}
			for _, s := range stories {
				s.readMail(o)
			}
			for _, s := range stories {
				if s.pending != nil && (s.steps[at] == "owner resets" || s.setting) {
					s.redeemReset(o)
				}
				s.pending, s.setting = nil, false
				s.mallory(o)
			}
			o.Clock.Advance(time.Hour)
		}
		proved := 0
		for _, s := range stories {
			if s.proved {
				proved++
				o.LogIn(t, apitest.Person{Portal: s.p, Email: s.email, Password: s.password})
			}
		}
		require.Greater(t, proved, len(stories)/2)
	})
}

// registrationSteps are what the stranger and the owner do.
var registrationSteps = []string{"mallory registers", "owner registers", "owner confirms", "owner asks again", "owner resets"}

// orders are all sequences of n of the steps, in which none follows itself.
func orders(steps []string, n int) [][]string {
	if n == 0 {
		return [][]string{nil}
	}
	var all [][]string
	for _, rest := range orders(steps, n-1) {
		for _, step := range steps {
			if len(rest) > 0 && rest[len(rest)-1] == step {
				continue
			}
			all = append(all, append(slices.Clone(rest), step))
		}
	}
	return all
}

func (s *story) step(o *apitest.MailHarness, step string) {
	s.t.Helper()
	registration := apitest.Object{"email": s.email, "password": malloryPhrase}
	switch step {
	case "mallory registers":
		s.registered(o.Post(s.t, s.p.Front+"/registrations", registration))
	case "owner registers":
		registration["password"] = ownerPhrase
		if s.registered(o.Post(s.t, s.p.Front+"/registrations", registration, apitest.FromAddress(ownerSocket))) {
			s.password = ownerPhrase
		}
	case "owner confirms": // the newest mail, if it is of his own doing
		if len(s.letters) == 0 {
			return
		}
		newest := s.letters[len(s.letters)-1]
		if !strings.Contains(newest.Text, "198.51.100.7") || !strings.Contains(newest.Text, apitest.ConfirmPage) {
			return
		}
		secret := newest.ByLink()
		if s.password != "" && len(s.letters)%2 == 0 { // some pages still know the password
			secret["password"] = s.password
		}
		a := o.Redeem(s.t, s.p, apitest.Confirmations, secret)
		if s.proved {
			require.GreaterOrEqual(s.t, a.HTTPStatus, 400, "%v: %s", s.steps, a.Body)
			return
		}
		s.proved = true
		if next := a.Status(http.StatusOK).Text("next"); next == "set_password" {
			s.pending, s.setting = a, true
		}
	case "owner asks again": // from his network, for what may not be his: the mail says whose it is
		if a := o.Post(s.t, s.p.Front+"/confirmations", apitest.Object{"email": s.email}, apitest.FromAddress(ownerSocket)); a.HTTPStatus == http.StatusAccepted {
			s.pending = a
		}
	case "owner resets":
		a := o.Post(s.t, s.p.Front+"/password-resets", apitest.Object{"email": s.email}, apitest.FromAddress(ownerSocket))
		if a.HTTPStatus == http.StatusAccepted {
			s.pending = a
		} else {
			a.Problem(http.StatusNotFound, "email_not_found")
		}
	}
}

// registered notes what became of a registration: once the mailbox was proved, nothing.
func (s *story) registered(a *apitest.Answer) bool {
	s.t.Helper()
	if s.proved || s.made && s.p.Slug == "lax" {
		a.Problem(http.StatusConflict, "email_already_registered")
		return false
	}
	s.pending, s.made = a.Status(http.StatusCreated), true
	return true
}

func (s *story) readMail(o *apitest.MailHarness) {
	s.t.Helper()
	if s.pending != nil {
		s.letters = append(s.letters, o.Mail(s.t, s.pending))
	}
}

func (s *story) redeemReset(o *apitest.MailHarness) {
	s.t.Helper()
	secret := s.letters[len(s.letters)-1].ByLink()
	secret["password"] = resetPhrase
	o.Redeem(s.t, s.p, apitest.PasswordResets, secret).Status(http.StatusOK)
	s.proved, s.password = true, resetPhrase
}

// mallory logs in with every password and token of theirs. They get nothing where accounts must be confirmed, or once this
// one is.
func (s *story) mallory(o *apitest.MailHarness) {
	s.t.Helper()
	a := o.Post(s.t, s.p.Front+"/login", apitest.Object{"email": s.email, "password": malloryPhrase})
	if a.HTTPStatus == http.StatusOK {
		require.False(s.t, s.proved, "mallory is in: %v", s.steps)
		require.Equal(s.t, "lax", s.p.Slug, "mallory is in: %v", s.steps)
		s.stolen = append(s.stolen, apitest.Tokens{Access: a.Text("access_token"), Refresh: a.Text("refresh_token")})
	}
	if s.proved {
		for _, in := range s.stolen {
			o.RequireAccess(s.t, s.p, in.Access, false)
			o.RequireSessionOver(s.t, s.p, in.Refresh)
		}
		s.stolen = nil
	}
}

// An account that an administrator creates replaces an unconfirmed registration, and everything of the registration ends.
// This one has a session, as an older version left it at a portal that requires no confirmation.
func TestAdminAccountReplacesUnconfirmedRegistration(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t, apitest.Object{"require_confirmation": false})
		_, mail := o.Register(t, p, apitest.Object{"given_name": "Mallory"})
		in := o.LogIn(t, apitest.Person{Portal: p, Email: apitest.Newcomer, Password: apitest.GoodPassword})
		reset := o.RequestSecret(t, p, apitest.PasswordResets, apitest.Newcomer)
		o.Exec(t, "UPDATE accounts SET claimed_at = created_at")
		made := o.Post(t, p.Admin+"/accounts", apitest.Object{"email": "Grace@Example.com", "given_name": "Grace"}, apitest.AsOperator).
			Status(http.StatusCreated).Is("confirmed", false).Is("has_password", false).Is("given_name", "Grace")
		o.RequireAccess(t, p, in.Access, false)
		o.RequireSessionOver(t, p, in.Refresh)
		for kind, secret := range map[string]apitest.Mail{apitest.Confirmations: mail, apitest.PasswordResets: reset} {
			o.Verify(t, p, kind, secret.ByLink()).Problem(http.StatusGone, "token_expired")
			o.Redeem(t, p, kind, secret.ByCode(apitest.Newcomer)).Problem(http.StatusGone, "token_expired")
			o.Clock.Advance(apitest.ResendInterval)
			o.Post(t, p.Front+"/"+kind, apitest.Object{"token": secret.Token}).Problem(http.StatusGone, "token_expired")
		}
		o.Post(t, p.Front+"/login", apitest.Object{"email": apitest.Newcomer, "password": apitest.GoodPassword}).
			Problem(http.StatusForbidden, "password_not_set")
		// It is no claim itself: nobody registers over it, though it is not confirmed.
		o.Clock.Advance(apitest.ResendInterval)
		o.Post(t, p.Front+"/registrations", apitest.Object{"email": apitest.Newcomer, "password": apitest.OtherPassword}).
			Problem(http.StatusConflict, "email_already_registered")
		o.Post(t, p.Admin+"/accounts", apitest.Object{"email": apitest.Newcomer}, apitest.AsOperator).Problem(http.StatusConflict, "email_already_registered")
		require.Equal(t, made.Text("id"), o.QueryValue(t, "SELECT id FROM accounts"))
	})
}

// An unconfirmed registration that an administrator disabled is not replaced.
func TestDisabledUnconfirmedRegistrationIsNotReplaced(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t)
		_, mail := o.Register(t, p)
		id := o.QueryValue(t, "SELECT id FROM accounts")
		o.Patch(t, p.Admin+"/accounts/"+id, apitest.Object{"disabled": true}, apitest.AsOperator).Status(http.StatusOK)
		o.Clock.Advance(apitest.ResendInterval)
		o.Post(t, p.Front+"/registrations", apitest.Object{"email": apitest.Newcomer, "password": apitest.OtherPassword}).
			Problem(http.StatusConflict, "email_already_registered")
		o.Redeem(t, p, apitest.Confirmations, mail.ByLink()).Problem(http.StatusForbidden, "account_disabled")
	})
}

// Any change by an administrator makes an account of an unconfirmed registration: a stranger who registers the address
// again undoes nothing, and nobody keeps a password that the stranger chose. It is not swept.
func TestAdminChangeMakesAccountOfUnconfirmedRegistration(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t)
		const phrase = "what the administrator sets"
		for i, change := range []apitest.Object{
			{"roles": []string{"case"}}, {"metadata": apitest.Object{"seat": 7}}, {"password": phrase}, {"given_name": "Ada"},
			{"phone": "+4530303030"}, {"entitlements": []string{"x"}}, {"opted_out": true}, {"locale": "da"},
			{"disabled": true}, {"confirmed": true}, {"roles": []string{"case"}, "password": phrase},
		} {
			email := fmt.Sprintf("ada%d@example.com", i)
			mallory := apitest.Person{Portal: p, Email: email, Password: malloryPhrase}
			_, mail := o.Register(t, p, apitest.Object{"email": email, "password": malloryPhrase})
			account := p.Admin + "/accounts/" + o.QueryValue(t, "SELECT id FROM accounts WHERE email = ?", email)
			o.Patch(t, account, apitest.Object{}, apitest.AsOperator).Status(http.StatusOK).Is("has_password", true)
			o.Patch(t, account, apitest.Object{"roles": []string{}}, apitest.AsOperator).Is("has_password", true) // as it was
			o.Patch(t, account, change, apitest.AsOperator).Status(http.StatusOK).Is("has_password", change["password"] != nil)

			o.Clock.Advance(apitest.ResendInterval)
			o.Post(t, p.Front+"/registrations", apitest.Object{"email": email, "password": apitest.OtherPassword}).
				Problem(http.StatusConflict, "email_already_registered")
			require.NotEqual(t, http.StatusOK, o.Post(t, p.Front+"/login", mallory.Credentials()).HTTPStatus, change)
			code := map[bool]string{true: "account_disabled", false: "token_expired"}[change["disabled"] == true]
			require.Equal(t, code, o.Redeem(t, p, apitest.Confirmations, mail.ByLink()).Text("code"))
			after := o.Get(t, account, apitest.AsOperator).Status(http.StatusOK)
			for member, value := range change {
				if member != "password" {
					after.Is(member, value)
				}
			}
			if change["password"] != nil {
				owner := apitest.Person{Portal: p, Email: email, Password: phrase}
				o.Post(t, p.Front+"/login", owner.Credentials()).Problem(http.StatusForbidden, "email_not_confirmed")
				o.Patch(t, account, apitest.Object{"confirmed": true}, apitest.AsOperator).Is("has_password", true)
				o.LogIn(t, owner)
			}
		}
		before := o.CountRows(t, "accounts")
		o.Clock.Advance(31 * 24 * time.Hour)
		o.Sweep(t, "unverified accounts")
		require.Equal(t, before, o.CountRows(t, "accounts"))
	})
}

// An administrator who marks an unconfirmed registration as confirmed makes it an account. Its owner sets the password.
func TestAdminConfirmsUnconfirmedRegistration(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := apitest.NewWithMail(t, db)
		p := o.Portal(t)
		o.Register(t, p)
		id := o.QueryValue(t, "SELECT id FROM accounts")
		o.Patch(t, p.Admin+"/accounts/"+id, apitest.Object{"confirmed": true}, apitest.AsOperator).Status(http.StatusOK)
		o.Clock.Advance(apitest.ResendInterval)
		o.Post(t, p.Front+"/registrations", apitest.Object{"email": apitest.Newcomer, "password": apitest.OtherPassword}).
			Problem(http.StatusConflict, "email_already_registered")
		o.Post(t, p.Front+"/login", apitest.Object{"email": apitest.Newcomer, "password": apitest.GoodPassword}).
			Problem(http.StatusForbidden, "password_not_set")
		set := o.MailTo(t, apitest.Newcomer, "Set your password for Acme")
		o.Redeem(t, p, apitest.PasswordResets, apitest.Merge(set.ByLink(), apitest.Object{"password": ownerPhrase})).
			Status(http.StatusOK)
		o.LogIn(t, apitest.Person{Portal: p, Email: apitest.Newcomer, Password: ownerPhrase})
	})
}
