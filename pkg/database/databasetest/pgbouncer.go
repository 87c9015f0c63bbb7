package databasetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-auth/latchkey/pkg/database"
)

const whyNoPgBouncer = "there is no PgBouncer: it is neither in PATH nor in /usr/sbin"

// WithPgBouncer runs fn as the parallel subtest "pgbouncer". It gets the URL of a blank database behind a PgBouncer of
// its own in transaction mode, which has that many connections to Postgres.
func WithPgBouncer(t *testing.T, conns int, fn func(t *testing.T, url string)) {
	t.Helper()
	program := findPgBouncer()
	switch {
	case !postgresFound():
		leaveOut(t.Name())
		return
	case program == "" && os.Getenv(wantVariable) == "required":
		t.Fatalf("%s=required, but %s", wantVariable, whyNoPgBouncer)
	case program == "":
		leaveOutOf(whyNoPgBouncer, t.Name())
		return
	}
	t.Run("pgbouncer", func(t *testing.T) {
		t.Parallel()
		through, err := startPgBouncer(t, program, BlankURL(t, database.Postgres), conns)
		if err != nil {
			t.Fatalf("start PgBouncer: %v", err)
		}
		fn(t, through)
	})
}

// findPgBouncer returns the path of the program, or "". Debian keeps it where only root's PATH leads.
func findPgBouncer() string {
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// startPgBouncer returns the URL of the same database through a PgBouncer that ends with the test.
func startPgBouncer(tb testing.TB, program, to string, conns int) (through string, err error) {
	tb.Helper()
	server, err := pgx.ParseConfig(to)
	if err != nil {
		return "", errors.New("the database's URL is not understood")
	}
	as, err := serverAccount()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "latchkey-pgbouncer-")
	if err != nil {
		return "", err
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	port, err := freePort()
	if err != nil {
		return "", err
	}
	password := ""
	if server.Password != "" {
		password = " password='" + strings.ReplaceAll(server.Password, "'", "''") + "'"
	}
	settings := filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Appendf(nil, `[databases]
* = host='%s' port=%d user='%s'%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = %d
max_client_conn = 200
logfile = %s
`, server.Host, server.Port, server.User, password, port, conns, filepath.Join(dir, "log"))
	err = os.WriteFile(settings, text, 0o644) //nolint:gosec // another account reads it
	if err == nil {
		err = as.own(dir)
	}
	if err == nil {
		err = runPgBouncer(tb, program, settings, as)
	}
	if err != nil {
		return "", err
	}
	u := url.URL{
		Scheme: "postgres", User: url.User(server.User), Host: net.JoinHostPort("127.0.0.1", port),
		Path: server.Database, RawQuery: "sslmode=disable",
	}
	return u.String(), awaitPgBouncer(u.String(), filepath.Join(dir, "log"))
}

func runPgBouncer(tb testing.TB, program, settings string, as *account) error {
	tb.Helper()
	cmd := exec.CommandContext(context.Background(), program, "--quiet", settings) //nolint:gosec // this machine's own
	cmd.Dir = filepath.Dir(settings)
	cmd.SysProcAttr = as.processAttributes()
	started, exited := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // the kernel ends it when the thread that started it ends
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the signal below ends it
			close(exited)
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // at once, in 1.18
		<-exited
	})
	return nil
}

func awaitPgBouncer(url, log string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, url)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			text, _ := os.ReadFile(log) //nolint:gosec // made above
			return fmt.Errorf("it does not answer: %w\n%s", err, text[:min(len(text), 2000)])
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// freePort returns a TCP port that was free a moment ago.
func freePort() (string, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, errors.Join(err, listener.Close())
}
