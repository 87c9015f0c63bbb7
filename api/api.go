// Package api is Latchkey over HTTP: each handler decodes a request, calls one service and encodes its answer.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/accesstoken"
	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/apikey"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/erasure"
	"github.com/latchkey-auth/latchkey/pkg/installation"
	"github.com/latchkey-auth/latchkey/pkg/invitation"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/lockout"
	"github.com/latchkey-auth/latchkey/pkg/login"
	"github.com/latchkey-auth/latchkey/pkg/onetime"
	"github.com/latchkey-auth/latchkey/pkg/password"
	"github.com/latchkey-auth/latchkey/pkg/passwordreset"
	"github.com/latchkey-auth/latchkey/pkg/portal"
	"github.com/latchkey-auth/latchkey/pkg/ratelimit"
	"github.com/latchkey-auth/latchkey/pkg/registration"
	"github.com/latchkey-auth/latchkey/pkg/secretmail"
	"github.com/latchkey-auth/latchkey/pkg/session"
)

// Options are what a Server is made of. All are required but OperatorKey, TrustedProxies and Policy.
type Options struct {
	DB             *database.DB // migrated
	Ring           *keyring.Ring
	Passwords      *password.Pool
	Policy         password.Policy
	PublicURL      string
	OperatorKey    string
	TrustedProxies []netip.Prefix
	Unlimited      bool            // switches the per-network limits off
	Sender         delivery.Sender // nil notes in the log that a message was not sent
	Inbox          *delivery.Inbox // gets a copy of what is sent, readable at /dev/inbox; nil in production
	Log            *slog.Logger
	Now            func() time.Time
}

// Server answers the API.
type Server struct {
	echo        *echo.Echo
	db          *database.DB
	log         *slog.Logger
	now         func() time.Time
	publicURL   string
	operatorKey string
	proxies     []netip.Prefix

	portals      *portal.Service
	accounts     *account.Service
	login        *login.Service
	sessions     *session.Service
	tokens       *accesstoken.Tokens
	keys         *accesstoken.Keys
	apiKeys      *apikey.Service
	messages     *delivery.Service
	inbox        *delivery.Inbox
	digests      *installation.Digests
	resets       *passwordreset.Service
	registration *registration.Service
	invitations  *invitation.Service
	erasure      *erasure.Service
	audit        *audit.Recorder
	limiter      *ratelimit.Limiter // nil when switched off
	importing    chan struct{}      // has room for as many imports as run at once
	metrics      *metrics
}

