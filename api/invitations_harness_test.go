package api_test

import (
	"encoding/csv"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the tests of invitations have in common.
const (
	invitee    = "ada@example.com" // who is invited unless a test says otherwise
	invitedAs  = "You are invited to Acme"
	invitedLog = "SELECT COUNT(*) FROM audit_events WHERE type = 'invitation.created' AND outcome = 'success'"
)

// invited is an invitation that a test made.
type invited struct {
	portal portal
	id     string
	email  string
	code   string
	admin  string // where administrators find it
}

// invites invites the invitee as an operator, unless a member or an option says otherwise.
func (h *harness) invites(t testing.TB, p portal, members object, with ...option) *answer {
	t.Helper()
	body := object{"email": invitee}
	maps.Copy(body, members)
	return h.post(t, p.admin+"/invitations", body, append([]option{asOperator}, with...)...)
}

// invite does so and reads the code where only operators can.
func (h *harness) invite(t testing.TB, p portal, members object, with ...option) invited {
	t.Helper()
	return h.asInvited(t, p, h.invites(t, p, members, with...).status(http.StatusCreated))
}

func (h *harness) asInvited(t testing.TB, p portal, a *answer) invited {
	t.Helper()
	i := invited{portal: p, id: a.text("id"), email: a.text("email")}
	i.admin = p.admin + "/invitations/" + i.id
	i.code = h.exported(t, p, i.email)
	return i
}

// exported is the code of the one pending invitation in whose address something is found.
func (h *harness) exported(t testing.TB, p portal, q string) string {
	t.Helper()
	query := url.Values{"q": {q}, "status": {"pending"}}
	a := h.get(t, p.admin+"/invitations/export?"+query.Encode(), asOperator).status(http.StatusOK)
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(a.body), "\ufeff"))).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 2, "%s", a.body)
	h.log.forbid(rows[1][0])
	return rows[1][0]
}

// invite does so by mail, which the code is read from.
func (o *office) invite(t testing.TB, p portal, members object, with ...option) (invited, letter) {
	t.Helper()
	a := o.invites(t, p, members, with...).status(http.StatusCreated)
	mail := o.mail(t, a)
	require.NotEmpty(t, mail.code)
	require.Equal(t, mail.code, mail.token, "the link and the text have the same code")
	return invited{
		portal: p, id: a.text("id"), email: a.text("email"), code: mail.code, admin: p.admin + "/invitations/" + a.text("id"),
	}, mail
}

// verifies asks what a code is good for.
func (h *harness) verifies(t testing.TB, p portal, code string) *answer {
	t.Helper()
	return h.post(t, p.front+"/invitations/verify", object{"code": code})
}

// acceptance is the body that redeems an invitation.
func (i invited) acceptance(members ...object) object {
	body := object{"code": i.code, "email": i.email, "password": goodPassword}
	for _, m := range members {
		maps.Copy(body, m)
	}
	return body
}

func (h *harness) accepts(t testing.TB, i invited, members ...object) *answer {
	t.Helper()
	return h.post(t, i.portal.front+"/invitations/redeem", i.acceptance(members...))
}

// refuses wants verify and redeem to say the same of a code.
func (h *harness) refuses(t testing.TB, i invited, status int, code string) *answer {
	t.Helper()
	h.verifies(t, i.portal, i.code).problem(status, code)
	return h.accepts(t, i).problem(status, code)
}

// resends asks to have one's invitation mailed again.
func (h *harness) resends(t testing.TB, p portal, email string) *answer {
	t.Helper()
	return h.post(t, p.front+"/invitations/resend", object{"email": email})
}

// renews has an administrator send an invitation with a new code.
func (h *harness) renews(t testing.TB, i invited) *answer {
	t.Helper()
	return h.post(t, i.admin+"/resend", nil, asOperator)
}

// renewed is the invitation after that, by the code of its newest mail.
func (o *office) renewed(t testing.TB, i invited) invited {
	t.Helper()
	i.code = o.mail(t, o.renews(t, i).status(http.StatusAccepted)).code
	return i
}

// stands wants an invitation to have a status in the eyes of administrators.
func (h *harness) stands(t testing.TB, i invited, status string) *answer {
	t.Helper()
	return h.get(t, i.admin, asOperator).status(http.StatusOK).is("status", status)
}
