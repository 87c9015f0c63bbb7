package apitest

import (
	"encoding/csv"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Shared by tests of invitations.
const (
	Invitee            = "ada@example.com" // who is invited unless a test says otherwise
	InvitationSubject  = "You are invited to Acme"
	CountInvitedEvents = "SELECT COUNT(*) FROM audit_events WHERE type = 'invitation.created' AND outcome = 'success'"
)

// Invitation is an invitation that a test made.
type Invitation struct {
	Portal Portal
	ID     string
	Email  string
	Code   string
	Admin  string // where administrators find it
}

// PostInvitation invites the Invitee as an operator, unless a member or an option says otherwise.
func (h *Harness) PostInvitation(t testing.TB, p Portal, members Object, with ...Option) *Answer {
	t.Helper()
	body := Object{"email": Invitee}
	maps.Copy(body, members)
	return h.Post(t, p.Admin+"/invitations", body, append([]Option{AsOperator}, with...)...)
}

// Invite invites the Invitee and reads the code from the export.
func (h *Harness) Invite(t testing.TB, p Portal, members Object, with ...Option) Invitation {
	t.Helper()
	return h.InvitationOf(t, p, h.PostInvitation(t, p, members, with...).Status(http.StatusCreated))
}

// InvitationOf is the invitation that an answer to its creation describes, with its code.
func (h *Harness) InvitationOf(t testing.TB, p Portal, a *Answer) Invitation {
	t.Helper()
	i := Invitation{Portal: p, ID: a.Text("id"), Email: a.Text("email")}
	i.Admin = p.Admin + "/invitations/" + i.ID
	i.Code = h.ExportedCode(t, p, i.Email)
	return i
}

// ExportedCode is the code of the one pending invitation whose address contains q.
func (h *Harness) ExportedCode(t testing.TB, p Portal, q string) string {
	t.Helper()
	query := url.Values{"q": {q}, "status": {"pending"}}
	a := h.Get(t, p.Admin+"/invitations/export?"+query.Encode(), AsOperator).Status(http.StatusOK)
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(a.Body), "\ufeff"))).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 2, "%s", a.Body)
	h.Log.Forbid(rows[1][0])
	return rows[1][0]
}

// Invite invites the Invitee and reads the code from the mail.
func (o *MailHarness) Invite(t testing.TB, p Portal, members Object, with ...Option) (Invitation, Mail) {
	t.Helper()
	a := o.PostInvitation(t, p, members, with...).Status(http.StatusCreated)
	mail := o.Mail(t, a)
	require.NotEmpty(t, mail.Code)
	require.Equal(t, mail.Code, mail.Token, "the link and the text have the same code")
	return Invitation{
		Portal: p, ID: a.Text("id"), Email: a.Text("email"), Code: mail.Code, Admin: p.Admin + "/invitations/" + a.Text("id"),
	}, mail
}

// VerifyCode verifies the code of an invitation.
func (h *Harness) VerifyCode(t testing.TB, p Portal, code string) *Answer {
	t.Helper()
	return h.Post(t, p.Front+"/invitations/verify", Object{"code": code})
}

// RedeemBody is the body that redeems the invitation.
func (i Invitation) RedeemBody(members ...Object) Object {
	body := Object{"code": i.Code, "email": i.Email, "password": GoodPassword}
	for _, m := range members {
		maps.Copy(body, m)
	}
	return body
}

// AcceptInvitation redeems an invitation.
func (h *Harness) AcceptInvitation(t testing.TB, i Invitation, members ...Object) *Answer {
	t.Helper()
	return h.Post(t, i.Portal.Front+"/invitations/redeem", i.RedeemBody(members...))
}

// RequireCodeRefused wants verify and redeem to say the same of a code.
func (h *Harness) RequireCodeRefused(t testing.TB, i Invitation, status int, code string) *Answer {
	t.Helper()
	h.VerifyCode(t, i.Portal, i.Code).Problem(status, code)
	return h.AcceptInvitation(t, i).Problem(status, code)
}

// PostResend asks to have one's invitation mailed again.
func (h *Harness) PostResend(t testing.TB, p Portal, email string) *Answer {
	t.Helper()
	return h.Post(t, p.Front+"/invitations/resend", Object{"email": email})
}

// PostRenewal has an administrator send an invitation with a new code.
func (h *Harness) PostRenewal(t testing.TB, i Invitation) *Answer {
	t.Helper()
	return h.Post(t, i.Admin+"/resend", nil, AsOperator)
}

// Renew renews an invitation and gives it with the code of its newest mail.
func (o *MailHarness) Renew(t testing.TB, i Invitation) Invitation {
	t.Helper()
	i.Code = o.Mail(t, o.PostRenewal(t, i).Status(http.StatusAccepted)).Code
	return i
}

// RequireInvitationStatus wants the admin API to show an invitation with a status.
func (h *Harness) RequireInvitationStatus(t testing.TB, i Invitation, status string) *Answer {
	t.Helper()
	return h.Get(t, i.Admin, AsOperator).Status(http.StatusOK).Is("status", status)
}