// New puts the program together.
//
// Errors: installation.ErrKeyDoesNotFit when the secret key is another than the database's.
func New(ctx context.Context, o Options) (*Server, error) {
	digests, err := installation.Open(ctx, o.DB, o.Ring)
	if err != nil {
		return nil, err
	}
	s := &Server{
		db: o.DB, log: o.Log, now: o.Now, publicURL: strings.TrimRight(o.PublicURL, "/"),
		operatorKey: o.OperatorKey, proxies: o.TrustedProxies, digests: digests, inbox: o.Inbox,
		importing: make(chan struct{}, maxImports),
	}
	s.audit = audit.NewRecorder(o.DB, o.Now)
	s.portals = portal.NewService(portal.NewRepository(o.DB), s.audit, o.Now)
	s.keys = accesstoken.NewKeys(o.DB, o.Ring, s.audit, o.Now)
	s.tokens = accesstoken.NewTokens(s.keys, s.publicURL, o.Now)
	sessions, lockouts := session.NewRepository(o.DB), lockout.NewRepository(o.DB)
	s.sessions = session.NewService(sessions, o.Ring, s.tokens, s.audit, o.Now)
	s.apiKeys = apikey.NewService(apikey.NewRepository(o.DB), s.audit, o.Now)
	accounts, passwords := account.NewRepository(o.DB), account.NewPasswords(o.Passwords, o.Policy)
	invitations := invitation.NewRepository(o.DB)
	s.accounts = account.NewService(o.DB, accounts, passwords, s.audit, digests, o.Now)
	secrets := onetime.NewService(onetime.NewRepository(o.DB), o.Ring, o.Now)
	tasks := s.sweeps(o.Now, accounts, sessions, lockouts, secrets, invitations)
	if s.messages, err = s.newMessages(o, accounts, secrets, tasks); err != nil {
		return nil, err
	}
	mail := secretmail.NewService(o.DB, accounts, secrets, s.messages, s.audit, digests)
	s.resets = passwordreset.NewService(passwordreset.Parts{
		Accounts: accounts, Lockouts: lockouts, Passwords: passwords, Secrets: secrets, Mail: mail, Messages: s.messages,
		Audit: s.audit, Digests: digests, Now: o.Now,
	})
	s.invitations = invitation.NewService(invitation.Parts{
		DB: o.DB, Invitations: invitations, Accounts: accounts, Passwords: passwords, Sessions: s.sessions, Mail: mail,
		Messages: s.messages, Audit: s.audit, Digests: digests, Ring: o.Ring, Now: o.Now,
	})
	s.erasure = erasure.NewService(erasure.Parts{
		DB: o.DB, Portals: s.portals, Accounts: s.accounts, Invitations: s.invitations, Messages: s.messages,
	})
	s.registration = registration.NewService(registration.Parts{
		Accounts: accounts, Invitations: s.invitations, Passwords: passwords, Mail: mail,
		Audit: s.audit, Now: o.Now,
	})
	s.login = login.NewService(login.Parts{
		DB: o.DB, Accounts: accounts, Invitations: s.invitations, Lockouts: lockouts, Sessions: s.sessions, Resets: s.resets,
		Messages: s.messages, Pool: o.Passwords, Passwords: passwords, Audit: s.audit, Digests: digests, Log: o.Log, Now: o.Now,
	})
	if !o.Unlimited {
		s.limiter = ratelimit.New(o.Now)
	}
	s.metrics = newMetrics(o.DB, o.Passwords)
	if err := s.keys.Prepare(ctx); err != nil {
		return nil, err
	}
	s.echo = s.router()
	return s, nil
}

// newMessages makes the queue of messages, whose worker derives a message's secret when it sends.
func (s *Server) newMessages(o Options, accounts *account.Repository, secrets *onetime.Service,
	tasks []delivery.Task) (*delivery.Service, error) {
	return delivery.NewService(delivery.Options{
		DB: o.DB, Portals: s.portals, Accounts: accounts, Digests: s.digests, PublicURL: s.publicURL, Sender: o.Sender,
		Inbox: o.Inbox, Log: o.Log, Now: o.Now, Tasks: tasks,
		Secret: func(ctx context.Context, portalID uuid.UUID, purpose string, subject []byte, generation int64) (delivery.Secret, bool, error) {
			secret, err := secrets.Secret(ctx, portalID, onetime.Purpose(purpose), subject, generation)
			return delivery.Secret{Token: secret.Token, Code: secret.Code, ExpiresAt: secret.ExpiresAt}, err == nil, err
		},
		Invitee: func(ctx context.Context, portalID uuid.UUID, of delivery.Invitation) (delivery.Invitee, error) {
			return s.invitations.Invitee(ctx, portalID, of)
		},
	})
}

// Start begins to send what is queued; Stop lets what is being sent be sent.
func (s *Server) Start(ctx context.Context) error { return s.messages.Start(ctx) }

// Stop ends what Start began.
func (s *Server) Stop(ctx context.Context) error { return s.messages.Stop(ctx) }

// PasswordResets is the service of password resets.
func (s *Server) PasswordResets() *passwordreset.Service { return s.resets }

// Portals is the service of portals.
func (s *Server) Portals() *portal.Service { return s.portals }

// APIKeys is the service of API keys.
func (s *Server) APIKeys() *apikey.Service { return s.apiKeys }

// Invitations is the service of invitations.
func (s *Server) Invitations() *invitation.Service { return s.invitations }

// Accounts is the service of accounts.
func (s *Server) Accounts() *account.Service { return s.accounts }

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }

// Times that a caller has for his side of a request, and that an idle connection is kept.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 16 << 10
)

// HTTP is the server to listen with.
func (s *Server) HTTP() *http.Server {
	return &http.Server{
		Handler: s, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}
