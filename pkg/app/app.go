// Package app puts the program together: it opens the database, makes the services, and runs the queue and the periodic
// tasks. The HTTP server, the commands and the demo all start here.
package app

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/latchkey-auth/latchkey/pkg/accesstoken"
	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/administration"
	"github.com/latchkey-auth/latchkey/pkg/challenge"
	"github.com/latchkey-auth/latchkey/pkg/clock"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/digest"
	"github.com/latchkey-auth/latchkey/pkg/dispatch"
	"github.com/latchkey-auth/latchkey/pkg/erasure"
	"github.com/latchkey-auth/latchkey/pkg/invitation"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/lockout"
	"github.com/latchkey-auth/latchkey/pkg/login"
	"github.com/latchkey-auth/latchkey/pkg/mail"
	"github.com/latchkey-auth/latchkey/pkg/onetime"
	"github.com/latchkey-auth/latchkey/pkg/password"
	"github.com/latchkey-auth/latchkey/pkg/passwordreset"
	"github.com/latchkey-auth/latchkey/pkg/queue"
	"github.com/latchkey-auth/latchkey/pkg/registration"
	"github.com/latchkey-auth/latchkey/pkg/session"
)

// Options are the dependencies of an App. Policy, Sender, Inbox, Now and Local are optional.
type Options struct {
	DB        *database.DB // migrated
	Ring      *keyring.Ring
	Passwords *password.Pool
	Policy    password.Policy
	PublicURL string
	// SigningAlgorithm signs access tokens; "" is ES256. Another one than before rotates the signing key.
	SigningAlgorithm accesstoken.Algorithm

	Sender *mail.SMTP      // nil notes in the log that a message was not sent
	Inbox  *dispatch.Inbox // gets a copy of each message that is sent; nil in production
	Log    *slog.Logger
	Now    clock.Clock // nil takes the time from the database, as instances that share one must
	Local  clock.Clock // this machine's clock, which counts on between two readings; nil is time.Now
}

// App is the program without HTTP.
type App struct {
	Directory

	Log       *slog.Logger
	Now       clock.Clock
	PublicURL string // without a slash at its end
	Digests   *digest.Digester
	Hashing   *password.Pool

	Accounts       *account.Service
	Administration *administration.Service
	Sessions       *session.Service
	AccessTokens   *accesstoken.Tokens
	SigningKeys    *accesstoken.Keys
	Secrets        *onetime.Service
	Messages       *delivery.Service
	Dispatch       *dispatch.Service
	Inbox          *dispatch.Inbox // nil in production
	PasswordResets *passwordreset.Service
	Invitations    *invitation.Service
	Erasure        *erasure.Service
	Registration   *registration.Service
	Login          *login.Service

	queue *queue.Queue
	repos repositories
}

// repositories are shared by services, and swept.
type repositories struct {
	accounts    *account.Repository
	sessions    *session.Repository
	lockouts    *lockout.Repository
	invitations *invitation.Repository
}

// New makes the services. Nothing runs in the background until Start.
//
// Errors: digest.ErrKeyDoesNotFit when the secret key is another than the database's.
func New(ctx context.Context, o Options) (*App, error) {
	digests, err := digest.Open(ctx, o.DB, o.Ring)
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		if o.Now, err = databaseClock(ctx, o); err != nil {
			return nil, err
		}
	}
	jobs, err := queue.New(o.DB, o.Log)
	if err != nil {
		return nil, err
	}
	a := &App{
		Directory: NewDirectory(o.DB, o.Now),
		Log:       o.Log, Now: o.Now, PublicURL: strings.TrimRight(o.PublicURL, "/"), Digests: digests,
		Hashing: o.Passwords, Inbox: o.Inbox, queue: jobs,
		repos: repositories{
			accounts: account.NewRepository(o.DB), sessions: session.NewRepository(o.DB),
			lockouts: lockout.NewRepository(o.DB), invitations: invitation.NewRepository(o.DB),
		},
	}
	a.makeSessions(o)
	if err := a.makePeople(o); err != nil {
		return nil, err
	}
	a.queue.Periodically(a.Tasks()...)
	return a, a.SigningKeys.Prepare(ctx)
}

// databaseClock is the time of the database.
func databaseClock(ctx context.Context, o Options) (clock.Clock, error) {
	if o.Local == nil {
		o.Local = time.Now
	}
	return o.DB.Clock(ctx, o.Local)
}

