package databasetest

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Freeze stops every process of the server where it stands: connections stay open and nothing answers, as when a
// machine hangs.
func (c *Cluster) Freeze(tb testing.TB) {
	tb.Helper()
	// The postmaster first, so that it makes no further process.
	if err := c.process.Signal(syscall.SIGSTOP); err != nil {
		tb.Fatalf("freeze Postgres: %v", err)
	}
	for _, pid := range c.backends() {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil && err != syscall.ESRCH {
			tb.Fatalf("freeze Postgres: %v", err)
		}
	}
}

// Thaw lets a frozen server go on.
func (c *Cluster) Thaw(tb testing.TB) {
	tb.Helper()
	c.thaw()
}

func (c *Cluster) thaw() {
	for _, pid := range append(c.backends(), c.process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGCONT) // one that has ended needs none
	}
}

// backends are the processes that the server has made.
func (c *Cluster) backends() []int {
	output, err := exec.Command("pgrep", "-P", strconv.Itoa(c.process.Pid)).Output()
	if err != nil {
		return nil // pgrep fails where it finds none
	}
	var pids []int
	for _, field := range strings.Fields(string(output)) {
		if pid, err := strconv.Atoi(field); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
