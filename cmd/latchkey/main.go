// Command latchkey is the headless authentication API: `latchkey serve`, and commands for operators.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/latchkey-auth/latchkey/pkg/app"
	"github.com/latchkey-auth/latchkey/pkg/audit"
	"github.com/latchkey-auth/latchkey/pkg/config"
	"github.com/latchkey-auth/latchkey/pkg/database"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "latchkey:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}

// commands are the subcommands; configuration comes from the environment, or from flags.
type commands struct {
	Serve   serveCommand   `cmd:"" help:"Answer the API."`
	Migrate migrateCommand `cmd:"" help:"Bring the database up to this version."`
	Portals portalsCommand `cmd:"" help:"List, make, show, enable and disable portals."`
	Keys    keysCommand    `cmd:"" help:"Make, list and revoke API keys; reset the secret key of a copied database."`
	Invite  inviteCommand  `cmd:"" help:"Invite somebody to a portal, such as its first administrator."`
	Version versionCommand `cmd:"" help:"Tell the version."`
}

// output is where a subcommand writes: results to Out, the log to Log.
type output struct{ Out, Log io.Writer }

// errHelp ends a run whose arguments asked for help alone.
var errHelp = errors.New("help was shown")

// run runs one subcommand until it is done or ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	var c commands
	parser, err := kong.New(&c, config.Settings(), kong.Name("latchkey"), kong.Writers(stdout, stderr),
		kong.Description("A headless authentication API for portals that tells people why they cannot log in."),
		kong.Exit(func(int) { panic(errHelp) }))
	if err != nil {
		return err
	}
	defer func() {
		if value := recover(); value != nil && value != errHelp { //nolint:errorlint // our own value
			panic(value)
		}
	}()
	parsed, err := parser.Parse(args)
	if err != nil {
		return fmt.Errorf("%w (see latchkey --help)", err)
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	return parsed.Run(output{stdout, stderr})
}

// newLogger logs as configured.
func newLogger(d config.Database, to io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: d.Level()}
	if d.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(to, options))
	}
	return slog.New(slog.NewTextHandler(to, options))
}

// openDatabase opens the configured database.
func openDatabase(ctx context.Context, d config.Database, log *slog.Logger) (*database.DB, error) {
	return app.OpenDatabase(ctx, database.Options{
		URL: d.DatabaseURL, MaxConns: d.DatabaseMaxConns, MustExist: !d.MayCreate, Logger: log,
	})
}

// withDatabase runs an operator's command on the terminal. A server may run on the same database.
func withDatabase(
	ctx context.Context, d config.Database, to output, do func(context.Context, *database.DB) error,
) error {
	db, err := openDatabase(ctx, d, newLogger(d, to.Log))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return do(audit.WithCaller(ctx, &audit.Caller{Actor: audit.Terminal()}), db)
}

// withDirectory runs a command that works without a secret key: it needs only portals and API keys.
func withDirectory(
	ctx context.Context, d config.Database, to output, do func(context.Context, app.Directory) error,
) error {
	return withDatabase(ctx, d, to, func(ctx context.Context, db *database.DB) error {
		now, err := db.Clock(ctx, time.Now)
		if err != nil {
			return err
		}
		return do(ctx, app.NewDirectory(db, now))
	})
}
