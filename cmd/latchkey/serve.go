package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/pkg/config"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/delivery"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/password"
)

type serveCommand struct {
	config.Server
	Dev bool `help:"Start on an empty machine: a demo portal, accounts in every state, an operator key. Never in production."`
}

// Run answers the API until ctx ends, then lets the requests under way end too.
func (s *serveCommand) Run(ctx context.Context, to output) error {
	if err := s.Check(); err != nil {
		return err
	}
	log := newLogger(s.Database, to.Log)
	limitMemory(s.Server)
	db, err := openDatabase(ctx, s.Database, log)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.Addr)
	if err != nil {
		return err
	}
	if address, ok := listener.Addr().(*net.TCPAddr); ok && s.Dev && s.PublicURL == config.DefaultPublicURL {
		s.PublicURL = fmt.Sprintf("http://localhost:%d", address.Port)
	}
	server, err := s.start(ctx, db, log, to.Out)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	log.InfoContext(ctx, "listening", "address", listener.Addr().String(), "database", db.Dialect())
	return work(ctx, server, listener, log)
}

// start makes the server of the configuration.
func (s *serveCommand) start(ctx context.Context, db *database.DB, log *slog.Logger, out io.Writer) (*api.Server, error) {
	options, err := s.options(db, log)
	if err != nil {
		return nil, err
	}
	server, err := api.New(ctx, options)
	if err != nil || !s.Dev {
		return server, err
	}
	return server, s.prepareDemo(ctx, server, options, out)
}

// work answers, and sends what is queued, until ctx ends or either cannot go on. The first answer does not wait for the
// queue, which makes connections of its own.
func work(ctx context.Context, server *api.Server, listener net.Listener, log *slog.Logger) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	begun := make(chan error, 1)
	go func() {
		err := server.Start(ctx)
		if err != nil {
			end()
		}
		begun <- err
	}()
	err := errors.Join(listen(ctx, server.HTTP(), listener, log), <-begun)
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	return errors.Join(err, server.Stop(stopping))
}

// options are what the configuration makes a server of.
func (s *serveCommand) options(db *database.DB, log *slog.Logger) (api.Options, error) {
	ring, err := s.Ring()
	if err != nil {
		return api.Options{}, err
	}
	proxies, err := s.Proxies()
	if err != nil {
		return api.Options{}, err
	}
	public, err := url.Parse(s.PublicURL)
	if err != nil {
		return api.Options{}, err
	}
	if s.Dev && s.OperatorKey == "" {
		s.OperatorKey = "lk_" + fmt.Sprintf("%x", keyring.Random(20))
	}
	options := api.Options{
		DB: db, Ring: ring, PublicURL: s.PublicURL, OperatorKey: s.OperatorKey, TrustedProxies: proxies, Log: log,
		Unlimited: s.RateLimit == "off",
		Now:       time.Now, Passwords: password.NewPool(s.Slots(), s.HashWait, password.Params{
			MemoryKiB: s.HashMemory, Iterations: s.HashIterations, Parallelism: s.HashParallelism,
		}),
	}
	if s.SMTPURL != "" {
		sender, err := delivery.NewSMTP(s.SMTPURL, public.Hostname())
		if err != nil {
			return api.Options{}, fmt.Errorf("LATCHKEY_SMTP_URL: %w", err)
		}
		options.Sender = sender
	}
	if s.Dev {
		options.Inbox = new(delivery.Inbox)
	}
	if s.BreachedPasswords == "on" {
		options.Policy.Breached = &password.Breached{Log: log}
	}
	return options, nil
}

// stopTime is how long requests under way, and then messages being sent, may take to end: in all less than the 30 s that
// orchestrators wait before they kill.
const stopTime = 10 * time.Second

// listen serves until ctx ends, and then stops gracefully.
func listen(ctx context.Context, server *http.Server, listener net.Listener, log *slog.Logger) error {
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(listener) }()
	select {
	case err := <-stopped:
		return err
	case <-ctx.Done():
	}
	log.Info("stopping")
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	return server.Shutdown(ending)
}

// limitMemory keeps the garbage of finished hashes from doubling the peak: a limit of what runs at once and the rest
// of the program, unless the environment sets one.
func limitMemory(s config.Server) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	const program = 50 << 20
	debug.SetMemoryLimit(program + int64(s.Slots())*int64(s.HashMemory)<<10)
}
