package api_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/database/databasetest"
	"github.com/latchkey-auth/latchkey/pkg/mail/smtptest"
)

// A person has the invitation mailed again: the same code, for what is left of its time, to the address that was invited.
func TestHavingOnesInvitationAgain(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t)
		i, first := o.invite(t, p, object{"email": spellings[0], "expires_in": 86400, "locale": "de"})
		require.Equal(t, []string{"Ada.Lovelace@xn--bcher-kva.example"}, first.To)
		for n, typed := range spellings {
			o.clock.advance(13 * time.Minute) // no more than five an hour
			left := 86400 - (n+1)*13*60
			a := o.resends(t, p, typed).status(http.StatusAccepted).is("expires_in", left).is("delivery.channel", "email").
				is("delivery.status", "queued").sets("Cache-Control", "no-store")
			mail := o.mail(t, a)
			require.Equal(t, first.To, mail.To, "%q", typed)
			require.Equal(t, first.Subject(), mail.Subject())
			require.Contains(t, mail.HTML, `lang="de"`)
			require.Equal(t, i.code, mail.code)
			require.Equal(t, i.code, mail.token)
			o.stands(t, i, "pending").is("sent_at", o.stamp(0)).is("delivery.id", a.text("delivery.id"))
		}
		o.verifies(t, p, i.code).status(http.StatusOK).is("expires_at", o.stamp(day-8*13*time.Minute))
		o.accepts(t, i).status(http.StatusCreated)
		o.resends(t, p, spellings[1]).problem(http.StatusConflict, "email_already_registered").remedies("log_in", "reset_password")
		o.resends(t, p, "nobody@gmial.com").problem(http.StatusNotFound, "email_not_found").
			is("did_you_mean", []string{"nobody@gmail.com"}).remedies("correct_email", "contact_administrator")
		for _, typed := range []string{"", "ada", "ada@example.com,eve@example.com", "Ada <ada@example.com>"} {
			o.resends(t, p, typed).problem(http.StatusUnprocessableEntity, "validation_failed")
		}
		o.post(t, p.front+"/invitations/resend", object{"code": i.code}).problem(http.StatusUnprocessableEntity, "validation_failed")
	})
}

// With send false nothing is mailed, until the person or an administrator asks.
func TestAnInvitationThatIsNotMailed(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t)
		a := o.invites(t, p, object{"send": false}).status(http.StatusCreated).is("status", "pending").is("sent_at", nil).
			is("delivery", nil)
		i := o.asInvited(t, p, a)
		require.Zero(t, o.quiet(t))
		require.Equal(t, "0", o.rows(t, "deliveries"))
		o.post(t, p.front+"/lookup", object{"email": invitee}).status(http.StatusOK).is("next", "redeem_invitation")
		o.clock.advance(time.Hour)
		mail := o.mail(t, o.resends(t, p, invitee).status(http.StatusAccepted).is("resend_after_seconds", 60))
		require.Equal(t, i.code, mail.code)
		require.Equal(t, invitedAs, mail.Subject())
		o.stands(t, i, "pending").is("sent_at", o.stamp(0)).is("delivery.to", "a•••@example.com")
		require.Equal(t, 1, o.quiet(t))
		o.stands(t, i, "pending").is("delivery.status", "sent")
		o.accepts(t, i).status(http.StatusCreated)
	})
}

// A person asks once a minute and five times an hour; an administrator once a minute, whatever the person does; and
// nobody is held who invites.
func TestHowOftenInvitationsAreSent(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		h := newHarness(t, db)
		p := h.portal(t)
		i := h.invite(t, p, object{})
		for n := range 5 {
			wait := 60
			if n == 4 {
				wait = 3600 - 4*60
			}
			h.resends(t, p, "  ADA@example.com").status(http.StatusAccepted).is("resend_after_seconds", wait)
			h.resends(t, p, invitee).problem(http.StatusTooManyRequests, "resend_too_soon").
				remedies("wait", "check_spam", "contact_support").sets("Retry-After", fmt.Sprint(wait))
			h.renews(t, i).status(http.StatusAccepted).is("resend_after_seconds", 60)
			renewed := h.exported(t, p, invitee)
			h.renews(t, i).problem(http.StatusTooManyRequests, "resend_too_soon").sets("Retry-After", "60")
			require.Equal(t, renewed, h.exported(t, p, invitee), "what is held changes nothing")
			h.clock.advance(nextAsk - time.Millisecond)
			h.resends(t, p, invitee).problem(http.StatusTooManyRequests, "resend_too_soon")
			h.renews(t, i).problem(http.StatusTooManyRequests, "resend_too_soon").sets("Retry-After", "1")
			h.clock.advance(time.Millisecond)
		}
		h.resends(t, p, invitee).problem(http.StatusTooManyRequests, "resend_too_soon").sets("Retry-After", "3300")
		sent := h.rows(t, "deliveries")
		require.Equal(t, "11", sent)
		h.renews(t, i).status(http.StatusAccepted)
		for range 3 {
			h.delete(t, i.admin, asOperator).status(http.StatusNoContent)
			i = h.invite(t, p, object{})
		}
		require.Equal(t, "15", h.rows(t, "deliveries"))
		h.resends(t, p, invitee).problem(http.StatusTooManyRequests, "resend_too_soon")
		h.accepts(t, i).status(http.StatusCreated)
	})
}

