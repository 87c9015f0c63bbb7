package apitest

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/pkg/accesstoken"
	"github.com/latchkey-auth/latchkey/pkg/app"
	"github.com/latchkey-auth/latchkey/pkg/clock"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/dispatch"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/mail"
	"github.com/latchkey-auth/latchkey/pkg/password"
)

// Only this file makes servers and knows what they offer besides HTTP.

// Server is the server under test: an app, and the API that answers for it.
type Server struct {
	*api.Server

	App *app.App
}

// Options configure a Server.
type Options struct {
	App app.Options
	API api.Options
}

// ServerOption changes how a server is made.
type ServerOption func(*Options)

// RateLimited switches the limits per network on.
func RateLimited(o *Options) { o.API.Unlimited = false }

// WithLimits switches the limits per network on, with limits of the test's own.
func WithLimits(limits api.Limits) ServerOption {
	return func(o *Options) { o.API.Unlimited, o.API.Limits = false, limits }
}

// Few are limits that a test can spend quickly.
var Few = api.Limits{Requests: 600, Failures: 3, Issues: 3, Passwords: 3, OwnPasswords: 3}

// ExemptNetworks leaves these networks out of the limits.
func ExemptNetworks(networks ...string) ServerOption {
	return func(o *Options) { o.API.UnlimitedNetworks = append(o.API.UnlimitedNetworks, prefixes(networks)...) }
}

// DevInbox makes sent messages readable at /dev/inbox.
func DevInbox(o *Options) { o.App.Inbox = new(dispatch.Inbox) }

// AtURL sets the server's public URL.
func AtURL(url string) ServerOption {
	return func(o *Options) { o.App.PublicURL = url }
}

// HashingIn has passwords hashed in a pool of the test's own.
func HashingIn(pool *password.Pool) ServerOption {
	return func(o *Options) { o.App.Passwords = pool }
}

// UnderKeys sets the secret keys.
func UnderKeys(ring *keyring.Ring) ServerOption {
	return func(o *Options) { o.App.Ring = ring }
}

// OnClock sets the time.
func OnClock(now clock.Clock) ServerOption {
	return func(o *Options) { o.App.Now = now }
}

// OnMachineClock has a server take the time from its database, on a machine whose own clock shows local.
func OnMachineClock(local clock.Clock) ServerOption {
	return func(o *Options) { o.App.Now, o.App.Local = nil, local }
}

// SigningWith sets the algorithm of new signing keys.
func SigningWith(algorithm accesstoken.Algorithm) ServerOption {
	return func(o *Options) { o.App.SigningAlgorithm = algorithm }
}

// MachineOff has a server follow the tests' clock as that of its database, on a machine whose own clock differs from it.
func MachineOff(by time.Duration) ServerOption {
	return func(o *Options) {
		server := o.App.Now
		read := func(context.Context) (clock.Reading, error) {
			now := server()
			return clock.Reading{Database: now, Local: now.Add(by)}, nil
		}
		local := func() time.Time { return server().Add(by) }
		o.App.Now, _ = clock.Follow(context.Background(), local, read) // read never fails
	}
}

// TrustingProxies trusts the X-Forwarded-For of proxies in these networks.
func TrustingProxies(networks ...string) ServerOption {
	return func(o *Options) { o.API.TrustedProxies = append(o.API.TrustedProxies, prefixes(networks)...) }
}

func prefixes(networks []string) []netip.Prefix {
	parsed := make([]netip.Prefix, 0, len(networks))
	for _, network := range networks {
		parsed = append(parsed, netip.MustParsePrefix(network))
	}
	return parsed
}

// NewServer is one more server, over the harness's or another database, with the same key, clock and log.
func (h *Harness) NewServer(t testing.TB, db *database.DB, adjust ...ServerOption) *Server {
	t.Helper()
	options := Options{
		App: app.Options{
			DB: db, Ring: h.ring, Passwords: password.NewPool(2, 30*time.Second, password.Cheapest), PublicURL: PublicURL,
			Now: h.Clock.Now, Log: slog.New(slog.NewJSONHandler(h.Log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		},
		API: api.Options{OperatorKey: OperatorKey, Unlimited: true},
	}
	for _, change := range adjust {
		change(&options)
	}
	made, err := app.New(context.Background(), options.App)
	require.NoError(t, err)
	return &Server{api.New(made, options.API), made}
}

// Sweep runs the task "sweep <name>" as its periodic job does.
func (h *Harness) Sweep(t testing.TB, name string) {
	t.Helper()
	for _, task := range h.Server.App.Tasks() {
		if task.Name == "sweep "+name {
			require.NoError(t, task.Run(context.Background()))
			return
		}
	}
	require.FailNow(t, "no task sweeps "+name)
}

// Calling is the harness with another of its servers to call.
func (h *Harness) Calling(server *Server) *Harness {
	other := *h
	other.Server = server
	return &other
}

// NewListening is a harness whose server listens on a socket, at its public URL.
func NewListening(t testing.TB, db *database.DB, adjust ...ServerOption) *Harness {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	base := "http://" + listener.Addr().String()
	h := New(t, db, append(adjust, AtURL(base))...)
	h.BaseURL = base
	server, ended := h.Server.HTTP(), make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		require.NoError(t, server.Shutdown(context.Background()))
		require.ErrorIs(t, <-ended, http.ErrServerClosed)
	})
	return h
}

// WithRelay has a server hand its mail to the relay.
func (o *MailHarness) WithRelay(t testing.TB) ServerOption {
	t.Helper()
	return func(options *Options) {
		sender, err := mail.NewSMTP(o.Relay.URL(), "auth.example")
		require.NoError(t, err)
		options.App.Sender = sender
	}
}

// StartSending has a server send its queued mail until the test ends.
func (o *MailHarness) StartSending(t testing.TB, server *Server) {
	t.Helper()
	require.NoError(t, server.App.Start(context.Background()))
	t.Cleanup(func() { require.NoError(t, server.App.Stop(context.Background())) })
}

// Calling is the harness with another of its servers to call.
func (o *MailHarness) Calling(server *Server) *MailHarness {
	other := *o
	other.Harness = o.Harness.Calling(server)
	return &other
}

// Handler answers requests without a socket.
func (h *Harness) Handler() http.Handler { return h.Server }

// Routes lists the routes that the server has, each as its method and its path.
func (h *Harness) Routes() []string { return h.Server.Routes() }
