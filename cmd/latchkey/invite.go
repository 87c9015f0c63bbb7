package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/app"
	"github.com/latchkey-auth/latchkey/pkg/config"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/fault"
	"github.com/latchkey-auth/latchkey/pkg/invitation"
	"github.com/latchkey-auth/latchkey/pkg/locale"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// operator is who invites where no account of the portal does.
const operator = "operator"

type inviteCommand struct {
	config.Database
	Portal      string         `required:"" help:"The portal to invite to."`
	Role        []string       `sep:"none" help:"A role to give, such as admin; may be given more than once."`
	Entitlement []string       `sep:"none" help:"An entitlement to give; may be given more than once."`
	Locale      string         `help:"The person's language: en, de, fr, nl or da; the portal's if not given."`
	ExpiresIn   *time.Duration `help:"How long the code is good, such as 48h; as long as the portal says if not given."`
	NoSend      bool           `help:"Mail nothing: the code is yours to pass on."`
	Email       string         `arg:"" help:"Whom to invite."`
}

// Run invites somebody, whether a server runs or not: the mail waits for one that sends it.
func (i *inviteCommand) Run(ctx context.Context, to output) error {
	if err := i.Check(); err != nil {
		return err
	}
	return withDatabase(ctx, i.Database, to, func(ctx context.Context, db *database.DB) error {
		// Any public URL will do: only mail contains it, and a server sends the mail.
		server := config.Server{Database: i.Database, PublicURL: config.DefaultPublicURL}
		options, err := appOptions(server, db, newLogger(i.Database, to.Log))
		if err != nil {
			return err
		}
		a, err := app.New(ctx, options)
		if err != nil {
			return err
		}
		p, err := a.Portals.Find(ctx, i.Portal)
		if err != nil {
			return explained(err)
		}
		wanted, err := i.wanted(p)
		if err != nil {
			return explained(err)
		}
		made, err := a.Invitations.Invite(ctx, p, invitation.Inviter{Name: operator}, wanted)
		if err != nil {
			return notInvited(p, err)
		}
		code, err := a.Invitations.Code(p, made)
		if err != nil {
			return err
		}
		return invited(p, made, code).print(to.Out)
	})
}

// wanted checks what was asked for, as the API does. Errors: validation_failed.
func (i *inviteCommand) wanted(p *portal.Portal) (invitation.New, error) {
	var wrong []fault.Field
	address, err := email.Parse(i.Email)
	if err != nil {
		wrong = append(wrong, fault.Field{Pointer: "/email", Code: fault.FieldEmail})
	}
	n := invitation.New{
		Email: address, Metadata: []byte("{}"), Locale: p.DefaultLocale, Term: p.InvitationTTL.Duration(), Send: !i.NoSend,
	}
	var wrongRoles, wrongEntitlements []fault.Field
	n.Roles, wrongRoles = names("/role", i.Role)
	n.Entitlements, wrongEntitlements = names("/entitlement", i.Entitlement)
	wrong = append(append(wrong, wrongRoles...), wrongEntitlements...)
	if i.Locale != "" {
		n.Locale = i.Locale
		if _, known := locale.Parse(i.Locale); !known {
			wrong = append(wrong, fault.Field{Pointer: "/locale", Code: fault.FieldNotAllowed, Allowed: locale.Tags()})
		}
	}
	if i.ExpiresIn != nil {
		n.Term = *i.ExpiresIn
		if n.Term < invitation.MinTerm || n.Term > invitation.MaxTerm {
			wrong = append(wrong, fault.Field{Pointer: "/expires-in", Code: fault.FieldNotAllowed, Allowed: []string{
				fmt.Sprintf("%v to %v", invitation.MinTerm, invitation.MaxTerm),
			}})
		}
	}
	if len(wrong) > 0 {
		return n, fault.Invalid(wrong...)
	}
	return n, nil
}

// names takes roles or entitlements, several in one between commas too. An empty one is refused: it is a variable of a
// script that was not set.
func names(pointer string, given []string) (distinct []string, wrong []fault.Field) {
	var list []string
	if len(given) > 0 {
		list = strings.Split(strings.Join(given, ","), ",")
	}
	for i, name := range list {
		list[i] = strings.TrimSpace(name)
		switch {
		case strings.ContainsRune(name, utf8.RuneError): // kong makes it of what is no UTF-8
			wrong = append(wrong, fault.Field{Pointer: pointer, Code: fault.FieldEncoding})
		case strings.ContainsFunc(name, unicode.IsControl):
			wrong = append(wrong, fault.Field{Pointer: pointer, Code: fault.FieldControlCharacter})
		}
	}
	distinct, broken := account.CheckNames(list)
	for _, field := range broken {
		field.Pointer = pointer
		wrong = append(wrong, field)
	}
	return distinct, wrong
}

// invited tells what was made, with the code: mail may not be configured yet.
func invited(p *portal.Portal, i *invitation.Invitation, code string) *table {
	listed := func(names []string) string {
		if len(names) == 0 {
			return "-"
		}
		return strings.Join(names, ", ")
	}
	t := new(table)
	t.row("email", i.Email.Typed())
	t.row("roles", listed(i.Roles))
	t.row("entitlements", listed(i.Entitlements))
	t.row("expires", i.ExpiresAt.Format(time.RFC3339))
	t.row("code", code)
	if page := p.Links.Invitation; page != nil {
		t.row("link", portal.Link(*page, code))
	}
	if !i.DeliveryID.IsZero() {
		t.row("mail", "queued; sent by the server that runs, or the next that does")
	} else {
		t.row("mail", "none")
	}
	return t
}

// notInvited says why, and which call of the API helps.
func notInvited(p *portal.Portal, err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	calls := "/v1/admin/portals/" + p.Slug
	switch id, named := f.Members["invitation_id"]; {
	case f.Code == fault.InvitationPending && named:
		return fmt.Errorf("%w\n  send it again, with a new code: POST %s/invitations/%s/resend\n"+
			"  delete it: DELETE %[2]s/invitations/%[3]s", explained(err), calls, id)
	case f.Code == fault.EmailAlreadyRegistered:
		return fmt.Errorf("%w\n  give the account a role: PATCH %s/accounts/{id}", explained(err), calls)
	}
	return explained(err)
}
