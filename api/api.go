// Package api is Latchkey over HTTP: each handler decodes a request, calls one service and encodes its answer.
package api

import (
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-auth/latchkey/pkg/accesstoken"
	"github.com/latchkey-auth/latchkey/pkg/account"
	"github.com/latchkey-auth/latchkey/pkg/administration"
	"github.com/latchkey-auth/latchkey/pkg/apikey"
	"github.com/latchkey-auth/latchkey/pkg/app"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/clock"
	"github.com/latchkey-auth/latchkey/pkg/config"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/dispatch"
	"github.com/latchkey-auth/latchkey/pkg/erasure"
	"github.com/latchkey-auth/latchkey/pkg/invitation"
	"github.com/latchkey-auth/latchkey/pkg/login"
	"github.com/latchkey-auth/latchkey/pkg/passwordreset"
	"github.com/latchkey-auth/latchkey/pkg/portal"
	"github.com/latchkey-auth/latchkey/pkg/ratelimit"
	"github.com/latchkey-auth/latchkey/pkg/registration"
	"github.com/latchkey-auth/latchkey/pkg/session"
)

// Options configure a Server.
type Options struct {
	OperatorKey    string         // an API key with the scope operator; "" for none
	TrustedProxies []netip.Prefix // their X-Forwarded-For is believed
	Unlimited      bool           // switches the limits per network off
	Limits         Limits         // the zero value is DefaultLimits
	// UnlimitedNetworks are left out by the limits per network.
	UnlimitedNetworks []netip.Prefix
}

// Server answers the API.
type Server struct {
	echo        *echo.Echo
	db          *database.DB
	log         *slog.Logger
	clock       clock.Clock
	publicURL   string
	publicHost  string // of publicURL
	publicPath  string // of publicURL, without a slash at its end
	docsPage    http.Handler
	operatorKey string
	proxies     []netip.Prefix

	portals        *portal.Service
	accounts       *account.Service
	administration *administration.Service
	login          *login.Service
	sessions       *session.Service
	tokens         *accesstoken.Tokens
	keys           *accesstoken.Keys
	apiKeys        *apikey.Service
	messages       *delivery.Service
	dispatch       *dispatch.Service
	inbox          *dispatch.Inbox // nil in production
	resets         *passwordreset.Service
	registration   *registration.Service
	invitations    *invitation.Service
	erasure        *erasure.Service
	audit          *audit.Recorder
	limiter        *ratelimit.Limiter // nil when switched off
	limits         Limits
	// unlimitedNetworks are left out by the limits.
	unlimitedNetworks []netip.Prefix
	forwarded         sync.Once // warns of X-Forwarded-For from a stranger
	uploads           *uploads
	metrics           *metrics
}

// New answers the API with the services of an app.
func New(a *app.App, o Options) *Server {
	s := &Server{
		db: a.DB, log: a.Log, clock: a.Now, publicURL: a.PublicURL, operatorKey: o.OperatorKey, proxies: o.TrustedProxies,
		portals: a.Portals, accounts: a.Accounts, administration: a.Administration, login: a.Login, sessions: a.Sessions,
		tokens: a.AccessTokens,
		keys:   a.SigningKeys, apiKeys: a.APIKeys, messages: a.Messages, dispatch: a.Dispatch, inbox: a.Inbox,
		resets: a.PasswordResets, registration: a.Registration, invitations: a.Invitations,
		erasure: a.Erasure,
		audit:   a.Audit, uploads: newUploads(), metrics: newMetrics(a.DB, a.Hashing),
	}
	url := config.PublicURL(a.PublicURL)
	s.publicHost, s.publicPath = url.Hostname(), url.Path()
	s.docsPage = newDocsPage(s.publicPath)
	if !o.Unlimited {
		s.limiter, s.limits, s.unlimitedNetworks = ratelimit.New(a.Now), o.Limits, o.UnlimitedNetworks
		if s.limits == (Limits{}) {
			s.limits = DefaultLimits()
		}
	}
	s.echo = s.router()
	return s
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }

// How long a caller may take to send and to read, and how long an idle connection is kept.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 60 * time.Second
	// idleTimeout is longer than the 600 s for which Google's load balancer keeps a connection, because the side that
	// sends requests must close first.
	idleTimeout    = 11 * time.Minute
	maxHeaderBytes = 16 << 10
)

// HTTP makes the server that listens on a socket.
func (s *Server) HTTP() *http.Server {
	return &http.Server{
		Handler: s, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}
