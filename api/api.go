// Package api is Latchkey over HTTP: each handler decodes a request, calls one service and encodes its answer.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/apikey"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/installation"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/lockout"
	"github.com/latchkey-auth/latchkey/pkg/login"
	"github.com/latchkey-auth/latchkey/pkg/password"
	"github.com/latchkey-auth/latchkey/pkg/portal"
	"github.com/latchkey-auth/latchkey/pkg/ratelimit"
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
	Unlimited      bool // switches the per-network limits off
	Log            *slog.Logger
	Now            func() time.Time
}

// Server answers the API.
type Server struct {
	echo        *echo.Echo
	db          *database.DB
	log         *slog.Logger
	publicURL   string
	operatorKey string
	proxies     []netip.Prefix

	portals  *portal.Service
	accounts *account.Service
	login    *login.Service
	sessions *session.Service
	tokens   *session.AccessTokens
	keys     *session.Keys
	apiKeys  *apikey.Service
	audit    *audit.Recorder
	limiter  *ratelimit.Limiter // nil when switched off
	metrics  *metrics
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
		db: o.DB, log: o.Log, publicURL: strings.TrimRight(o.PublicURL, "/"),
		operatorKey: o.OperatorKey, proxies: o.TrustedProxies,
	}
	s.audit = audit.NewRecorder(o.DB, o.Now)
	s.portals = portal.NewService(portal.NewRepository(o.DB), s.audit, o.Now)
	s.keys = session.NewKeys(o.DB, o.Ring, s.audit, o.Now)
	s.tokens = session.NewAccessTokens(s.keys, s.publicURL, o.Now)
	s.sessions = session.NewService(session.NewRepository(o.DB), o.Ring, s.tokens, s.audit, o.Now)
	s.apiKeys = apikey.NewService(apikey.NewRepository(o.DB), s.audit, o.Now)
	accounts, passwords := account.NewRepository(o.DB), account.NewPasswords(o.Passwords, o.Policy)
	s.accounts = account.NewService(o.DB, accounts, passwords, s.audit, digests, o.Now)
	s.login = login.NewService(login.Parts{
		DB: o.DB, Accounts: accounts, Lockouts: lockout.NewRepository(o.DB), Sessions: s.sessions, Pool: o.Passwords,
		Passwords: passwords, Audit: s.audit, Digests: digests, Log: o.Log, Now: o.Now,
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

// Portals is the service of portals.
func (s *Server) Portals() *portal.Service { return s.portals }

// APIKeys is the service of API keys.
func (s *Server) APIKeys() *apikey.Service { return s.apiKeys }

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
