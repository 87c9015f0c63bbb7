package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
)

// Where the people of the claims call from, which the mail says: the owner of a mailbox does not confirm what came from
// elsewhere.
const (
	ownerSocket   = "198.51.100.7:1"
	malloryPhrase = "what mallory thinks of it"
	ownerPhrase   = "what the owner thinks of it"
	resetPhrase   = "what the owner resets it to"
)

// story is one order of what a stranger and the owner do with one address.
type story struct {
	t     *testing.T
	p     portal
	email string
	steps []string

	letters  []letter // in the owner's mailbox
	pending  *answer  // whose mail is waited for
	proved   bool
	password string   // the owner's
	stolen   []tokens // the stranger's sessions
}

// Who registers somebody else's address first gains nothing, by any order of register, confirm, reset and log in. The
// orders run in step, an hour apart.
func TestASquatterGainsNothing(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		var stories []*story
		for _, p := range []portal{o.portal(t), o.portal(t, object{"slug": "lax", "require_confirmation": false})} {
			for _, steps := range orders(deeds, 4) {
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
				if s.steps[at] == "owner resets" && s.pending != nil {
					s.redeemReset(o)
				}
				s.pending = nil
				s.mallory(o)
			}
			o.clock.advance(time.Hour)
		}
		proved := 0
		for _, s := range stories {
			if s.proved {
				proved++
				o.logIn(t, person{portal: s.p, email: s.email, password: s.password})
			}
		}
		require.Greater(t, proved, len(stories)/2)
	})
}

// deeds are what the stranger and the owner do.
var deeds = []string{"mallory registers", "owner registers", "owner confirms", "owner asks again", "owner resets"}

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

func (s *story) step(o *office, step string) {
	s.t.Helper()
	registration := object{"email": s.email, "password": malloryPhrase}
	switch step {
	case "mallory registers":
		s.registered(o.post(s.t, s.p.front+"/registrations", registration))
	case "owner registers":
		registration["password"] = ownerPhrase
		if s.registered(o.post(s.t, s.p.front+"/registrations", registration, from(ownerSocket))) {
			s.password = ownerPhrase
		}
	case "owner confirms": // the newest mail, if it is of his own doing
		if len(s.letters) == 0 {
			return
		}
		newest := s.letters[len(s.letters)-1]
		if !strings.Contains(newest.Text, "198.51.100.7") || !strings.Contains(newest.Text, confirmPage) {
			return
		}
		a := o.redeem(s.t, s.p, confirmations, newest.byLink())
		if s.proved {
			require.GreaterOrEqual(s.t, a.httpStatus, 400, "%v: %s", s.steps, a.body)
			return
		}
		a.status(http.StatusOK)
		s.proved = true
	case "owner asks again": // from his network, for what may not be his: the mail says whose it is
		if a := o.post(s.t, s.p.front+"/confirmations", object{"email": s.email}, from(ownerSocket)); a.httpStatus == http.StatusAccepted {
			s.pending = a
		}
	case "owner resets":
		a := o.post(s.t, s.p.front+"/password-resets", object{"email": s.email}, from(ownerSocket))
		if a.httpStatus == http.StatusAccepted {
			s.pending = a
		} else {
			a.problem(http.StatusNotFound, "email_not_found")
		}
	}
}

// registered notes what became of a registration: once the mailbox was proved, nothing.
func (s *story) registered(a *answer) bool {
	s.t.Helper()
	if s.proved {
		a.problem(http.StatusConflict, "email_already_registered")
		return false
	}
	s.pending = a.status(http.StatusCreated)
	return true
}

func (s *story) readMail(o *office) {
	s.t.Helper()
	if s.pending != nil {
		s.letters = append(s.letters, o.mail(s.t, s.pending))
	}
}

func (s *story) redeemReset(o *office) {
	s.t.Helper()
	secret := s.letters[len(s.letters)-1].byLink()
	secret["password"] = resetPhrase
	o.redeem(s.t, s.p, resets, secret).status(http.StatusOK)
	s.proved, s.password = true, resetPhrase
}

