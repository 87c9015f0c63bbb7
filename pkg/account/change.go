package account

import (
	"context"
	"encoding/json"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/email"
	"github.com/latchkey-auth/latchkey/pkg/ids"
	"github.com/latchkey-auth/latchkey/pkg/portal"
)

// Changes are the new values of an account's members; nil members stay as they are. All but the password are checked
// already.
type Changes struct {
	Email        *email.Address
	Password     *string
	Confirmed    *bool
	Phone        **string
	GivenName    **string
	FamilyName   **string
	Locale       *string
	Roles        *[]string
	Entitlements *[]string
	Metadata     *json.RawMessage
	Disabled     *bool
	OptedOut     *bool

	// Then runs in the transaction of a change, with the account before and after it; nil does nothing.
	Then func(ctx context.Context, before, after *Account) error
}

// Change makes an administrator's changes. A new address is unconfirmed unless the changes confirm it. A new password, a
// new address and disabling end every session.
//
// An unverified registration becomes an account, so that a stranger who registers the address again cannot undo the
// changes. Nobody knows who chose its password, so it loses that, and its sessions.
//
// Errors: not_found, and Create's.
func (s *Service) Change(ctx context.Context, p *portal.Portal, id ids.Account, c Changes) (*Account, error) {
	return s.change(ctx, p, id, audit.AccountChanged, c)
}

// ChangeOwn makes a person's changes to their own account. Errors: not_found.
func (s *Service) ChangeOwn(ctx context.Context, p *portal.Portal, id ids.Account, c Changes) (*Account, error) {
	return s.change(ctx, p, id, audit.ProfileChanged, c)
}

func (s *Service) change(
	ctx context.Context, p *portal.Portal, id ids.Account, what audit.Type, c Changes,
) (*Account, error) {
	read, err := s.repo.ByID(ctx, p.ID, id)
	if err != nil {
		return nil, notFound(err)
	}
	address := read.Email // a new password must not be made of it
	if c.Email != nil {
		address = *c.Email
	}
	hash, err := s.hash(ctx, p, address, c.Password) // before the transaction: nothing holds a connection while hashing
	if err != nil {
		return nil, err
	}
	apply := func(before *Account) *Account {
		after := *before
		s.apply(&after, c, hash)
		if what == audit.AccountChanged {
			after.adopt(before)
		}
		return &after
	}
	var changed *Account
	err = s.db.InTx(ctx, func(ctx context.Context) error {
		// Invitations are locked before the account, so this goes by what was read before.
		if err := s.endInvitations(ctx, p, read, apply(read)); err != nil {
			return err
		}
		before, err := s.repo.forUpdate(ctx, p.ID, id)
		if err != nil {
			return notFound(err)
		}
		changed = apply(before)
		if c.Email != nil {
			if err := s.repo.DropOtherUnverified(ctx, p.ID, *c.Email, id); err != nil {
				return err
			}
		}
		if err := s.repo.update(ctx, p.ID, changed); err != nil {
			return taken(err)
		}
		event := s.event(p, what, changed).Changed(changedMembers(before, changed)...)
		if err := s.audit.Record(ctx, event); err != nil || c.Then == nil {
			return err
		}
		return c.Then(ctx, before, changed)
	})
	return changed, err
}

// adopt makes an account of an unverified registration that an administrator changed. Its password goes with what the
// stranger made before, unless the administrator set another one.
func (a *Account) adopt(before *Account) {
	if before.UnverifiedSince == nil || len(changedMembers(before, a)) == 0 {
		return
	}
	a.UnverifiedSince = nil
	if a.PasswordHash == before.PasswordHash {
		a.PasswordHash = ""
	}
	a.Restamp()
}

// endInvitations ends the invitations for the addresses of a change: the new one; the old one, so that nobody gets in
// with it; and the account's own when it was an unverified registration until then.
func (s *Service) endInvitations(ctx context.Context, p *portal.Portal, before, after *Account) error {
	var addresses []email.Address
	moved := before.Email.Canonical() != after.Email.Canonical()
	if moved {
		addresses = append(addresses, after.Email)
	}
	if before.UnverifiedSince == nil && moved || before.UnverifiedSince != nil && after.UnverifiedSince == nil && !moved {
		addresses = append(addresses, before.Email)
	}
	for _, address := range addresses {
		if err := s.repo.endInvitations(ctx, p.ID, address, before.ID, s.clock.Now()); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) hash(ctx context.Context, p *portal.Portal, address email.Address, secret *string) (string, error) {
	if secret == nil {
		return "", nil
	}
	return s.passwords.Set(ctx, p, address, *secret)
}

// apply sets the members of c. hash is the hash of c.Password.
func (s *Service) apply(a *Account, c Changes, hash string) {
	now := s.clock.Now()
	if c.Email != nil {
		if c.Email.Canonical() != a.Email.Canonical() {
			a.Confirmed = nil
			a.Restamp()
		}
		a.Email = *c.Email
	}
	if c.Password != nil {
		a.PasswordHash = hash
		a.Restamp()
	}
	if c.Disabled != nil {
		if *c.Disabled && a.Disabled == nil {
			a.Restamp()
		}
		mark(&a.Disabled, *c.Disabled, now)
	}
	if c.Confirmed != nil {
		mark(&a.Confirmed, *c.Confirmed, now)
	}
	set(&a.Phone, c.Phone)
	set(&a.GivenName, c.GivenName)
	set(&a.FamilyName, c.FamilyName)
	set(&a.Locale, c.Locale)
	set(&a.Roles, c.Roles)
	set(&a.Entitlements, c.Entitlements)
	set(&a.Metadata, c.Metadata)
	set(&a.OptedOut, c.OptedOut)
	a.UpdatedAt = now
}

func set[T any](member *T, to *T) {
	if to != nil {
		*member = *to
	}
}

// mark sets since to now where holds is true and it is not set yet, and to nil where holds is false.
func mark(since **time.Time, holds bool, now time.Time) {
	switch {
	case !holds:
		*since = nil
	case *since == nil:
		*since = &now
	}
}
