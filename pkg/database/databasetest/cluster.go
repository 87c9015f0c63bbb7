package databasetest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Cluster is a Postgres server of a test's own, which the test may stop, freeze and start again at the same address.
type Cluster struct {
	// URL is a superuser's URL of the database "postgres".
	URL string

	dir     string
	as      *account
	listen  []string // the server's settings for where it listens
	process *os.Process
	exited  chan struct{}
	frozen  *frozen // nil while it runs
}

// WithCluster runs fn as the parallel subtest "cluster" on a cluster of its own, if this machine can run Postgres.
func WithCluster(t *testing.T, fn func(t *testing.T, c *Cluster)) {
	t.Helper()
	if findPrograms() == "" {
		leaveOut(t.Name())
		return
	}
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		fn(t, StartCluster(t))
	})
}

// StartCluster starts a cluster on a free TCP port that stays its own, and removes it when the test ends. WithCluster
// is for tests that must also pass where there is no Postgres; here that is fatal.
func StartCluster(tb testing.TB) *Cluster {
	tb.Helper()
	c, err := newCluster(overTCP)
	if err != nil {
		tb.Fatalf("start a Postgres cluster: %v", err)
	}
	tb.Cleanup(func() {
		if err := c.remove(); err != nil {
			tb.Errorf("remove the Postgres cluster: %v", err)
		}
	})
	return c
}

type transport int

const (
	overSocket transport = iota // a socket in the cluster's directory: no port to fight over
	overTCP
)

// newCluster makes a cluster in a new temporary directory and starts it.
func newCluster(via transport) (c *Cluster, err error) {
	if c, err = newDir(); err == nil {
		err = c.prepareData()
	}
	if err == nil {
		err = c.chooseAddress(via)
	}
	if err == nil {
		err = c.start()
	}
	if err != nil {
		return nil, errors.Join(err, c.remove())
	}
	return c, nil
}

// newDir is a cluster that has a new temporary directory, and nothing in it.
func newDir() (c *Cluster, err error) {
	c = &Cluster{}
	if findPrograms() == "" {
		return c, errors.New(whyNoPostgres)
	}
	sweepOrphans()
	if c.as, err = serverAccount(); err != nil {
		return c, err
	}
	if c.dir, err = os.MkdirTemp("", dirPrefix+strconv.Itoa(os.Getpid())+"-"); err != nil {
		return c, err
	}
	return c, c.as.own(c.dir)
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

func (c *Cluster) chooseAddress(via transport) error {
	if via == overSocket {
		c.listen = []string{"listen_addresses=", "unix_socket_directories=" + c.dir}
		query := url.Values{"host": {c.dir}, "user": {"postgres"}}
		c.URL = "postgres:///postgres?" + query.Encode()
		return nil
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	c.listen = []string{"listen_addresses=127.0.0.1", "port=" + port, "unix_socket_directories="}
	c.URL = "postgres://postgres@127.0.0.1:" + port + "/postgres?sslmode=disable"
	return nil
}

// Start starts the server after Stop, at the same address, and waits until it answers.
func (c *Cluster) Start(tb testing.TB) {
	tb.Helper()
	if err := c.start(); err != nil {
		tb.Fatalf("start Postgres: %v", err)
	}
}

// Stop shuts the server down in the fast mode of pg_ctl: it ends sessions with a message.
func (c *Cluster) Stop(tb testing.TB) {
	tb.Helper()
	if err := c.stop(); err != nil {
		tb.Fatalf("stop Postgres: %v", err)
	}
}

func (c *Cluster) start() error {
	settings := append([]string{
		// Nothing here outlives the test, so nothing has to reach the disk.
		"fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=400", "shared_buffers=32MB",
	}, c.listen...)
	args := []string{"-D", c.data()}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	log, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	program := filepath.Join(findPrograms(), "postgres")
	cmd := exec.CommandContext(context.Background(), program, args...) //nolint:gosec // this machine's own Postgres
	cmd.Dir = c.dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = c.as.processAttributes()

	started := make(chan error)
	c.exited = make(chan struct{})
	go func() {
		// The kernel ends the server when the thread that started it ends, which must not be before the test binary.
		runtime.LockOSThread()
		err := cmd.Start()
		c.process = cmd.Process
		started <- err
		if err == nil {
			_ = cmd.Wait() // the exit status says how it was stopped, which the log tells better
			close(c.exited)
		}
	}()
	err = errors.Join(<-started, log.Close())
	if err == nil {
		err = c.awaitAnswer()
	}
	return err
}

func (c *Cluster) awaitAnswer() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, c.URL)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-c.exited:
			return fmt.Errorf("postgres ended: %s", c.lastLog())
		case <-ctx.Done():
			return fmt.Errorf("postgres does not answer: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// lastLog returns the end of the server's log.
func (c *Cluster) lastLog() string {
	log, err := os.ReadFile(filepath.Join(c.dir, "log"))
	if err != nil {
		return err.Error()
	}
	const enough = 2000
	return strings.TrimSpace(string(log[max(0, len(log)-enough):]))
}

// running reports whether the server has been started and has not ended.
func (c *Cluster) running() bool {
	if c.process == nil {
		return false
	}
	select {
	case <-c.exited:
		return false
	default:
		return true
	}
}

// stop asks for a fast shutdown, and after a while kills.
func (c *Cluster) stop() error {
	if !c.running() {
		return nil
	}
	if err := c.process.Signal(syscall.SIGINT); err != nil {
		return err
	}
	select {
	case <-c.exited:
		return nil
	case <-time.After(patience / 2):
		return errors.Join(errors.New("postgres did not stop"), c.process.Kill())
	}
}

// remove stops the server and deletes its files.
func (c *Cluster) remove() error {
	if c.dir == "" {
		return nil
	}
	if c.running() {
		// Its data is not needed any more, so it need not shut down cleanly.
		if err := errors.Join(c.thaw(), c.process.Signal(syscall.SIGQUIT)); err != nil {
			return err
		}
		<-c.exited
	}
	return os.RemoveAll(c.dir)
}
