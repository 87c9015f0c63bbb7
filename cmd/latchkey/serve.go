package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/pkg/config"
	"github.com/latchkey-auth/latchkey/pkg/database"
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
	server, err := s.assemble(ctx, db, log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	if s.Dev {
		if err := s.prepareDemo(ctx, server, to.Out); err != nil {
			return errors.Join(err, listener.Close())
		}
	}
	log.InfoContext(ctx, "listening", "address", listener.Addr().String(), "database", db.Dialect())
	return listen(ctx, server.HTTP(), listener, log)
}

// assemble makes the server of the configuration.
func (s *serveCommand) assemble(ctx context.Context, db *database.DB, log *slog.Logger) (*api.Server, error) {
	ring, err := s.Ring()
	if err != nil {
		return nil, err
	}
	proxies, err := s.Proxies()
	if err != nil {
		return nil, err
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
	if s.BreachedPasswords == "on" {
		options.Policy.Breached = &password.Breached{Log: log}
	}
	return api.New(ctx, options)
}

// stopTime is how long requests under way may take to end.
const stopTime = 15 * time.Second

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
