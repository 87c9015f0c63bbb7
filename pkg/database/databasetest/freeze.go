package databasetest

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// frozen is a shell that waits for its input to end, and then wakes the processes that it was given. It does so too
// when the test binary is killed: a frozen server would not handle the signal to end.
type frozen struct {
	waker *exec.Cmd
	input io.Closer
}

// Freeze pauses every process of the server: connections stay open and nothing answers, as when a
// machine hangs.
func (c *Cluster) Freeze(tb testing.TB) {
	tb.Helper()
	if err := c.freeze(); err != nil {
		tb.Fatalf("freeze Postgres: %v", errors.Join(err, c.thaw()))
	}
}

// Thaw lets a frozen server go on.
func (c *Cluster) Thaw(tb testing.TB) {
	tb.Helper()
	if err := c.thaw(); err != nil {
		tb.Fatalf("thaw Postgres: %v", err)
	}
}

func (c *Cluster) freeze() error {
	if c.frozen != nil {
		return errors.New("it is frozen already")
	}
	// The postmaster first, so that it makes no further process.
	if err := c.process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	backends, err := c.backends()
	if err != nil {
		return errors.Join(err, c.process.Signal(syscall.SIGCONT))
	}
	if err := c.startWaker(backends); err != nil {
		return errors.Join(err, c.process.Signal(syscall.SIGCONT))
	}
	for _, pid := range backends {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

func (c *Cluster) startWaker(backends []int) error {
	args := []string{"-c", `read -r _; kill -CONT "$@" 2>/dev/null; true`, "sh", strconv.Itoa(c.process.Pid)}
	for _, pid := range backends {
		args = append(args, strconv.Itoa(pid))
	}
	waker := exec.CommandContext(context.Background(), "sh", args...) //nolint:gosec // a fixed script
	waker.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}           // Ctrl-C is not for it
	input, err := waker.StdinPipe()
	if err != nil {
		return err
	}
	if err := waker.Start(); err != nil {
		return err
	}
	c.frozen = &frozen{waker, input}
	return nil
}

func (c *Cluster) thaw() error {
	if c.frozen == nil {
		return nil
	}
	f := c.frozen
	c.frozen = nil
	return errors.Join(f.input.Close(), f.waker.Wait())
}

// backends are the processes that the server has made.
func (c *Cluster) backends() ([]int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	output, err := exec.CommandContext(ctx, "pgrep", "-P", strconv.Itoa(c.process.Pid)).Output() //nolint:gosec // a number
	if err != nil {
		return nil, err // also where it finds none, which a running server always has
	}
	var pids []int
	for field := range strings.FieldsSeq(string(output)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}
