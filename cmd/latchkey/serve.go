package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/latchkey-auth/latchkey/api"
	"github.com/latchkey-auth/latchkey/pkg/accesstoken"
	"github.com/latchkey-auth/latchkey/pkg/app"
	"github.com/latchkey-auth/latchkey/pkg/config"
	"github.com/latchkey-auth/latchkey/pkg/database"
	"github.com/latchkey-auth/latchkey/pkg/dispatch"
	"github.com/latchkey-auth/latchkey/pkg/keyring"
	"github.com/latchkey-auth/latchkey/pkg/mail"
	"github.com/latchkey-auth/latchkey/pkg/password"
)

type serveCommand struct {
	config.Server
	Dev bool `help:"Start with a demo portal, accounts in every state and an operator key. Never in production."`
}

// Run answers the API until ctx ends, then lets the requests under way end too.
func (s *serveCommand) Run(ctx context.Context, to output) error {
	if err := s.Check(); err != nil {
		return err
	}
	log := newLogger(s.Database, to.Log)
	s.MayCreate = true
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
		s.PublicURL = config.PublicURL(fmt.Sprintf("http://localhost:%d", address.Port))
	}
	a, server, err := s.start(ctx, db, log, to.Out)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	log.InfoContext(ctx, "listening", "address", listener.Addr().String(), "database", db.Dialect())
	return work(ctx, a, server, listener)
}

// start makes the app of the configuration, and the server that answers with it.
func (s *serveCommand) start(
	ctx context.Context, db *database.DB, log *slog.Logger, out io.Writer,
) (*app.App, *http.Server, error) {
	options, err := appOptions(s.Server, db, log)
	if err != nil {
		return nil, nil, err
	}
	proxies, err := s.Proxies()
	if err != nil {
		return nil, nil, err
	}
	exempt, err := s.Unlimited()
	if err != nil {
		return nil, nil, err
	}
	if s.Dev {
		options.Inbox = new(dispatch.Inbox)
		if s.OperatorKey == "" {
			s.OperatorKey = "lk_" + fmt.Sprintf("%x", keyring.Random(20))
		}
	}
	a, err := app.New(ctx, options)
	if err != nil {
		return nil, nil, err
	}
	if s.Dev {
		if err := s.prepareDemo(ctx, a, options, out); err != nil {
			return nil, nil, err
		}
	}
	server := api.New(a, api.Options{
		OperatorKey: s.OperatorKey, TrustedProxies: proxies, Unlimited: s.RateLimit == "off",
		UnlimitedNetworks: exempt,
	})
	return a, server.HTTP(), nil
}

// work answers requests, sends messages and runs periodic tasks, until ctx ends or one of them fails. The first answer
// does not wait for the queue, which makes connections of its own.
func work(ctx context.Context, a *app.App, server *http.Server, listener net.Listener) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	begun := make(chan error, 1)
	go func() {
		err := a.Start(ctx)
		if err != nil {
			end()
		}
		begun <- err
	}()
	err := errors.Join(listen(ctx, server, listener, a.Log), <-begun)
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	return errors.Join(err, a.Stop(stopping))
}

// appOptions are the configuration as an app takes it.
func appOptions(c config.Server, db *database.DB, log *slog.Logger) (app.Options, error) {
	ring, err := c.Ring()
	if err != nil {
		return app.Options{}, err
	}
	options := app.Options{
		DB: db, Ring: ring, PublicURL: c.PublicURL.String(), Log: log,
		SigningAlgorithm: accesstoken.Algorithm(c.SigningAlgorithm),
		Passwords: password.NewPool(c.Slots(), c.HashWait, password.Params{
			MemoryKiB: c.HashMemory, Iterations: c.HashIterations, Parallelism: c.HashParallelism,
		}),
	}
	if c.SMTPURL != "" {
		if options.Sender, err = mail.NewSMTP(c.SMTPURL, c.PublicURL.Hostname()); err != nil {
			return app.Options{}, fmt.Errorf("LATCHKEY_SMTP_URL: %w", err)
		}
		options.Sender.Log = log
		if options.Sender.Unverified() {
			log.Warn("LATCHKEY_SMTP_URL: mail crosses a network, and the certificate of the mail server is not checked; " +
				"add ?tls=required to have it checked")
		}
	}
	if c.BreachedPasswords == "on" {
		options.Policy.Breached = &password.Breached{Log: log}
	}
	return options, nil
}

// stopTime is how long running requests, and then messages being sent, may take to end: together less than the 30 s
// that orchestrators wait before they kill.
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