// mallory tries what he has, and keeps what he gets: nothing where accounts must be confirmed, or once this one is.
func (s *story) mallory(o *office) {
	s.t.Helper()
	a := o.post(s.t, s.p.front+"/login", object{"email": s.email, "password": malloryPhrase})
	if a.httpStatus == http.StatusOK {
		require.False(s.t, s.proved, "mallory is in: %v", s.steps)
		require.Equal(s.t, "lax", s.p.slug, "mallory is in: %v", s.steps)
		s.stolen = append(s.stolen, tokens{a.text("access_token"), a.text("refresh_token")})
	}
	if s.proved {
		for _, in := range s.stolen {
			o.alive(s.t, s.p, in.access, false)
			o.over(s.t, s.p, in.refresh)
		}
		s.stolen = nil
	}
}

// An account that an administrator makes takes the place of a claim, and everything of the claim ends.
func TestAnAdministratorsAccountTakesTheClaimsPlace(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t, object{"require_confirmation": false})
		_, mail := o.registers(t, p, object{"given_name": "Mallory"})
		in := o.logIn(t, person{portal: p, email: newcomer, password: goodPassword})
		reset := o.asks(t, p, resets, newcomer)
		made := o.post(t, p.admin+"/accounts", object{"email": "Grace@Example.com", "given_name": "Grace"}, asOperator).
			status(http.StatusCreated).is("confirmed", false).is("has_password", false).is("given_name", "Grace")
		o.alive(t, p, in.access, false)
		o.over(t, p, in.refresh)
		for kind, secret := range map[string]letter{confirmations: mail, resets: reset} {
			o.verify(t, p, kind, secret.byLink()).problem(http.StatusGone, "token_expired")
			o.redeem(t, p, kind, secret.byCode(newcomer)).problem(http.StatusGone, "token_expired")
			o.clock.advance(nextAsk)
			o.post(t, p.front+"/"+kind, object{"token": secret.token}).problem(http.StatusGone, "token_expired")
		}
		o.post(t, p.front+"/login", object{"email": newcomer, "password": goodPassword}).
			problem(http.StatusForbidden, "password_not_set")
		// It is no claim itself: nobody registers over it, though it is not confirmed.
		o.clock.advance(nextAsk)
		o.post(t, p.front+"/registrations", object{"email": newcomer, "password": newPassword}).
			problem(http.StatusConflict, "email_already_registered")
		o.post(t, p.admin+"/accounts", object{"email": newcomer}, asOperator).problem(http.StatusConflict, "email_already_registered")
		require.Equal(t, made.text("id"), o.sql(t, "SELECT id FROM accounts"))
	})
}

// A claim that an administrator disabled is not replaced.
func TestADisabledClaimStays(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t)
		_, mail := o.registers(t, p)
		id := o.sql(t, "SELECT id FROM accounts")
		o.patch(t, p.admin+"/accounts/"+id, object{"disabled": true}, asOperator).status(http.StatusOK)
		o.clock.advance(nextAsk)
		o.post(t, p.front+"/registrations", object{"email": newcomer, "password": newPassword}).
			problem(http.StatusConflict, "email_already_registered")
		o.redeem(t, p, confirmations, mail.byLink()).problem(http.StatusForbidden, "account_disabled")
	})
}

// An administrator who says that a claim is confirmed makes it an account.
func TestAnAdministratorConfirmsAClaim(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t)
		o.registers(t, p)
		id := o.sql(t, "SELECT id FROM accounts")
		o.patch(t, p.admin+"/accounts/"+id, object{"confirmed": true}, asOperator).status(http.StatusOK)
		o.clock.advance(nextAsk)
		o.post(t, p.front+"/registrations", object{"email": newcomer, "password": newPassword}).
			problem(http.StatusConflict, "email_already_registered")
		o.logIn(t, person{portal: p, email: newcomer, password: goodPassword})
	})
}