// What has gone by when its turn comes is not sent; what counts is sent as it is then.
func TestInvitationsThatWaitInTheQueue(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := &office{relay: smtptest.New(t, smtptest.Options{}), bag: &bag{letters: map[string]letter{}}}
		o.harness = newHarness(t, db, o.sends(t))
		p := o.portal(t)
		all, want := map[string]invited{}, map[string]string{} // of the first mail, what becomes of it
		for name, after := range map[string]func(i invited){
			"sent":     func(invited) {},
			"accepted": func(i invited) { o.harness.accepts(t, i).status(http.StatusCreated) },
			"renewed":  func(i invited) { o.renews(t, i).status(http.StatusAccepted) },
			"asked":    func(i invited) { o.resends(t, p, i.email).status(http.StatusAccepted) },
			"owned":    func(i invited) { o.account(t, p, object{"email": i.email}) },
			"deleted":  func(i invited) { o.delete(t, i.admin, asOperator).status(http.StatusNoContent) },
			"replaced": func(i invited) {
				o.delete(t, i.admin, asOperator).status(http.StatusNoContent)
				o.invites(t, p, object{"email": i.email}).status(http.StatusCreated)
			},
		} {
			a := o.invites(t, p, object{"email": name + "@example.com"}).status(http.StatusCreated).is("delivery.status", "queued")
			all[name] = o.asInvited(t, p, a)
			id := a.text("delivery.id")
			after(all[name])
			want[id] = map[bool]string{true: "sent", false: "failed"}[name == "sent" || name == "asked"]
			if name == "deleted" || name == "replaced" {
				want[id] = "sent" // to nobody: its receipt goes on as if nothing were
			}
		}
		o.open(t, o.server)
		sent := map[string]int{}
		require.Equal(t, 5, o.quiet(t))
		for _, m := range o.relay.Messages() {
			sent[m.To[0]]++
		}
		require.Equal(t, map[string]int{
			"sent@example.com": 1, "asked@example.com": 2, "renewed@example.com": 1, "replaced@example.com": 1,
		}, sent)
		for id, status := range want {
			o.get(t, p.front+"/deliveries/"+id).status(http.StatusOK).is("status", status)
		}
		newest := o.mailOn(t, "renewed@example.com", invitedAs)
		require.NotEqual(t, all["renewed"].code, newest.code)
		o.verifies(t, p, newest.code).status(http.StatusOK)
		require.NotEqual(t, all["replaced"].code, o.mailOn(t, "replaced@example.com", invitedAs).code)
	})
}

// The mail is in the language of the invitation, else of the portal; a link that is not set leaves the code alone.
func TestTheLanguageOfInvitations(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		o := newOffice(t, db)
		p := o.portal(t, object{"default_locale": "nl"})
		subjects := map[string]bool{}
		for _, tongue := range []string{"en", "de", "fr", "nl", "da"} {
			_, mail := o.invite(t, p, object{"email": tongue + "@example.com", "locale": tongue}, language("da"))
			require.Contains(t, mail.HTML, `lang="`+tongue+`"`)
			subjects[mail.Subject()] = true
		}
		require.Len(t, subjects, 5)
		_, mail := o.invite(t, p, object{}, language("de"))
		require.Contains(t, mail.HTML, `lang="nl"`)

		bare := o.harness.portal(t, object{"slug": "bare"})
		mail = o.mail(t, o.invites(t, bare, object{}).status(http.StatusCreated))
		require.Empty(t, mail.token)
		require.NotRegexp(t, `https?://`, mail.Text)
		require.NotContains(t, mail.HTML, "<a ")
		o.verifies(t, bare, mail.code).status(http.StatusOK)
	})
}
