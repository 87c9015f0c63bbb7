package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/invitation"
)

const (
	waitingInvitation = "invited@example.com"
	expiredInvitation = "expired-invitation@example.com"
	resentInvitation  = "resent-invitation@example.com"
)

// demoInvitations are one invitation in every state; the address says which.
var demoInvitations = []struct {
	email string
	ago   time.Duration
	term  time.Duration // 0 is as long as the portal says
	roles []string
	send  bool
}{
	{email: waitingInvitation, roles: []string{"editor"}, send: true},
	{email: expiredInvitation, roles: []string{}, ago: 25 * time.Hour, term: 24 * time.Hour},
	{email: resentInvitation, roles: []string{}, ago: 5 * time.Minute}, // its second code is mailed
}

// makeInvitations invites everybody who is not invited yet, some in the past, and returns the lines that describe it.
func (h *history) makeInvitations(ctx context.Context) (string, error) {
	var err error
	var lines strings.Builder
	for _, d := range demoInvitations {
		n := invitation.New{
			Roles: d.roles, Entitlements: []string{}, Metadata: []byte("{}"), Locale: h.portal.DefaultLocale,
			Term: cmp.Or(d.term, h.portal.InvitationTTL.Duration()), Send: d.send,
		}
		if n.Email, err = email.Parse(d.email); err != nil {
			return "", err
		}
		i, err := h.invite(ctx, n, d.ago)
		if err != nil {
			return "", err
		}
		older := ""
		if d.email == resentInvitation {
			if i, older, err = h.resend(ctx, i); err != nil {
				return "", err
			}
		}
		about, err := h.tell(i, older)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&lines, demoLine, d.email, about)
	}
	return lines.String(), nil
}

// invite makes an invitation some time ago, unless the newest one of the address will do. It gives none where the
// address has an account instead.
func (h *history) invite(ctx context.Context, n invitation.New, ago time.Duration) (*invitation.Invitation, error) {
	i, err := h.newest(ctx, n.Email)
	over := ago > n.Term // from the first
	if err != nil || (i != nil && (over || i.Status(time.Now()) != invitation.Expired)) {
		return i, err
	}
	h.now = time.Now().Add(-ago)
	made, err := h.Invitations.Invite(ctx, h.portal, invitation.Inviter{Name: operator}, n)
	switch fault.CodeOf(err) {
	case fault.EmailAlreadyRegistered:
		return nil, nil
	case fault.InvitationPending: // another start came first
		return h.newest(ctx, n.Email)
	}
	return made, err
}

// newest is the newest invitation of an address, nil where there is none.
func (h *history) newest(ctx context.Context, of email.Address) (*invitation.Invitation, error) {
	found, err := h.Invitations.List(ctx, h.portal, invitation.Filter{Query: of.Canonical(), Limit: 200})
	for _, i := range found {
		if i.Email.Canonical() == of.Canonical() {
			return i, nil
		}
	}
	return nil, err
}

// resend gives an invitation a second code, which supersedes the first, and returns the first.
func (h *history) resend(
	ctx context.Context, i *invitation.Invitation,
) (renewed *invitation.Invitation, older string, err error) {
	if i == nil || i.Status(time.Now()) != invitation.Pending || !i.IssuedAt.Equal(i.CreatedAt) {
		return i, "", nil
	}
	h.now = time.Now().Add(-2 * time.Minute)
	if older, err = h.Invitations.Code(h.portal, i); err != nil {
		return nil, "", err
	}
	renewed, _, err = h.Invitations.Resend(ctx, h.portal, i.ID)
	if fault.CodeOf(err) == fault.ResendTooSoon { // another start came first
		return i, "", nil
	}
	return renewed, older, err
}

// tell prints the state of an invitation. The code of an expired one is printed, too, so that it can be tried.
func (h *history) tell(i *invitation.Invitation, older string) (string, error) {
	if i == nil {
		return "has an account by now", nil
	}
	h.now = i.IssuedAt
	code, err := h.Invitations.Code(h.portal, i)
	if err != nil {
		return "", err
	}
	as := ""
	if len(i.Roles) > 0 {
		as = " with the role " + strings.Join(i.Roles, ", ")
	}
	switch status := i.Status(time.Now()); {
	case status == invitation.Accepted:
		return "has accepted an invitation", nil
	case code == "": // somebody made an account in another way
		return "was invited", nil
	case status == invitation.Expired:
		return fmt.Sprintf("was invited%s; the code that ran out is %s", as, code), nil
	case older != "":
		return fmt.Sprintf("is invited%s; the code is %s, the older code %s", as, code, older), nil
	}
	return fmt.Sprintf("is invited%s; the code is %s", as, code), nil
}
