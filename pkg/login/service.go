// Package login decides who gets in: which step follows after a person typed an address, and whether a password is
// right.
package login

import (
	"log/slog"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/clock"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/invitation"
	"github.com/latchkey-auth/latchkey/pkg/lockout"
	"github.com/latchkey-auth/latchkey/pkg/onetime"
	"github.com/latchkey-auth/latchkey/pkg/password"
	"github.com/latchkey-auth/latchkey/pkg/passwordreset"
	"github.com/latchkey-auth/latchkey/pkg/session"
)

// Service logs people in, and changes their passwords in a session.
type Service struct {
	db          *database.DB
	repo        *Repository
	accounts    *account.Repository
	invitations *invitation.Service
	lockouts    *lockout.Repository
	sessions    *session.Service
	resets      *passwordreset.Service
	secrets     *onetime.Service
	messages    *delivery.Service
	pool        *password.Pool
	passwords   *account.Passwords
	audit       *audit.Recorder
	digests     *digest.Digester
	log         *slog.Logger
	clock       clock.Clock
}

// Dependencies are what NewService needs. All are required.
type Dependencies struct {
	DB          *database.DB
	Accounts    *account.Repository
	Invitations *invitation.Service
	Lockouts    *lockout.Repository
	Sessions    *session.Service
	Resets      *passwordreset.Service
	Secrets     *onetime.Service
	Messages    *delivery.Service
	Pool        *password.Pool
	Passwords   *account.Passwords
	Audit       *audit.Recorder
	Digests     *digest.Digester
	Log         *slog.Logger
	Now         clock.Clock
}

// NewService makes a service of its dependencies.
func NewService(with Dependencies) *Service {
	return &Service{
		db: with.DB, repo: NewRepository(with.DB), accounts: with.Accounts, invitations: with.Invitations,
		lockouts: with.Lockouts, sessions: with.Sessions, resets: with.Resets, secrets: with.Secrets, messages: with.Messages, pool: with.Pool,
		passwords: with.Passwords, audit: with.Audit, digests: with.Digests, log: with.Log, clock: with.Now,
	}
}
