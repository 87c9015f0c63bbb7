package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/app"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

const (
	demoPortal   = "demo"
	demoPassword = "correct horse battery staple"
	expiredReset = "expired-reset@example.com"
	olderCode    = "older-code@example.com"
)

// demoAccounts are one account in every state; the address says which.
var demoAccounts = []struct {
	email, about string
	changes      account.Changes
}{
	{"ready@example.com", "can log in", account.Changes{
		Password: ptr(demoPassword), Confirmed: ptr(true), GivenName: ptr(ptr("Ada")), FamilyName: ptr(ptr("Ready")),
		Entitlements: &[]string{"case-1"},
	}},
	{"admin@example.com", "can log in, and has the role admin", account.Changes{
		Password: ptr(demoPassword), Confirmed: ptr(true), Roles: &[]string{account.AdminRole},
	}},
	{"unconfirmed@example.com", "has not confirmed the address", account.Changes{Password: ptr(demoPassword)}},
	{"no-password@example.com", "has not set a password", account.Changes{Confirmed: ptr(true)}},
	{expiredReset, "has a reset link that ran out", account.Changes{Password: ptr(demoPassword), Confirmed: ptr(true)}},
	{olderCode, "was sent two reset codes; the newest is in the inbox", account.Changes{
		Password: ptr(demoPassword), Confirmed: ptr(true),
	}},
	{"disabled@example.com", "is disabled", account.Changes{
		Password: ptr(demoPassword), Confirmed: ptr(true), Disabled: ptr(true),
	}},
}

// demoLine tells of an address.
const demoLine = "  %-31s %s\n"

func ptr[T any](value T) *T { return &value }

// prepareDemo makes the demo portal and its accounts, where they are not there yet, and says how to begin.
func (s *serveCommand) prepareDemo(ctx context.Context, a *app.App, options app.Options, to io.Writer) error {
	ctx = audit.WithCaller(ctx, &audit.Caller{Actor: audit.Terminal()})
	p, err := makeDemo(ctx, a)
	if err != nil {
		return explained(err)
	}
	past, err := newHistory(ctx, p, options)
	if err != nil {
		return explained(err)
	}
	secrets, err := past.makeSecrets(ctx)
	if err != nil {
		return explained(err)
	}
	invitations, err := past.makeInvitations(ctx)
	if err != nil {
		return explained(err)
	}
	public := s.PublicURL.String()
	var text strings.Builder
	fmt.Fprintf(&text, "Latchkey, for development: the portal %q, whose accounts have the password %q:\n",
		p.Slug, demoPassword)
	for _, a := range demoAccounts {
		fmt.Fprintf(&text, demoLine, a.email, a.about)
	}
	text.WriteString(invitations)
	text.WriteString(secrets)
	fmt.Fprintf(&text, `The operator key: %[2]s
Try:
  curl -s %[1]s/lookup -H 'Content-Type: application/json' -d '{"email":"ready@example.com"}'
  curl -s %[1]s/login -H 'Content-Type: application/json' -d '{"email":"ready@example.com","password":"%[3]s"}'
  curl -s %[4]s/v1/admin/portals/%[5]s/accounts -H 'Authorization: Bearer %[2]s'
The messages it sends: %[4]s/dev/inbox
Read the API at %[4]s/docs
`, public+"/v1/portals/"+p.Slug, s.OperatorKey, demoPassword, public, p.Slug)
	_, err = io.WriteString(to, text.String())
	return err
}

// makeDemo makes what is not there yet: a start before may have been killed half-way, or another be under way.
func makeDemo(ctx context.Context, a *app.App) (*portal.Portal, error) {
	p, err := a.Portals.Find(ctx, demoPortal)
	if fault.CodeOf(err) == fault.OrganizationNotFound {
		settings := portal.Defaults()
		settings.Name = "Demo"
		settings.Support.Email = ptr("support@example.com")
		settings.Links = portal.Links{
			Confirm: ptr("http://localhost:3000/confirm?token={token}"), Reset: ptr("http://localhost:3000/reset?token={token}"),
			Invitation: ptr("http://localhost:3000/invite?code={token}"),
		}
		if p, err = a.Portals.Create(ctx, demoPortal, settings); fault.CodeOf(err) == fault.ValidationFailed {
			p, err = a.Portals.Find(ctx, demoPortal)
		}
	}
	if err != nil {
		return nil, err
	}
	for _, d := range demoAccounts {
		there, err := a.Accounts.Search(ctx, p, d.email, ids.Account{}, 1)
		if err != nil {
			return nil, err
		}
		if len(there) > 0 {
			continue
		}
		address, err := email.Parse(d.email)
		if err != nil {
			return nil, err
		}
		d.changes.Email = &address
		if _, err := a.Accounts.Create(ctx, p, d.changes); err != nil && fault.CodeOf(err) != fault.EmailAlreadyRegistered {
			return nil, err
		}
	}
	return p, nil
}