// makeSessions makes the signing keys, access tokens and sessions.
func (a *App) makeSessions(o Options) {
	a.SigningKeys = accesstoken.NewKeys(accesstoken.KeyDependencies{
		DB: o.DB, Ring: o.Ring, Audit: a.Audit, Now: o.Now, Algorithm: o.SigningAlgorithm,
	})
	a.AccessTokens = accesstoken.NewTokens(a.SigningKeys, a.PublicURL, o.Now)
	a.Sessions = session.NewService(session.Dependencies{
		Sessions: a.repos.sessions, Ring: o.Ring, Tokens: a.AccessTokens, Audit: a.Audit, Now: o.Now,
	})
}

// makePeople makes the services about people, and those of the messages to them.
func (a *App) makePeople(o Options) (err error) {
	accounts, passwords, outage := a.repos.accounts, account.NewPasswords(o.Passwords, o.Policy), mail.NewOutage()
	a.Accounts = account.NewService(account.Dependencies{
		DB: o.DB, Accounts: accounts, Passwords: passwords, Audit: a.Audit, Digests: a.Digests, Now: o.Now,
	})
	a.Secrets = onetime.NewService(onetime.Dependencies{Secrets: onetime.NewRepository(o.DB), Ring: o.Ring, Now: o.Now})
	if a.Messages, err = delivery.NewService(delivery.Dependencies{
		DB: o.DB, Queue: a.queue, Outage: outage, Digests: a.Digests, Ring: o.Ring,
		PublicURL: a.PublicURL, Now: o.Now,
	}); err != nil {
		return err
	}
	mailed := challenge.NewService(challenge.Dependencies{
		DB: o.DB, Accounts: accounts, Secrets: a.Secrets, Messages: a.Messages, Audit: a.Audit, Digests: a.Digests,
	})
	a.PasswordResets = passwordreset.NewService(passwordreset.Dependencies{
		Accounts: accounts, Lockouts: a.repos.lockouts, Passwords: passwords, Secrets: a.Secrets, Mail: mailed,
		Messages: a.Messages, Audit: a.Audit, Digests: a.Digests, Now: o.Now,
	})
	a.Invitations = invitation.NewService(invitation.Dependencies{
		DB: o.DB, Invitations: a.repos.invitations, Accounts: accounts, Passwords: passwords, Sessions: a.Sessions,
		Mail: mailed, Messages: a.Messages, Audit: a.Audit, Digests: a.Digests, Ring: o.Ring, Now: o.Now,
	})
	a.Erasure = erasure.NewService(erasure.Dependencies{
		DB: o.DB, Portals: a.Portals, Accounts: a.Accounts, APIKeys: a.APIKeys, Invitations: a.Invitations,
		Messages: a.Messages,
	})
	a.Administration = administration.NewService(administration.Dependencies{
		Accounts: a.Accounts, APIKeys: a.APIKeys, Messages: a.Messages, Mail: mailed,
	})
	a.Registration = registration.NewService(registration.Dependencies{
		Accounts: accounts, Invitations: a.Invitations, Passwords: passwords, Resets: a.PasswordResets,
		Mail: mailed, Audit: a.Audit, Now: o.Now,
	})
	a.Login = login.NewService(login.Dependencies{
		DB: o.DB, Accounts: accounts, Invitations: a.Invitations, Lockouts: a.repos.lockouts, Sessions: a.Sessions,
		Resets: a.PasswordResets, Secrets: a.Secrets, Messages: a.Messages, Pool: o.Passwords, Passwords: passwords,
		Audit: a.Audit, Digests: a.Digests, Log: o.Log, Now: o.Now,
	})
	a.Dispatch = dispatch.NewService(dispatch.Dependencies{
		Queue: a.queue, Messages: a.Messages, Portals: a.Portals, Accounts: accounts, Secrets: a.Secrets,
		Invitations: a.Invitations, Outage: outage, Sender: o.Sender, Inbox: o.Inbox, Log: o.Log, Now: o.Now,
	})
	return nil
}

// Start begins to send queued messages and to run periodic tasks. It waits for a database that is away, or that has no
// connection to spare.
func (a *App) Start(ctx context.Context) error { return untilAvailable(ctx, a.Log, a.queue.Start) }

// Stop ends what Start began: it waits for running jobs until ctx ends, and then cancels them, to be run again.
func (a *App) Stop(ctx context.Context) error {
	return errors.Join(a.queue.Stop(ctx), a.Dispatch.Close())
}
